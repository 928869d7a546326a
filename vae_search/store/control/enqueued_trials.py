"""Trials that enqueued configs have become, known beside their rows: a damaged row does not tell its command.

Of a trial in flight its suggestion says so, and of one with an intact row the row. These notes count for the others
alone, so that a config whose row was lost is not tried again, and one whose suggestion was lost is.
"""

from collections.abc import Collection, Iterable, Mapping

from vae_search.errors import CorruptStore
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_json_bytes, to_json_bytes
from vae_search.store.paths import SweepPaths


class EnqueuedTrials:
    """The notes of one sweep.

    Args:
        incarnation: of the sweep.
    """

    def __init__(self, store: Store, sweep: str, *, incarnation: str | None) -> None:
        self._store = store
        self._folder = SweepPaths(sweep).enqueued_trials(incarnation)

    def note(self, trial: int, command: int | None) -> None:
        """Note a trial whose config somebody enqueued, before its row is written; None: nobody did.

        Raises:
            StoreUnavailable: It is not noted; the same call may be made again.
        """
        if command is not None:
            record = to_json_bytes({"trial": trial, "command": command})
            self._store.replace(self._path(trial), record)

    def note_missing(self, commands: Mapping[int, int | None]) -> None:
        """Note those of these trials that are not: their rows are of older versions."""
        wanted = {trial for trial, command in commands.items() if command is not None}
        for trial in sorted(wanted.difference(self._noted()) if wanted else ()):
            self.note(trial, commands[trial])

    def commands(self, trials: Iterable[int]) -> dict[int, int]:
        """The commands of those of these trials that are noted, by trial; a damaged note is passed over."""
        wanted = {*trials}
        noted = sorted(wanted.intersection(self._noted())) if wanted else []
        paths = [self._path(trial) for trial in noted]
        found = {}
        for trial, path, content in zip(noted, paths, self._store.read_many(paths), strict=True):
            try:
                command = from_json_bytes(content or b"", where=path).get("command")
            except CorruptStore:
                continue
            if isinstance(command, int):
                found[trial] = command
        return found

    def taken(self, commands: Mapping[int, int | None], *, over: Collection[int]) -> set[int]:
        """The commands whose configs trials that are over have had; notes those of `commands` that only rows tell.

        Args:
            commands: of each trial whose row can be read.
            over: all trials that are over.
        """
        self.note_missing(commands)
        known = {command for command in commands.values() if command is not None}
        return known.union(self.commands({*over}.difference(commands)).values())

    def _noted(self) -> set[int]:
        return {
            number for path in self._store.list(self._folder) if (number := store_paths.number_of(path)) is not None
        }

    def _path(self, trial: int) -> str:
        return f"{self._folder}/{store_paths.trial_key(trial)}.json"
