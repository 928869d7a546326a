"""Data sets of a spec, read from this machine, a store, a bucket or a web server; far ones are copied to the cache.

Only the driver of a sweep reads images: its workers get the decoded arrays through Ray, one copy per node.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from vae_search.data.download import DownloadFailed, fetched
from vae_search.errors import BadData, NotFound
from vae_search.runtime.cluster.job_package import files_of
from vae_search.spec.fields import IN_STORE
from vae_search.spec.sections import DataSpec
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.backends.uri import open_store
from vae_search.store.maintenance.uploaded_images import mark_used

if TYPE_CHECKING:
    import numpy as np

    from vae_search.data.dataset import Dataset
    from vae_search.data.pixel_statistics import PixelStatistics

DIGEST_DIGITS = 32


def source_of(place: Path) -> str:
    """Name of the images at `place` in a spec once they are in a store: by their content.

    Raises:
        BadData: They cannot be read.
    """
    digest = hashlib.sha256()
    try:
        files = files_of(place)
        for file in files:
            digest.update(f"{file.relative_to(place.parent).as_posix()}\0".encode())
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    except OSError as error:
        raise BadData(f"{place}: cannot be read: {error.strerror or error}.") from error
    if not files:
        raise BadData(f"{place}: holds no file to send.")
    if place.name.startswith("."):
        raise BadData(f"{place}: is hidden, and a store keeps nothing hidden. Rename it.")
    return f"{IN_STORE}{digest.hexdigest()[:DIGEST_DIGITS]}/{place.name}"


def put(store: Store, source: str, place: Path) -> None:
    """Bring images into a store; what is there already stays.

    Args:
        source: `source_of` them.

    Raises:
        BadData: `place` holds other images.
    """
    if source_of(place) != source:
        raise BadData(f"{place}: these are not the images that were sent as {source}. Submit the sweep again.")
    mark_used(store, source)
    for file in files_of(place):
        path = f"{_folder(source)}/{file.relative_to(place.parent).as_posix()}"
        try:
            store.create(path, file.read_bytes())
        except AlreadyThere:
            continue


def open_dataset(store: Store, data: DataSpec, *, cache: Path) -> "Dataset":
    """Read the images of a spec, wherever they are.

    Args:
        store: holds what `store:` sources name.
        cache: folder for downloads and copies.

    Raises:
        BadData: The images cannot be found or used.
        StoreUnavailable: Their bucket cannot be reached.
    """
    from vae_search.data.dataset import load_dataset  # takes long to import, and what only sends images needs none

    return load_dataset(local_copy(store, data, cache=cache), cache=cache)


def open_new_images(store: Store, source: str, *, binarize: str, cache: Path) -> "tuple[np.ndarray, PixelStatistics]":
    """Read images to score a finished model on; see `data.dataset.load_new_images`.

    Raises:
        BadData: The images cannot be found or used.
        StoreUnavailable: Their bucket cannot be reached.
    """
    from vae_search.data.dataset import load_new_images

    local = local_copy(store, DataSpec(source=source), cache=cache)
    return load_new_images(local.source, binarize=binarize, cache=cache)


def local_copy(store: Store, data: DataSpec, *, cache: Path) -> DataSpec:
    """`data` with a source that can be read on this machine.

    Args:
        cache: folder for copies; one that is there is used again.

    Raises:
        BadData: The images are not where their address says, or cannot be kept in `cache`.
        StoreUnavailable: The bucket cannot be reached.
    """
    source = data.source
    try:
        if source.startswith(IN_STORE):
            found = _from_store(store, source, cache)
        elif source.startswith("s3://"):
            found = _from_bucket(source, cache)
        elif source.startswith(("http://", "https://")):
            found = fetched(source, _place(cache, source))
        else:
            return data
    except DownloadFailed as error:
        raise BadData(f"{source}: cannot be downloaded: {error}.") from error
    except OSError as error:
        raise BadData(f"{cache}: cannot hold a copy of {source}: {error.strerror or error}.") from error
    return data.model_copy(update={"source": str(found)})


def _from_store(store: Store, source: str, cache: Path) -> Path:
    folder, name = _folder(source), source.rpartition("/")[2]
    local = store.local_path(f"{folder}/{name}")
    if local is not None and local.exists():
        return local
    paths = store.list(folder)
    if not paths:
        raise BadData(f"{source}: is not in the store {store.location}. Submit the sweep again with --upload-data.")
    target = _place(cache, source)
    copies = {path: target.parent / path.removeprefix(f"{folder}/") for path in paths}
    missing = [path for path, copy in copies.items() if not copy.exists()]
    for path, content in zip(missing, store.read_many(missing), strict=True):
        if content is None:
            raise BadData(f"{source}: {path} has just gone from the store {store.location}.")
        _keep(copies[path], content)
    return target


def _from_bucket(source: str, cache: Path) -> Path:
    place, _, name = source.rpartition("/")
    target = _place(cache, source)
    if not target.exists():
        try:
            _keep(target, open_store(place).read(name))
        except NotFound:
            raise BadData(f"{source}: is not there.") from None
    return target


def _keep(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.part")
    partial.write_bytes(content)
    partial.replace(file)


def _folder(source: str) -> str:
    digest = source.removeprefix(IN_STORE).partition("/")[0]
    return f"{store_paths.IMAGES}/{digest}"


def _place(cache: Path, source: str) -> Path:
    return cache / "far" / hashlib.sha256(source.encode()).hexdigest()[:DIGEST_DIGITS] / source.rpartition("/")[2]
