"""Suggestions of trials in flight: durable before the trial starts, gone after its row is written (invariant I3)."""

from collections.abc import Mapping
from dataclasses import asdict

from vae_search.errors import CorruptStore
from vae_search.search.messages import TrialAssignment
from vae_search.spec.search_space import SearchSpace
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.backends.json_records import from_json_bytes, to_json_bytes
from vae_search.store.paths import SweepPaths


class PendingTrials:
    """The running folders of one sweep."""

    def __init__(self, store: Store, sweep: str) -> None:
        self._store = store
        self._paths = SweepPaths(sweep)

    def record(self, assignment: TrialAssignment) -> bool:
        """Make `assignment` durable; recording it again changes nothing. Whether it is new."""
        try:
            self._store.create(self._paths.suggestion(assignment.key), to_json_bytes(asdict(assignment)))
        except AlreadyThere:
            return False
        return True

    def all(self) -> list[TrialAssignment]:
        """Every assignment of a trial or confirm run in flight, by trial number.

        Raises:
            CorruptStore: A suggestion is damaged.
        """
        assignments = []
        for path in self._store.list(self._paths.running):
            if store_paths.is_suggestion(path):
                assignments.append(_assignment(from_json_bytes(self._store.read(path), where=path), where=path))
        return sorted(assignments, key=lambda assignment: assignment.key)

    def check_fits(self, assignment: TrialAssignment, search_space: SearchSpace) -> None:
        """Refuse a suggestion that is none of the search space.

        Raises:
            CorruptStore: Naming its file.
        """
        if problems := search_space.problems(assignment.params):
            raise CorruptStore(
                f"{self._paths.suggestion(assignment.key)}: does not fit the search space: {problems[0]}\n"
                "Restore it from a copy, or remove its folder: the trial is suggested anew."
            )

    def forget(self, key: str) -> None:
        """Remove the running folder of a trial or confirm run whose row is written."""
        self._store.remove_tree(self._paths.run(key))


def _assignment(record: Mapping[str, object], *, where: str) -> TrialAssignment:
    trial, params, seed = record.get("trial"), record.get("params"), record.get("seed")
    confirm_seed = record.get("confirm_seed")
    if not (
        isinstance(trial, int)
        and isinstance(params, dict)
        and isinstance(seed, int)
        and isinstance(confirm_seed, int | None)
    ):
        raise CorruptStore(
            f"{where}: must hold trial, params and seed, but has {sorted(record)}. Restore it from a copy."
        )
    return TrialAssignment(trial=trial, params=params, seed=seed, confirm_seed=confirm_seed)
