"""Live progress of a running sweep, from the store: each look reads what is new, however many rows there are."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vae_search.core.criteria import Criteria
from vae_search.core.trial_state import State
from vae_search.errors import CorruptStore
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.leases.heartbeat import Heartbeat, read_heartbeat
from vae_search.store.leases.lease import SILENCE_S
from vae_search.store.ledger.checkpoints import PAUSE_FILE
from vae_search.store.ledger.confirm_runs import ConfirmRow, finalist_from_parquet
from vae_search.store.ledger.rows import TrialRow, trial_from_parquet
from vae_search.store.paths import SweepPaths
from vae_search.store.queries.front import front_among, member_of
from vae_search.store.queries.leaderboard import read_leaderboard


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Result of one look at a running sweep."""

    landed: Sequence[TrialRow]
    """rows of trials and confirm runs that are new since the look before, by file name"""
    driver: Heartbeat | None
    """who runs the sweep; None if nobody does any more"""
    silent: bool
    """whether the driver has shown no sign of life for `SILENCE_S`, so that another may take the sweep over"""


class ProgressFollower:
    """The finished trials of one sweep, counted once and then kept up.

    A look costs a listing of what is in flight and two small files. Only when something in flight has changed are the
    rows listed, and only new ones are read. So a row shows at the look after its trial has left `running/`.
    """

    def __init__(self, store: Store, sweep: str, criteria: Criteria | None, *, monotonic: Callable[[], float]) -> None:
        leaderboard = read_leaderboard(store, sweep)
        self.states = Counter(leaderboard.states)
        self.best = leaderboard.best
        """trial and objective of the least objective so far"""
        self.front = leaderboard.shown_front(criteria)
        """of a Pareto sweep, so far"""
        self.confirmed = 0
        """confirm runs that have ended"""
        self.epochs_seen = 0
        """epochs of the runs that landed since, and that those in flight have saved since"""
        self.running: dict[str, int] = {}
        """epochs of the newest checkpoint, by key of the run in flight that does not wait at a rung"""
        self.paused = 0
        """trials that wait at a rung"""
        self._in_flight: frozenset[str] = frozenset()
        self._store = store
        self._sweep = sweep
        self._paths = SweepPaths(sweep)
        self._monotonic = monotonic
        self._rows = {*self._paths.trial_files(leaderboard.numbers), *leaderboard.damaged}
        self._saved: dict[str, int] = {}  # epochs by key, of every run that was ever seen in flight
        self._beat: tuple[int, int] | None = None
        self._beat_s = 0.0
        self._look_at_running()
        self.epochs_seen = 0
        # The rows of confirm runs are few, and what is there now is not news.
        self._finalists = {path for path in store.list(self._paths.finalists) if path.endswith(".parquet")}
        self.confirmed = len(self._finalists)

    def look(self) -> Update:
        """See what is new.

        Raises:
            StoreUnavailable: The store is out of reach.
        """
        driver = read_heartbeat(self._store, self._sweep)
        gone = driver is None or driver.alive is False
        # After the driver has left nothing more comes, so the last look takes everything in.
        landed = self._landed() if self._look_at_running() or gone else []
        return Update(landed=landed, driver=None if gone else driver, silent=not gone and self._is_silent(driver))

    def _look_at_running(self) -> bool:
        """Read how far the runs in flight are; whether others are in flight than before."""
        epochs: dict[str, int] = {}
        issued: set[str] = set()
        waiting: set[str] = set()
        for path in self._store.list(self._paths.running):
            key = store_paths.running_key_of(path)
            if key is not None:
                epoch, _ = store_paths.checkpoint_of(path) or (0, 0)
                epochs[key] = max(epochs.get(key, 0), epoch)
                if path.endswith(f"/{PAUSE_FILE}"):
                    waiting.add(key)
                if store_paths.is_suggestion(path):
                    issued.add(key)
        found = {key: epochs[key] for key in epochs if key in issued}
        # What a run will go on from lies there before it is issued: its epochs are another's.
        self._saved = {key: epoch for key, epoch in epochs.items() if key not in issued} | self._saved
        changed = found.keys() != self._in_flight
        self.epochs_seen += sum(max(0, epoch - self._saved.get(key, 0)) for key, epoch in found.items())
        self._saved |= found
        self._in_flight, self.paused = frozenset(found), len(waiting)
        self.running = {key: epoch for key, epoch in found.items() if key not in waiting}
        return changed

    def _landed(self) -> list[TrialRow]:
        trials = self._new(self._paths.trials, self._rows)
        runs = self._new(self._paths.finalists, self._finalists)
        rows: list[TrialRow] = []
        for path, content in zip(trials, self._store.read_many(trials), strict=True):
            try:
                rows.append(trial_from_parquet(content or b"", path=path))
            except CorruptStore:
                continue  # who asks how the sweep stands is told
        for path, content in zip(runs, self._store.read_many(runs), strict=True):
            try:
                rows.append(finalist_from_parquet(content or b"", path=path))
            except CorruptStore:
                continue
        for row in rows:
            self._count(row)
        return rows

    def _new(self, folder: str, known: set[str]) -> list[str]:
        found = [path for path in self._store.list(folder) if path not in known and path.endswith(".parquet")]
        known.update(found)
        return found

    def _count(self, row: TrialRow) -> None:
        seen = self._saved.pop(row.key, 0)
        if isinstance(row, ConfirmRow):
            seen = max(seen, row.continues_epoch or 0)
        self.epochs_seen += max(0, row.epochs - seen)
        if isinstance(row, ConfirmRow):
            self.confirmed += not row.continues  # the seeds are those that were announced
            return
        self.states[row.state] += 1
        if row.objective is not None and (self.best is None or row.objective < self.best[1]):
            self.best = (row.trial, row.objective)
        if self.front is not None and row.state is State.COMPLETE:
            criteria = self.front.of
            self.front = front_among([*self.front.members, member_of(row, criteria)], criteria)

    def _is_silent(self, driver: Heartbeat | None) -> bool:
        """True if the counter stands still, measured by our own clock: the driver's may be another machine's."""
        now_s = self._monotonic()
        beat = None if driver is None else (driver.lease, driver.counter)
        if beat != self._beat:
            self._beat, self._beat_s = beat, now_s
        return now_s - self._beat_s >= SILENCE_S
