"""Suggestions of trials in flight: durable before the trial starts, gone after its row is written (invariant I3)."""

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from functools import cached_property

from vae_search.errors import CorruptStore
from vae_search.search.messages import TrialAssignment
from vae_search.spec.search_space import SearchSpace
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.backends.json_records import from_json_bytes, to_json_bytes
from vae_search.store.leases.records import last_removal
from vae_search.store.ledger.checkpoints import PAUSE_FILE
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps.identity import SweepIdentity, identity_of

logger = logging.getLogger(__name__)

# Fields of a planned sweep's confirm runs.
_PLANNED = ("epochs", "turn_epoch", "branch_epoch", "continues_epoch", "decay_epochs", "threads", "shards")
_OF_STAGES = {"epochs", "turn_epoch", "decay_epochs"}  # that are decided one after the other while the run goes on


class PendingTrials:
    """The running folders of one sweep."""

    def __init__(self, store: Store, sweep: str) -> None:
        self._store = store
        self._paths = SweepPaths(sweep)

    @cached_property
    def _identity(self) -> SweepIdentity:
        return identity_of(self._store, self._paths.sweep) or SweepIdentity(incarnation=None)

    def record(self, assignment: TrialAssignment) -> bool:
        """Make `assignment` durable; recording it again changes nothing. Whether it is new."""
        try:
            self._store.create(self._paths.suggestion(assignment.key), self._content(assignment))
        except AlreadyThere:
            return False
        if self._removed_by:  # a worker of the sweep that had this name may have outlived it, and saved there
            # The state that a run goes on from is there before it.
            older_than = None if assignment.continues_epoch is None else self._removed_by
            self._remove_checkpoints(assignment.key, until=older_than)
        return True

    def insist(self, assignment: TrialAssignment) -> None:
        """Let a suggestion that is there be `assignment`. The caller has just made sure of its lease.

        Another can only be of a driver that has lost the sweep, and has handed it out to nobody.
        """
        path, content = self._paths.suggestion(assignment.key), self._content(assignment)
        if self._store.read(path) != content:
            self._remove_checkpoints(assignment.key)
            self._store.replace(path, content)

    @cached_property
    def _removed_by(self) -> int:
        return last_removal(self._store, self._paths.sweep)

    def _remove_checkpoints(self, key: str, *, until: int | None = None) -> None:
        """Remove what workers have saved; with `until`, only those of leases up to this number."""
        for path in self._store.list(self._paths.run(key)):
            saved = store_paths.checkpoint_of(path)
            if (saved is not None and (until is None or saved[1] <= until)) or path.endswith(f"/{PAUSE_FILE}"):
                self._store.remove(path)

    def _read(self, key: str) -> Mapping[str, object]:
        path = self._paths.suggestion(key)
        return from_json_bytes(self._store.read(path), where=path)

    def _content(self, assignment: TrialAssignment) -> bytes:
        record = asdict(assignment) | {"incarnation": self._identity.incarnation}
        if assignment.command is None:  # as it was before there were commands: equal assignments have equal bytes
            del record["command"]
        left_out = {key for key in _PLANNED if record[key] is None}  # likewise
        if assignment.continues_epoch is not None:
            left_out |= _OF_STAGES
        record = {key: value for key, value in record.items() if key not in left_out}
        return to_json_bytes(record)

    def all(self) -> list[TrialAssignment]:
        """Every assignment of a trial or confirm run in flight, by trial number.

        Raises:
            CorruptStore: A suggestion is damaged, or another sweep's of this name.
        """
        return [self.assignment(key) for key in self.keys_in_flight()]

    def keys_in_flight(self) -> list[str]:
        """Keys of the trials and confirm runs in flight, sorted."""
        paths = (path for path in self._store.list(self._paths.running) if store_paths.is_suggestion(path))
        return sorted(key for path in paths if (key := store_paths.running_key_of(path)) is not None)

    def assignment(self, key: str) -> TrialAssignment:
        """The assignment of one of them; errors as for `all`."""
        record = self._read(key)
        self._identity.check(record.get("incarnation"), path=self._paths.suggestion(key))
        return _assignment(record, where=self._paths.suggestion(key))

    def unfinished(self, search_space: SearchSpace, *, over: Collection[str], lease: int) -> Iterator[TrialAssignment]:
        """Trials in flight when the last driver died; folders of what has ended since are removed on the way.

        Confirm runs are left out: they are issued again when their turn comes, and go on from their checkpoints.

        Args:
            over: keys of trials and confirm runs that have a row.
            lease: the caller's.

        Raises:
            CorruptStore: One is damaged, or none of the search space.
        """
        for key in self.keys_in_flight():
            if key in over:  # the last driver died between the row and this step
                self.forget(key, lease=lease)
                continue
            record = self._read(key)
            if self._identity.problem_of(record.get("incarnation")) is not None:
                logger.warning("run %s: its suggestion is another sweep's of this name, and is passed over", key)
                continue
            assignment = _assignment(record, where=self._paths.suggestion(key))
            if assignment.confirms:
                continue
            if problems := search_space.problems(assignment.params):
                raise CorruptStore(
                    f"{self._paths.suggestion(assignment.key)}: does not fit the search space: {problems[0]}\n"
                    "Restore it from a copy, or remove its folder: the trial is suggested anew."
                )
            yield assignment

    def forget(self, key: str, *, lease: int) -> None:
        """Remove the running folder of a trial or confirm run whose row is written.

        Args:
            lease: the caller's. What a newer one has saved stays: on a network file system it may have begun without
                being seen here, and its workers read their checkpoints.
        """
        folder = self._paths.run(key)
        saved = {path: found[1] for path in self._store.list(folder) if (found := store_paths.checkpoint_of(path))}
        if all(owner <= lease for owner in saved.values()):
            self._store.remove_tree(folder)
            return
        for path, owner in saved.items():
            if owner <= lease:
                self._store.remove(path)


def _assignment(record: Mapping[str, object], *, where: str) -> TrialAssignment:
    trial, params, seed = record.get("trial"), record.get("params"), record.get("seed")
    confirm_seed, command = record.get("confirm_seed"), record.get("command")
    planned = {name: record.get(name) for name in _PLANNED}
    if not (
        isinstance(trial, int)
        and isinstance(params, dict)
        and isinstance(seed, int)
        and isinstance(confirm_seed, int | None)
        and isinstance(command, int | None)
        and all(isinstance(value, int | None) for value in planned.values())
    ):
        raise CorruptStore(
            f"{where}: must hold trial, params and seed, but has {sorted(record)}. Restore it from a copy."
        )
    return TrialAssignment(
        trial=trial,
        params=params,
        seed=seed,
        confirm_seed=confirm_seed,
        command=command,
        **planned,  # type: ignore[arg-type]  # checked above
    )
