"""Data sets of a spec, read from this machine, a store, a bucket or a web server; far ones are copied to the cache.

A copy is used only if it is whole, of the version that its source has now, and can be decoded; see `data.remote.cache`.

Only the driver of a sweep reads images: its workers get the decoded arrays through Ray, one copy per node; but images
that do not fit in memory are read on each node.
"""

import hashlib
import mmap
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from vae_search.core.transfer.remote_file import RemoteFailure, RemoteFile
from vae_search.errors import BadData, StoreUnavailable
from vae_search.runtime.cluster.job_package import files_of
from vae_search.spec.fields import IN_STORE
from vae_search.spec.sections import DataSpec
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.backends.uri import open_bucket_file
from vae_search.store.maintenance.uploaded_images import mark_used

if TYPE_CHECKING:
    from vae_search.data.dataset import Dataset
    from vae_search.data.pixel_statistics import PixelStatistics
    from vae_search.data.random_access.mapped_images import PixelArray
    from vae_search.data.remote.cache import CachedCopy

DIGEST_DIGITS = 32
BUCKETS = ("s3://", "gs://")
LARGE_BYTES = 64 * 2**20  # of a sent file: larger ones are not read through memory
BUCKET_BYTES = 2**30  # of a file that is put into a bucket: the driver holds it in memory meanwhile
FILES_AT_ONCE = 32


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
        BadData: `place` holds other images, or a file that is too large for a bucket to take at once.
    """
    if source_of(place) != source:
        raise BadData(f"{place}: these are not the images that were sent as {source}. Submit the sweep again.")
    mark_used(store, source)
    folder = _folder(source)
    there = store.sizes(folder)
    for file in files_of(place):
        path = f"{folder}/{file.relative_to(place.parent).as_posix()}"
        if there.get(path) == file.stat().st_size:
            continue  # `source` is of the content, and whoever copies it from there compares
        with suppress(AlreadyThere), _content(file, store) as content:
            store.create(path, content)


@contextmanager
def _content(file: Path, store: Store) -> Iterator[bytes]:
    """Bytes of a file to send; a large one is mapped where it goes to a disk, and too large for a bucket."""
    size = file.stat().st_size
    if size <= LARGE_BYTES:
        yield file.read_bytes()
        return
    if store.location.startswith(BUCKETS):
        if size > BUCKET_BYTES:
            raise BadData(
                f"{file}: has {size / 2**30:.1f} GiB, but at most {BUCKET_BYTES / 2**30:.0f} GiB are sent at once.\n"
                "Put it into the bucket yourself, and name it: data.source: s3://… or gs://…"
            )
        yield file.read_bytes()
        return
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as pages:
        yield cast("bytes", pages)  # written as bytes are, without being in memory at once


def open_dataset(
    store: Store,
    data: DataSpec,
    *,
    cache: Path,
    refresh: bool = False,
    held_bytes: int | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> "Dataset":
    """Read the images of a spec, wherever they are.

    Args:
        store: holds what `store:` sources name.
        cache: folder for downloads and copies.
        refresh: fetch far images anew, whatever is in the cache.
        held_bytes: see `data.sources.read_source`.
        on_progress: told now and then how far a set of many pictures is.

    Raises:
        BadData: The images cannot be found or used.
        StoreUnavailable: Their bucket cannot be reached.
    """
    # These take long to import, and what only sends images needs none.
    from vae_search.data.dataset import split_dataset
    from vae_search.data.formats.choices import Choices
    from vae_search.data.sources import read_source

    copy = local_copy(store, data, cache=cache, refresh=refresh)
    choices = replace(Choices.of(data), on_progress=on_progress)
    try:
        try:
            source = read_source(copy.data.source, cache=cache, choices=choices, held_bytes=held_bytes)
        except BadData:
            if copy.place is None or copy.is_fresh:
                raise
            copy = local_copy(store, data, cache=cache, refresh=True)  # what lay there may have been damaged since
            source = read_source(copy.data.source, cache=cache, choices=choices, held_bytes=held_bytes)
    except BadData as error:
        if copy.place is None:
            raise
        _drop(copy.place)
        words = _by_address(error, copy.place, data.source).replace("Get it again.", "").rstrip()
        raise BadData(
            f"{words}\nIts copy is dropped: once the file there is right, the same command fetches it anew."
        ) from error
    try:
        return split_dataset(source, copy.data)
    except BadData as error:
        if copy.place is None:
            raise
        raise BadData(_by_address(error, copy.place, data.source)) from error


def open_new_images(store: Store, source: str, *, like: DataSpec, cache: Path) -> "tuple[PixelArray, PixelStatistics]":
    """Read images to score a finished model on; see `data.dataset.load_new_images`.

    Args:
        like: data of the model, whose binarisation, size and the like they get.

    Raises:
        BadData: The images cannot be found or used.
        StoreUnavailable: Their bucket cannot be reached.
    """
    from vae_search.data.dataset import load_new_images
    from vae_search.data.formats.choices import Choices

    local = local_copy(store, DataSpec(source=source), cache=cache)
    choices = Choices.of_new_images(like)
    return load_new_images(local.data.source, binarize=like.binarize, cache=cache, choices=choices)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCopy:
    """Images that can be read on this machine.

    Args:
        data: names them.
        place: of the copy in the cache; None if they lie here anyway.
        is_fresh: the copy was made just now.
    """

    data: DataSpec
    place: Path | None = None
    is_fresh: bool = False


def local_copy(store: Store, data: DataSpec, *, cache: Path, refresh: bool = False) -> LocalCopy:
    """Bring the images of a spec to this machine.

    Args:
        cache: folder for copies; one that is there, whole and not outdated, is used again.
        refresh: fetch them anew, whatever is there.

    Raises:
        BadData: The images are not where their address says, or cannot be kept in `cache`.
        StoreUnavailable: The bucket cannot be reached.
    """
    source = data.source
    try:
        if source.startswith(IN_STORE):
            return _from_store(store, data, cache, refresh=refresh)
        if source.startswith(BUCKETS):
            return _fetched(open_bucket_file(source), data, cache, refresh=refresh)
        if source.startswith(("http://", "https://")):
            from vae_search.data.remote.web_file import WebFile

            return _fetched(WebFile(source), data, cache, refresh=refresh)
    except OSError as error:
        raise BadData(f"{cache}: cannot hold a copy of {source}: {error.strerror or error}.") from error
    return LocalCopy(data=data)


def _fetched(remote: RemoteFile, data: DataSpec, cache: Path, *, refresh: bool) -> LocalCopy:
    copy = _copied(remote, _place(cache, data.source), refresh=refresh)
    return LocalCopy(data=_at(data, copy.file), place=copy.file, is_fresh=copy.is_fresh)


def _copied(remote: RemoteFile, target: Path, *, refresh: bool) -> "CachedCopy":
    from vae_search.data.remote.cache import cached_copy

    try:
        return cached_copy(remote, target, refresh=refresh)
    except RemoteFailure as failure:
        advice = "" if failure.advice is None else f"\n{failure.advice}."
        if failure.absent:
            raise BadData(f"{remote.address}: is not there.{advice}") from failure
        if remote.address.startswith(BUCKETS):
            raise StoreUnavailable(f"{remote.address}: cannot be read: {failure}.{advice}") from failure
        raise BadData(f"{remote.address}: cannot be downloaded: {failure}.{advice}") from failure


def _from_store(store: Store, data: DataSpec, cache: Path, *, refresh: bool) -> LocalCopy:
    source = data.source
    folder, name = _folder(source), source.rpartition("/")[2]
    local = store.local_path(f"{folder}/{name}")
    if local is not None and local.exists():
        return LocalCopy(data=_at(data, local))
    target = _place(cache, source)
    if refresh:
        _drop(target)
    elif target.exists() and source_of(target) == source:
        return LocalCopy(data=_at(data, target), place=target)
    sizes = store.sizes(folder)
    if not sizes:
        raise BadData(f"{source}: is not in the store {store.location}. Submit the sweep again with --upload-data.")
    large = {path for path, size in sizes.items() if size > LARGE_BYTES and store.location.startswith(BUCKETS)}
    for path in sorted(large):  # never in memory, and resumed after a cut
        address = f"{store.location}/{path}"
        copy = _copied(open_bucket_file(address), _place(cache, address), refresh=refresh)
        _move(copy.file, target.parent / path.removeprefix(f"{folder}/"))
    small = [path for path in sizes if path not in large]
    for begin in range(0, len(small), FILES_AT_ONCE):
        paths = small[begin : begin + FILES_AT_ONCE]
        for path, content in zip(paths, store.read_many(paths), strict=True):
            if content is None:
                raise BadData(f"{source}: {path} has just gone from the store {store.location}.")
            _keep(target.parent / path.removeprefix(f"{folder}/"), content)
    if source_of(target) != source:
        _drop(target)
        raise BadData(
            f"{source}: the store {store.location} holds other images under this name.\n"
            "Submit the sweep again with --upload-data."
        )
    return LocalCopy(data=_at(data, target), place=target, is_fresh=True)


def _keep(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.part")
    partial.write_bytes(content)
    partial.replace(file)


def _move(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    file.replace(target)
    shutil.rmtree(file.parent, ignore_errors=True)


def _drop(place: Path) -> None:
    from vae_search.data.remote.cache import drop

    if place.is_dir():
        shutil.rmtree(place)
    else:
        drop(place)


def _by_address(error: BadData, place: Path, source: str) -> str:
    """The words of an error, with the address that the user knows instead of the place of its copy."""
    return str(error).replace(str(place), source)


def _at(data: DataSpec, place: Path) -> DataSpec:
    return data.model_copy(update={"source": str(place)})


def _folder(source: str) -> str:
    digest = source.removeprefix(IN_STORE).partition("/")[0]
    return f"{store_paths.IMAGES}/{digest}"


def _place(cache: Path, source: str) -> Path:
    return cache / "far" / hashlib.sha256(source.encode()).hexdigest()[:DIGEST_DIGITS] / source.rpartition("/")[2]
