"""Files of a sweep's leases: the holder of each, its end, and the heartbeat."""

from dataclasses import dataclass
from datetime import datetime

from vae_search.errors import CorruptStore, NotFound
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_json_bytes
from vae_search.store.leases.processes import Process
from vae_search.store.paths import SweepPaths


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Process that took a lease, and the time at which it did."""

    lease: int
    process: Process
    started_at: datetime

    def __str__(self) -> str:
        return f"process {self.process.pid} on {self.process.host} since {self.started_at:%Y-%m-%d %H:%M:%S} UTC"


def newest_lease(store: Store, sweep: str) -> int:
    """The number of the newest lease; 0 if there is none."""
    return max((store_paths.number_of(path) or 0 for path in store.list(SweepPaths(sweep).leases)), default=0)


def has_ended(store: Store, sweep: str, number: int) -> bool:
    """Test for a lease whose driver left in an orderly way."""
    return SweepPaths(sweep).lease_ended(number) in store.list(SweepPaths(sweep).leases)


def stop_requested(store: Store, sweep: str, number: int) -> bool:
    """True once somebody has asked the lease's driver to stop."""
    try:
        store.read(SweepPaths(sweep).stop(number))
    except NotFound:
        return False
    return True


def read_holder(store: Store, sweep: str, number: int) -> Holder:
    """Read the holder of a lease.

    Raises:
        NotFound: Nobody has.
        CorruptStore: Its record is damaged.
    """
    path = SweepPaths(sweep).lease(number)
    record = from_json_bytes(store.read(path), where=path)
    try:
        process = Process(**record["process"])  # type: ignore[arg-type]
        return Holder(lease=number, process=process, started_at=datetime.fromisoformat(str(record["started_at"])))
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
