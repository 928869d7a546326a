"""Evidence of a promotion: a config's confirmed seeds and their bounds on the judge images."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vae_search.core.image_bounds import ImageBounds
from vae_search.core.trial_state import State
from vae_search.errors import Conflict
from vae_search.store.ledger.confirm_runs import ConfirmRow


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """The judged seeds of one config, whether it asks for promotion or is the champion.

    Args:
        comparability_key: of the task that the bounds were taken on (invariant I7).
        bounds: by confirmed seed, on the same images in the same order.
        artifact_seed: the seed whose weights are, or would be, promoted.
        keys_judged_alike: of other versions of the metric that take the same bounds on the same images.

    Raises:
        ValueError: There are no seeds, or they are not on the same images.
    """

    comparability_key: str
    bounds: Mapping[int, ImageBounds]
    artifact_seed: int
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
    def mean_neg_iwae(self) -> float:
        """Mean over seeds and images of the bound on -log p(x), nats per image; lower is better."""
        return sum(float(of.neg_iwae.mean()) for of in self.bounds.values()) / len(self.bounds)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Candidate:
    """A finalist with all of its confirm runs.

    Args:
        rows: of all its confirm runs, failed ones included.
        bounds: of those that completed, by `confirm_seed`.
        incarnation: of the sweep, which tells it from a later one of that name; None if not known.
        keys_judged_alike: of the sweep's record; see `Evidence`.

    Raises:
        ValueError: The rows are of different finalists, or a run has bounds without having completed or vice versa.
        Conflict: The rows belong to different comparability keys (invariant I7).
    """

    rows: tuple[ConfirmRow, ...]
    bounds: Mapping[int, ImageBounds]
    incarnation: str | None = None
    keys_judged_alike: tuple[str, ...] = ()

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
    def artifact_row(self) -> ConfirmRow:
        """The run whose weights would be promoted: of those that completed the best on the select images.

        Chosen by images that no contest looks at, so that the choice does not flatter it there.

        Raises:
            ValueError: No run completed.
        """
        return min(self.complete, key=lambda row: (row.neg_elbo, row.confirm_seed))

    @property
    def evidence(self) -> Evidence:
        """Evidence that the test against the champion looks at.

        Raises:
            ValueError: No run completed.
        """
        row = self.artifact_row
        return Evidence(
            comparability_key=row.comparability_key,
            bounds=self.bounds,
            artifact_seed=row.confirm_seed,
            keys_judged_alike=self.keys_judged_alike,
        )

    @property
    def sha256(self) -> str:
        """Stands for the content; see `content_sha256`."""
        return content_sha256(self.rows)


def content_sha256(rows: Sequence[ConfirmRow]) -> str:
    """Digest of a finalist: with the same runs it has the same one, wherever and whenever it is proposed."""
    runs = [[row.key, row.seed, row.state, row.artifact_sha256] for row in sorted(rows, key=_by_seed)]
    content = json.dumps([rows[0].sweep, rows[0].comparability_key, rows[0].spec_sha256, runs])
    return hashlib.sha256(content.encode()).hexdigest()


def _by_seed(row: ConfirmRow) -> int:
    return row.confirm_seed
