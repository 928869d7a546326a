"""The weights of the best finished trials and of all confirm runs, by key: `000042`, `000042-s1`."""

from collections.abc import Mapping

from vae_search.errors import CorruptStore
from vae_search.store.backends.base import Store
from vae_search.store.backends.file_sets import read_file_set, remove_bundle, write_file_set
from vae_search.store.paths import SweepPaths

# The files of a run that was kept, and of the last checkpoint before it.
WEIGHTS_FILE = "weights.npz"
MODEL_FILE = "model.json"
PER_IMAGE_FILE = "per_image.parquet"  # of confirm runs only


def keep(store: Store, sweep: str, key: str, files: Mapping[str, bytes]) -> str:
    """Keep a run's files, before its row is written. Keeping the same files again changes nothing.

    Returns:
        The SHA-256 of the manifest, for the row's `artifact_sha256`.

    Raises:
        StoreUnavailable: They were not kept; the same call may be made again.
    """
    return write_file_set(store, SweepPaths(sweep).artifact(key), files)


def load(store: Store, sweep: str, key: str, *, sha256: str | None = None) -> Mapping[str, bytes]:
    """A run's files, every byte checked.

    Args:
        sha256: The row's `artifact_sha256`, to make sure that they are the files of that row.

    Raises:
        NotFound: The run has no artifact.
        CorruptStore: A file is missing or changed, or they are not the files of that row.
    """
    folder = SweepPaths(sweep).artifact(key)
    bundle = read_file_set(store, folder)
    if sha256 is not None and bundle.sha256 != sha256:
        raise CorruptStore("is not the artifact that the run's row was written with.", path=folder)
    return bundle.files


def drop(store: Store, sweep: str, key: str) -> None:
    """Remove a run's files; a run without any is fine."""
    remove_bundle(store, SweepPaths(sweep).artifact(key))
