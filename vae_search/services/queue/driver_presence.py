"""Presence of a sweep's driver, as its heartbeat in the store shows it to whoever has not started it."""

from collections.abc import Callable

from vae_search.errors import CorruptStore
from vae_search.queue.dispatcher import Presence
from vae_search.store.backends.base import Store
from vae_search.store.leases.heartbeat import read_heartbeat
from vae_search.store.leases.lease import SILENCE_S


class HeartbeatWatch:
    """Looks for drivers by their heartbeats; a silence is measured from look to look.

    Args:
        monotonic: clock of the looks.
    """

    def __init__(self, store: Store, *, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._monotonic = monotonic
        self._seen: dict[str, tuple[tuple[int, int], float]] = {}  # lease and counter of a sweep, and since when

    def presence(self, sweep: str) -> Presence:
        """Look for a driver that holds the sweep; one on another machine is gone once it was silent for long."""
        try:
            last = read_heartbeat(self._store, sweep)
        except CorruptStore:  # the next driver says what is wrong
            last = None
        if last is None or last.alive is False:
            self._seen.pop(sweep, None)
            return Presence.ABSENT
        if last.alive:
            return Presence.ELSEWHERE
        beat, now_s = (last.lease, last.counter), self._monotonic()
        seen, since_s = self._seen.get(sweep, (None, now_s))
        if seen != beat:
            since_s = now_s
        self._seen[sweep] = (beat, since_s)
        return Presence.ABSENT if now_s - since_s >= SILENCE_S else Presence.ELSEWHERE
