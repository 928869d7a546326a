"""Retention of weights: those of the best `keep` COMPLETE trials and of all confirm runs."""

from collections.abc import Iterable

from vae_search.core.trial_state import State
from vae_search.errors import CorruptStore
from vae_search.search.running_trial import RunningTrial
from vae_search.spec.measures.pareto import pareto_criteria
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.backends.base import Store
from vae_search.store.ledger import artifacts, checkpoints
from vae_search.store.ledger.artifacts import MODEL_FILE, PER_IMAGE_FILE, WEIGHTS_FILE
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.paths import SweepPaths, artifact_of, trial_key
from vae_search.store.queries.front import Front, front_among, member_of
from vae_search.store.queries.ranking import best_first


class WeightRetention:
    """The ranking of one sweep's COMPLETE trials, as far as weights are kept, and the artifacts that follow from it.

    In a Pareto sweep it is the front, by `objective.prefer`.
    """

    def __init__(self, spec: SweepSpec, store: Store) -> None:
        self._spec = spec
        self._store = store
        self._ranking: list[TrialRow] = []  # the best first
        self._behind: set[int] = set()  # trials that are not in it, or not any more
        self._dropped: set[int] = set()

    @property
    def best(self) -> tuple[float, int] | None:
        """Objective and number of the best trial so far; None in a Pareto sweep."""
        for row in self._ranking[:1]:
            if row.objective is not None:
                return row.objective, row.trial
        return None

    @property
    def front(self) -> Front | None:
        """The front of a Pareto sweep so far; None for another sweep."""
        criteria = pareto_criteria(self._spec)
        if criteria is None:
            return None
        return front_among([member_of(row, criteria) for row in self._ranking], criteria)

    def count(self, row: TrialRow) -> None:
        """A trial has a row."""
        if row.state is not State.COMPLETE:
            return
        before = [*self._ranking, row]
        self._ranking = best_first(before, pareto_criteria(self._spec))
        if pareto_criteria(self._spec) is None:  # of a front all members are needed, to know who is on it
            del self._ranking[self._spec.keep :]
        self._behind |= {row.trial for row in before} - {row.trial for row in self._ranking}

    def wants(self, row: TrialRow) -> bool:
        """True if a COMPLETE trial is among the best so far, so that its weights are to be kept.

        Args:
            row: what will be written of it.
        """
        ranking = best_first([*self._ranking, row], pareto_criteria(self._spec))
        return row.trial in [other.trial for other in ranking[: self._spec.keep]]

    def keep(self, running: RunningTrial) -> str | None:
        """Keep the weights of a COMPLETE run; the hash of their manifest. May be called from any thread.

        With those of a confirm run go its bounds per judge image.

        Raises:
            CorruptStore: The last checkpoint of a confirm run is gone.
        """
        if not running.assignment.confirms:
            return self._keep(running, names=(WEIGHTS_FILE, MODEL_FILE))
        names = (WEIGHTS_FILE, MODEL_FILE, PER_IMAGE_FILE)
        sha256 = self._keep(running, names=names)
        if sha256 is None:
            raise CorruptStore(
                f"sweep {self._spec.name}: the last checkpoint of confirm run {running.assignment.key} is damaged.\n"
                "Run the same command again: it is trained on from the one before."
            )
        return sha256

    def behind(self) -> list[int]:
        """Trials that have fallen behind the best `keep` since the last call."""
        behind = self._behind | {row.trial for row in self._ranking[self._spec.keep :]}
        new = sorted(behind - self._dropped)
        self._dropped |= behind
        return new

    def drop(self, trials: Iterable[int]) -> None:
        """Remove the weights of trials that have any. May be called from any thread."""
        wanted = {trial_key(trial) for trial in trials}
        if not wanted:
            return
        paths = self._store.list(SweepPaths(self._spec.name).artifacts)  # once: after a resume `trials` are thousands
        for key in sorted(wanted.intersection(artifact_of(path) or "" for path in paths)):
            artifacts.drop(self._store, self._spec.name, key)

    def _keep(self, running: RunningTrial, *, names: tuple[str, ...]) -> str | None:
        checkpoint = checkpoints.newest_intact(self._store, self._spec.name, running.assignment.key)
        if checkpoint is None or checkpoint.epoch != len(running.measurements):
            return None
        files = {name: checkpoint.files[name] for name in names}
        return artifacts.keep(self._store, self._spec.name, running.assignment.key, files)
