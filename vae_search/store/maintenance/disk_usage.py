"""Disk usage of a sweep in bytes, by what they are for."""

from dataclasses import dataclass

from vae_search.store import paths as layout
from vae_search.store.backends.base import Store


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
    sizes = store.sizes(layout.sweep(sweep))

    def below(*folders: str) -> int:
        return sum(size for path, size in sizes.items() if path.startswith(tuple(f"{folder}/" for folder in folders)))

    return Usage(
        total_bytes=sum(sizes.values()),
        rows_bytes=below(layout.trials(sweep), layout.epochs(sweep), layout.compact(sweep)),
        artifacts_bytes=below(layout.artifacts(sweep)),
        running_bytes=below(layout.running(sweep)),
    )
