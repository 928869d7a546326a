"""Data sets of a spec, read from this machine, a store, a bucket or a web server; far ones are copied to the cache.

A copy is used only if it is whole, of the version that its source has now, and can be decoded; see `data.remote.cache`.

Only the driver of a sweep reads images: its workers get the decoded arrays through Ray, one copy per node; but images
that do not fit in memory are read on each node.
"""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vae_search.core.transfer.remote_file import RemoteFailure, RemoteFile
from vae_search.errors import BadData, StoreUnavailable
from vae_search.services.images.sent_images import BUCKETS, DIGEST_DIGITS, LARGE_BYTES, folder_of, source_of
from vae_search.spec.fields import IN_STORE
from vae_search.spec.sections import DataSpec
from vae_search.store.backends.base import Store
from vae_search.store.backends.uri import open_bucket_file

if TYPE_CHECKING:
    from vae_search.data.dataset import Dataset, NewImages
    from vae_search.data.remote.cache import CachedCopy

FILES_AT_ONCE = 32


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


def open_new_images(store: Store, source: str, *, like: DataSpec, scaling: str | None, cache: Path) -> "NewImages":
    """Read images to score a finished model on; see `data.dataset.load_new_images`.

    Args:
        like: data of the model, whose binarisation, size and the like they get.
        scaling: of the model's images; None: not known, or the usual one.

    Raises:
        BadData: The images cannot be found or used.
        StoreUnavailable: Their bucket cannot be reached.
    """
    from vae_search.data.dataset import load_new_images
    from vae_search.data.formats.choices import Choices

    local = local_copy(store, DataSpec(source=source), cache=cache)
    choices = Choices.of_new_images(like, scaling=scaling)
    return load_new_images(
        local.data.source, binarize=like.binarize, cache=cache, choices=choices, with_labels=like.condition is not None
    )


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
    folder, name = folder_of(source), source.rpartition("/")[2]
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


def _place(cache: Path, source: str) -> Path:
    return cache / "far" / hashlib.sha256(source.encode()).hexdigest()[:DIGEST_DIGITS] / source.rpartition("/")[2]
