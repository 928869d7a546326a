"""Files of a sweep's leases: the holder of each, its end, the heartbeat, and the driver time up to each."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from vae_search.errors import CorruptStore, NotFound
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.backends.json_records import from_json_bytes, to_json_bytes
from vae_search.store.leases.processes import Process
from vae_search.store.paths import SweepPaths


class Purpose(StrEnum):
    """Work that a lease is taken for."""

    TRAIN = "train"
    MAINTAIN = "maintain"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverProgress:
    """Driver time of a sweep, over all its drivers until now, and whether the last left nothing to be done.

    It stands in records that are only created: in each lease what was before it, in the mark of its end what is after
    it. The heartbeat has what is between; it is the one of a driver that died.
    """

    driver_s: float = 0.0
    exhausted: bool = False
    commands: int = 0
    """number of the last command to the sweep that its drivers have seen"""

    @classmethod
    def of(cls, fields: object) -> "DriverProgress | None":
        """Read it from a record's field; None if that holds none."""
        if not isinstance(fields, Mapping) or not isinstance(seconds := fields.get("driver_s"), int | float):
            return None
        commands = fields.get("commands")
        return cls(
            driver_s=float(seconds),
            exhausted=fields.get("exhausted") is True,
            commands=commands if isinstance(commands, int) else 0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Process that took a lease, the time at which it did, and what for."""

    lease: int
    purpose: Purpose | None
    """None in leases of older versions"""
    process: Process
    started_at: datetime
    before: DriverProgress | None
    """of the drivers before it; None in leases of older versions"""

    @property
    def doing(self) -> str:
        """Its purpose, in words that follow a name."""
        return "began to remove the sweep" if self.purpose is Purpose.REMOVE else "is at work on the sweep"

    def __str__(self) -> str:
        return f"process {self.process.pid} on {self.process.host} since {self.started_at:%Y-%m-%d %H:%M:%S} UTC"


def newest_lease(store: Store, sweep: str) -> int:
    """The number of the newest lease; 0 if there is none."""
    return max((store_paths.number_of(path) or 0 for path in store.list(SweepPaths(sweep).leases)), default=0)


def has_ended(store: Store, sweep: str, number: int) -> bool:
    """Test for a lease whose driver left in an orderly way."""
    return SweepPaths(sweep).lease_ended(number) in store.list(SweepPaths(sweep).leases)


def ask_to_stop(store: Store, sweep: str, number: int) -> None:
    """Leave the request that the lease's driver stops; leaving it twice changes nothing."""
    with suppress(AlreadyThere):
        store.create(SweepPaths(sweep).stop(number), to_json_bytes({"lease": number}))


def stop_requested(store: Store, sweep: str, number: int) -> bool:
    """True once somebody has asked the lease's driver to stop."""
    try:
        store.read(SweepPaths(sweep).stop(number))
    except NotFound:
        return False
    return True


def is_being_removed(store: Store, sweep: str) -> bool:
    """True if the last removal of the sweep was begun and not finished."""
    number = last_removal(store, sweep)
    if not number:
        return False
    if not has_ended(store, sweep, number):
        return True
    path = SweepPaths(sweep).lease_ended(number)
    return from_json_bytes(store.read(path), where=path).get("done") is False


def last_removal(store: Store, sweep: str) -> int:
    """The newest lease that was taken to remove a sweep of this name; 0 if there is none."""
    numbers = range(newest_lease(store, sweep), 0, -1)
    return next((n for n in numbers if read_holder(store, sweep, n).purpose is Purpose.REMOVE), 0)


def progress_until(store: Store, sweep: str, number: int) -> DriverProgress:
    """Driver time of all leases up to this one, itself included.

    Raises:
        CorruptStore: A record is damaged.
    """
    if not number:
        return DriverProgress()
    holder = read_holder(store, sweep, number)
    if has_ended(store, sweep, number):
        path = SweepPaths(sweep).lease_ended(number)
        if (last := DriverProgress.of(from_json_bytes(store.read(path), where=path).get("progress"))) is not None:
            return last
    beaten, _, fields = read_beat(store, sweep)
    progress = DriverProgress.of(fields)
    # Older versions kept it in the heartbeat alone, so that it counts whoever has beaten.
    if progress is not None and (beaten == number or holder.before is None):
        return progress
    before = holder.before or DriverProgress()
    # A driver that trains begins because there may be more to do, even if it dies before it says so.
    return replace(before, exhausted=before.exhausted and holder.purpose is not Purpose.TRAIN)


def read_holder(store: Store, sweep: str, number: int) -> Holder:
    """Read the holder of a lease.

    Raises:
        NotFound: Nobody has.
        CorruptStore: Its record is damaged.
    """
    path = SweepPaths(sweep).lease(number)
    record = from_json_bytes(store.read(path), where=path)
    try:
        purpose = record.get("purpose")
        return Holder(
            lease=number,
            purpose=Purpose(str(purpose)) if purpose is not None else None,
            process=Process(**record["process"]),  # type: ignore[arg-type]
            started_at=datetime.fromisoformat(str(record["started_at"])),
            before=DriverProgress.of(record.get("before")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptStore(f"is not a lease: {error!r}.", path=path, advice="Restore it from a copy.") from error


def read_beat(store: Store, sweep: str) -> tuple[int, int, dict[str, object]]:
    """Lease, counter and progress of the last heartbeat; zeros and nothing if there was none.

    Raises:
        CorruptStore: It is damaged.
    """
    path = SweepPaths(sweep).heartbeat
    try:
        record = from_json_bytes(store.read(path), where=path)
    except NotFound:
        return 0, 0, {}
    lease, counter, progress = (record.get(name) for name in ("lease", "counter", "progress"))
    if not (isinstance(lease, int) and isinstance(counter, int) and isinstance(progress, dict)):
        raise CorruptStore("is not a heartbeat.", path=path, advice="Remove it; the driver writes a new one.")
    return lease, counter, progress
