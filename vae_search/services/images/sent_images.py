"""Images that are sent into a store with a sweep: named by their content, so that they are sent and kept once."""

import hashlib
import mmap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

from vae_search.errors import BadData
from vae_search.runtime.cluster.job_package import files_of
from vae_search.spec.fields import IN_STORE
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.maintenance.uploaded_images import mark_used

DIGEST_DIGITS = 32
BUCKETS = ("s3://", "gs://")
LARGE_BYTES = 64 * 2**20  # of a sent file: larger ones are not read through memory
BUCKET_BYTES = 2**30  # of a file that is put into a bucket: the driver holds it in memory meanwhile


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
    folder = folder_of(source)
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


def folder_of(source: str) -> str:
    """Folder of a store that holds the images that a spec names `source`."""
    digest = source.removeprefix(IN_STORE).partition("/")[0]
    return f"{store_paths.IMAGES}/{digest}"
