"""Heartbeat of a sweep's newest driver, as others read it, and their request that it stops."""

from dataclasses import dataclass

from vae_search.errors import NotFound
from vae_search.store.backends.base import Store
from vae_search.store.leases.processes import is_alive
from vae_search.store.leases.records import (
    DriverProgress,
    Holder,
    ask_to_stop,
    has_ended,
    newest_lease,
    progress_until,
    read_beat,
    read_holder,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The last sign of life of a sweep's newest driver."""

    lease: int
    counter: int
    progress: DriverProgress
    holder: Holder
    alive: bool | None  # whether its process runs; None if it cannot be told from this machine
    ended: bool  # whether it has left in an orderly way


def read_heartbeat(store: Store, sweep: str) -> Heartbeat | None:
    """The last sign of life of the sweep's newest driver; None if there never was one, or if it has left."""
    last = last_heartbeat(store, sweep)
    return None if last is None or last.ended else last


def last_heartbeat(store: Store, sweep: str) -> Heartbeat | None:
    """The last sign of life of the sweep's newest driver, whether it has left or not; None if there never was one."""
    newest = newest_lease(store, sweep)
    if not newest:
        return None
    holder = read_holder(store, sweep, newest)
    lease, counter, _ = read_beat(store, sweep)
    return Heartbeat(
        lease=newest,
        counter=counter if lease == newest else 0,
        progress=progress_until(store, sweep, newest),
        holder=holder,
        alive=is_alive(holder.process),
        ended=has_ended(store, sweep, newest),
    )


def request_stop(store: Store, sweep: str) -> Holder:
    """Ask the sweep's driver to stop; it looks for this from time to time. Asking twice changes nothing.

    Returns:
        The driver that was asked.

    Raises:
        NotFound: No driver holds the sweep.
    """
    last = read_heartbeat(store, sweep)
    if last is None or last.alive is False:
        raise NotFound(f"sweep {sweep}: no driver is running, so there is nothing to stop.")
    ask_to_stop(store, sweep, last.lease)
    return last.holder
