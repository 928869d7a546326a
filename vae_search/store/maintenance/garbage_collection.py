"""Garbage collection: find and remove files that nothing refers to.

A sweep's leftovers are what `verify` calls so. Beside them there are hidden files of writers that died in the middle of
a write, and probes of programs that died while they tried the store out: of these only their age tells that nobody
needs them, so they are found where files have one, in a folder.
"""

import re
from collections.abc import Collection

from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.backends.file_sets import remove_bundle
from vae_search.store.backends.local_io import PARTIAL_NAME, abandoned_files
from vae_search.store.maintenance.integrity import inspect
from vae_search.store.paths import SweepPaths

ABANDONED_S = 3600.0  # a write takes seconds, and the clocks of two machines differ by less


def leftovers(store: Store, sweep: str, *, now_s: float) -> dict[str, int]:
    """The files and folders of a sweep that nothing refers to, with their sizes in bytes.

    Only the holder of the sweep's lease can be sure: what another is just writing may look the same.

    Args:
        now_s: seconds since 1970.

    Raises:
        NotFound: There is no such sweep.
    """
    paths = [finding.path for finding in inspect(store, sweep).findings if not finding.damaged]
    sizes = store.sizes(SweepPaths(sweep).folder) if paths else {}
    found = {
        path: sum(size for file, size in sizes.items() if file == path or file.startswith(f"{path}/")) for path in paths
    }
    return found | _abandoned(store, SweepPaths(sweep).folder, PARTIAL_NAME, now_s)


def strays(store: Store, sweeps: Collection[str], *, now_s: float) -> dict[str, int]:
    """Abandoned files of the store outside of its `sweeps`, with their sizes in bytes."""
    found = _abandoned(store, "", PARTIAL_NAME, now_s)
    inside = tuple(f"{SweepPaths(sweep).folder}/" for sweep in sweeps)
    outside = {path: size for path, size in found.items() if not path.startswith(inside)}
    for name in {*store.folders(store_paths.SWEEPS)}.difference(sweeps):  # a fork that was interrupted has no record
        if store_paths.is_sweep_name(name):
            folder = SweepPaths(name).borrowed("trials").rpartition("/")[0]
            outside |= _abandoned(store, folder, store_paths.BORROWED_NAME, now_s)
    return outside | _abandoned(store, store_paths.PROBES, store_paths.PROBE_NAME, now_s)


def remove(store: Store, path: str) -> None:
    """Remove a leftover; one that is gone already is fine."""
    folder, _, name = path.rpartition("/")
    local = store.local_path(folder)
    if PARTIAL_NAME.fullmatch(name) and local is not None:  # hidden from the store itself
        (local / name).unlink(missing_ok=True)
    elif store.list(path):
        remove_bundle(store, path)
    else:
        store.remove(path)


def _abandoned(store: Store, folder: str, name: re.Pattern[str], now_s: float) -> dict[str, int]:
    root, local = store.local_path(""), store.local_path(folder)
    if root is None or local is None:
        return {}
    found = abandoned_files(local, name=name, older_than_s=ABANDONED_S, now_s=now_s)
    return {path.relative_to(root).as_posix(): size for path, size in found.items()}
