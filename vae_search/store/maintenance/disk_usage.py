"""Disk usage of a sweep in bytes, by what they are for."""

from dataclasses import dataclass

from vae_search.store.backends.base import Store
from vae_search.store.paths import SweepPaths


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Bytes of one sweep's files; `total_bytes` also counts records, leases and logs."""

    total_bytes: int
    rows_bytes: int
    """rows, learning curves and their derived copies"""
    artifacts_bytes: int
    """weights of the best trials"""
    running_bytes: int
    """suggestions and checkpoints of trials in flight"""


def usage(store: Store, sweep: str) -> Usage:
    """Measure a sweep; one that does not exist takes nothing."""
    sizes = store.sizes(SweepPaths(sweep).folder)

    def below(*folders: str) -> int:
        return sum(size for path, size in sizes.items() if path.startswith(tuple(f"{folder}/" for folder in folders)))

    return Usage(
        total_bytes=sum(sizes.values()),
        rows_bytes=below(SweepPaths(sweep).trials, SweepPaths(sweep).epochs, SweepPaths(sweep).compact),
        artifacts_bytes=below(SweepPaths(sweep).artifacts),
        running_bytes=below(SweepPaths(sweep).running),
    )
