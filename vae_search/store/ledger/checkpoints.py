"""The training state of runs that are not finished; none of it outlives the run."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from vae_search.errors import CorruptStore, NotFound
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.backends.file_sets import is_file_of, read_file_set, remove_bundle, write_file_set
from vae_search.store.paths import SweepPaths

PAUSE_FILE = "paused.json"  # beside the checkpoints of a trial that waits at a rung


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The state after `epoch`, every byte checked."""

    epoch: int
    lease: int
    files: Mapping[str, bytes]


def save(store: Store, sweep: str, key: str, lease: int, epoch: int, files: Mapping[str, bytes]) -> None:
    """Keep the state after `epoch`; saving it again changes nothing.

    Args:
        key: The trial's or confirm run's, as in paths.
        lease: The one that the run was issued under.

    Raises:
        StoreUnavailable: It was not saved; older checkpoints are still there.
    """
    write_file_set(store, SweepPaths(sweep).checkpoint(key, lease, epoch), files)


def newest_intact(store: Store, sweep: str, key: str) -> Checkpoint | None:
    """The checkpoint with the highest epoch, of any lease; torn and damaged ones are passed over.

    By invariant I5 two checkpoints of one epoch hold the same state, whichever lease wrote them.
    """
    for epoch, lease in _newest_first(store, sweep, key):
        try:
            bundle = read_file_set(store, SweepPaths(sweep).checkpoint(key, lease, epoch))
        except (NotFound, CorruptStore):
            continue
        return Checkpoint(epoch=epoch, lease=lease, files=bundle.files)
    return None


def newest_whole(sweep: str, listed: Collection[str]) -> dict[str, str]:
    """Folder of the newest whole checkpoint of each run in flight, by key.

    Args:
        listed: paths below the sweep's `running/`.
    """
    newest: dict[str, tuple[int, int]] = {}
    for path in listed:
        key, place = store_paths.running_key_of(path), store_paths.checkpoint_of(path)
        if key is not None and place is not None and path.endswith(store_paths.manifest("")):
            newest[key] = max(newest.get(key, place), place)
    return {key: SweepPaths(sweep).checkpoint(key, lease, epoch) for key, (epoch, lease) in newest.items()}


def read_one_file(store: Store, folders: Mapping[str, str], name: str) -> dict[str, bytes]:
    """One file of several checkpoints, by key; those that are damaged, or were removed meanwhile, are left out.

    Args:
        folders: of the checkpoints, by key.
    """
    manifests = store.read_many(store_paths.manifest(folder) for folder in folders.values())
    contents = store.read_many(f"{folder}/{name}" for folder in folders.values())
    found: dict[str, bytes] = {}
    for (key, folder), manifest, content in zip(folders.items(), manifests, contents, strict=True):
        if manifest is not None and content is not None and is_file_of(manifest, name, content, folder=folder):
            found[key] = content
    return found


def prune(store: Store, sweep: str, key: str, *, lease: int, keep: int = 2) -> None:
    """Remove all but the `keep` newest checkpoints; two, in case the newest turns out to be damaged.

    Args:
        lease: The caller's. What a newer lease has written is left alone.
    """
    paths = set(store.list(SweepPaths(sweep).run(key)))
    kept = 0
    for epoch, owner in _newest_first(store, sweep, key):
        folder = SweepPaths(sweep).checkpoint(key, owner, epoch)
        if kept >= keep and owner <= lease:
            remove_bundle(store, folder)
        # One without a manifest may just be being written, so it stays, but does not count.
        kept += store_paths.manifest(folder) in paths


def _newest_first(store: Store, sweep: str, key: str) -> list[tuple[int, int]]:
    """Epoch and lease of all checkpoints, whole or not."""
    found = {store_paths.checkpoint_of(path) for path in store.list(SweepPaths(sweep).run(key))}
    return sorted((place for place in found if place is not None), reverse=True)
