"""The weights of finished trials that are among the best of their sweep."""

from collections.abc import Mapping

from vae_search.errors import CorruptStore
from vae_search.store import layout
from vae_search.store.bundles import read_bundle, remove_bundle, write_bundle
from vae_search.store.commit import Store


def keep(store: Store, sweep: str, trial: int, files: Mapping[str, bytes]) -> str:
    """Keep a trial's files, before its row is written. Keeping the same files again changes nothing.

    Returns:
        The SHA-256 of the manifest, for the row's `artifact_sha256`.

    Raises:
        StoreUnavailable: They were not kept; the same call may be made again.
    """
    return write_bundle(store, layout.artifact(sweep, trial), files)


def load(store: Store, sweep: str, trial: int, *, sha256: str | None = None) -> Mapping[str, bytes]:
    """A trial's files, every byte checked.

    Args:
        sha256: The row's `artifact_sha256`, to make sure that they are the files of that row.

    Raises:
        NotFound: The trial has no artifact.
        CorruptStore: A file is missing or changed, or they are not the files of that row.
    """
    folder = layout.artifact(sweep, trial)
    bundle = read_bundle(store, folder)
    if sha256 is not None and bundle.sha256 != sha256:
        raise CorruptStore(f"{folder}: is not the artifact that the trial's row was written with.")
    return bundle.files


def drop(store: Store, sweep: str, trial: int) -> None:
    """Remove a trial's files; a trial without any is fine."""
    remove_bundle(store, layout.artifact(sweep, trial))
