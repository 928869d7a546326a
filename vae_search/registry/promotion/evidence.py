"""Evidence of a promotion: a config's confirmed seeds and their bounds on the judge images."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vae_search.core.image_bounds import ImageBounds
from vae_search.core.trial_state import State
from vae_search.errors import Conflict
from vae_search.registry.promotion.continuation.continued import Continued
from vae_search.spec.hyperparameters import ParamValue
from vae_search.store.ledger.confirm_runs import SELECTING_SEED, ConfirmRow, best_on_select, testifying


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """The judged seeds of one config, whether it asks for promotion or is the champion.

    Args:
        comparability_key: of the task that the bounds were taken on (invariant I7).
        bounds: by confirmed seed, on the same images in the same order.
        artifact_seed: the seed whose weights are, or would be, promoted.
        silent: seeds that do not testify for the config, since it was chosen by them.
        trainings: what the seeds that testify were trained from, one digest of config, epochs, random seed and options
            for each.
        remark: what a reader of the contest should know of this evidence; empty if there is nothing.
        keys_judged_alike: of other versions of the metric that take the same bounds on the same images.

    Raises:
        ValueError: There are no seeds, or they are not on the same images.
    """

    comparability_key: str
    bounds: Mapping[int, ImageBounds]
    artifact_seed: int
    silent: frozenset[int] = frozenset()
    trainings: frozenset[str] = frozenset()
    remark: str = ""
    keys_judged_alike: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.artifact_seed not in self.bounds:
            raise ValueError(f"`artifact_seed` must be one of {sorted(self.bounds)}, but got {self.artifact_seed}")
        if len({(len(of), of.iwae_k) for of in self.bounds.values()}) > 1:
            raise ValueError("all seeds must be judged on the same images with the same iwae_k")

    @property
    def images(self) -> int:
        return len(self.artifact)

    @property
    def iwae_k(self) -> int:
        return self.artifact.iwae_k

    @property
    def artifact(self) -> ImageBounds:
        """The bounds of the weights that are, or would be, promoted."""
        return self.bounds[self.artifact_seed]

    @property
    def testimony(self) -> Mapping[int, ImageBounds]:
        """The bounds of the seeds that testify for the config, by seed."""
        return {seed: of for seed, of in sorted(self.bounds.items()) if seed not in self.silent}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """A finalist with all of its confirm runs.

    Args:
        rows: of all its confirm runs, failed ones included.
        bounds: of those that completed, by `confirm_seed`.
        incarnation: of the sweep, which tells it from a later one of that name; None if not known.
        selecting: the confirm seed that it was chosen by among the sweep's finalists; see `selecting_seed`.
        keys_judged_alike: of the sweep's record; see `Evidence`.
        options: of its trainings; see `training_options`.
        continued: the run that went on from one of them; see `with_weights`.

    Raises:
        ValueError: The rows are of different finalists, or a run has bounds without having completed or vice versa.
        Conflict: The rows belong to different comparability keys (invariant I7).
    """

    rows: tuple[ConfirmRow, ...]
    bounds: Mapping[int, ImageBounds]
    incarnation: str | None = None
    selecting: int | None = SELECTING_SEED
    keys_judged_alike: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    continued: Continued | None = None

    def __post_init__(self) -> None:
        if len({(row.sweep, row.trial) for row in self.rows}) != 1:
            raise ValueError("the rows of a candidate must be of one finalist")
        keys = {row.comparability_key for row in self.rows}
        if len(keys) > 1:
            raise Conflict(
                f"finalist {self.name}: its seeds were judged on {len(keys)} different tasks (comparability keys "
                f"{', '.join(sorted(key[:8] for key in keys))}); they cannot be taken together."
            )
        complete = {row.confirm_seed for row in self.rows if row.state is State.COMPLETE}
        if complete != set(self.bounds):
            raise ValueError(f"seeds {sorted(complete)} completed, but seeds {sorted(self.bounds)} have bounds")

    @property
    def sweep(self) -> str:
        return self.rows[0].sweep

    @property
    def trial(self) -> int:
        return self.rows[0].trial

    @property
    def name(self) -> str:
        """Reference as people write it: `fashion-mlp/42`."""
        return f"{self.sweep}/{self.trial}"

    @property
    def complete(self) -> tuple[ConfirmRow, ...]:
        """The rows of the runs that completed."""
        return tuple(row for row in self.rows if row.state is State.COMPLETE)

    @property
    def testifying(self) -> tuple[ConfirmRow, ...]:
        """The runs that say how good the config is: those that completed, without the one that it was chosen by."""
        return tuple(testifying(self.rows, selecting=self.selecting))

    @property
    def mean_neg_iwae(self) -> float:
        """Mean of the bound on -log p(x) over images and completed runs, nats per image: of those that testify, if any.

        Raises:
            ValueError: No run completed.
        """
        runs = self.testifying or self.complete
        if not runs:
            raise ValueError(f"finalist {self.name}: no run completed")
        return sum(float(self.bounds[run.confirm_seed].neg_iwae.mean()) for run in runs) / len(runs)

    @property
    def artifact_row(self) -> ConfirmRow:
        """The run whose weights would be promoted: of those that testify the best on select images, or what went on.

        Chosen by images that no contest looks at, so that the choice does not flatter it there: given the select
        images, these weights are fixed, and what they score on judge images is drawn anew.

        Raises:
            ValueError: No run testifies.
        """
        if self.continued is not None and self.continued.served_bounds is not None:
            return self.continued.row
        if (best := best_on_select(self.testifying)) is None:
            raise ValueError(f"no run of {self.name} testifies")
        return best

    @property
    def judged(self) -> dict[int, ImageBounds]:
        """The bounds of all that completed, by `confirm_seed`; of the run that went on if its weights are served."""
        return dict(self.bounds) | self._served

    @property
    def _served(self) -> dict[int, ImageBounds]:
        if self.continued is None or (bounds := self.continued.served_bounds) is None:
            return {}
        return {self.continued.row.confirm_seed: bounds}

    @property
    def evidence(self) -> Evidence:
        """Evidence that the test against the champion looks at.

        Raises:
            ValueError: No run testifies.
        """
        row, runs = self.artifact_row, self.testifying
        return Evidence(
            comparability_key=row.comparability_key,
            bounds={run.confirm_seed: self.bounds[run.confirm_seed] for run in runs} | self._served,
            artifact_seed=row.confirm_seed,
            silent=frozenset(self._served),
            trainings=frozenset(
                training_sha256(run.params, epochs=run.epochs, seed=run.seed, options=self.options) for run in runs
            ),
            keys_judged_alike=self.keys_judged_alike,
        )

    @property
    def sha256(self) -> str:
        """Stands for what asks: the runs that are its evidence, and the weights that would be served.

        A run that goes on makes another candidate once its weights would be served, and none before.
        """
        return content_sha256(self.all_rows) if self._served else self.seeds_sha256

    @property
    def seeds_sha256(self) -> str:
        """The candidate's digest where no run has gone on from its seeds; see `content_sha256`."""
        return content_sha256(self.rows)

    @property
    def digests(self) -> tuple[str, ...]:
        """Digests under which a log may know the candidate; older versions took in a run that is not served as well."""
        return tuple(dict.fromkeys((self.sha256, content_sha256(self.all_rows))))

    @property
    def continued_from(self) -> ConfirmRow | None:
        """The run of the fresh seed that another went on from; None if none did."""
        origin = None if self.continued is None else self.continued.origin
        return next((row for row in self.rows if row.confirm_seed == origin), None)

    @property
    def all_rows(self) -> tuple[ConfirmRow, ...]:
        """The rows of all its runs, of the one that went on as well."""
        return self.rows if self.continued is None else (*self.rows, self.continued.row)


def content_sha256(rows: Sequence[ConfirmRow]) -> str:
    """Digest of a finalist: with the same runs it has the same one, wherever and whenever it is proposed."""
    runs = [[row.key, row.seed, row.state, row.artifact_sha256] for row in sorted(rows, key=_by_seed)]
    content = json.dumps([rows[0].sweep, rows[0].comparability_key, rows[0].spec_sha256, runs])
    return hashlib.sha256(content.encode()).hexdigest()


def training_options(*, precision: str, mirror: bool) -> tuple[str, ...]:
    """Options of a spec that make another training of the same config, on the same images; none of them is usual."""
    return (*(() if precision == "float32" else (precision,)), *(("mirror",) if mirror else ()))


def training_sha256(params: Mapping[str, ParamValue], *, epochs: int, seed: int, options: tuple[str, ...] = ()) -> str:
    """Digest of what a training follows from, on given images: equal ones are one training done twice."""
    content = [dict(params), epochs, seed, *([[*options]] if options else [])]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _by_seed(row: ConfirmRow) -> int:
    return row.confirm_seed
