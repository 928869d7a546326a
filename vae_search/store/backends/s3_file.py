"""One object of a bucket, read in spans: of any size, for any duration, with the right to get this object alone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import NotModifiedError

from vae_search.core.transfer.remote_file import OutOfRange, RemoteFailure, Reply, Unchanged, Version
from vae_search.core.transfer.spans import CHUNK_BYTES, Changed, chunk_spans, fetch_spans, patiently
from vae_search.store.backends.s3_client import FAILURES, Bucket
from vae_search.store.backends.s3_errors import trouble_of

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult

PIECE_BYTES = 2**18  # of a chunk, in memory
READINGS = 3  # of an object that is replaced while it is read


class BucketFile:
    """An object; see `RemoteFile`.

    Args:
        bucket: a client without a limit of time for a request's body.
        path: below the client's prefix.
        address: in messages.
    """

    def __init__(self, bucket: Bucket, path: str, *, address: str) -> None:
        self.address = address
        self._bucket = bucket
        self._path = path

    @contextmanager
    def get(self, span: tuple[int, int] | None, *, unless: Version | None) -> Iterator[Reply]:
        """See `RemoteFile.get`."""
        options: GetOptions = {}
        if span is not None:
            options["range"] = span
        if unless is not None:
            options["if_none_match"] = unless.etag
        try:
            found = obstore.get(self._bucket, self._path, options=options)
        except NotModifiedError:
            raise Unchanged from None
        except FAILURES as error:
            raise _failure_of(error) from None
        modified = found.meta["last_modified"].isoformat()
        yield Reply(
            version=Version(etag=found.meta["e_tag"], last_modified=modified, size_bytes=found.meta["size"]),
            start=found.range[0],
            is_span=span is not None,
            chunks=_chunks(found),
        )


def read_into_memory(remote: BucketFile, *, sleep: Callable[[float], None]) -> bytes:
    """The content of a large object.

    Raises:
        RemoteFailure: It does not come.
    """
    return patiently(lambda: _read_version(remote, sleep), attempts=READINGS, sleep=sleep)


def _read_version(remote: BucketFile, sleep: Callable[[float], None]) -> bytes:
    with remote.get((0, CHUNK_BYTES), unless=None) as first:
        size = first.version.size_bytes or 0
        content, done = bytearray(size), [0] * len(chunk_spans(size))

        def write(start: int, piece: bytes) -> None:
            content[start : start + len(piece)] = piece

        try:
            fetch_spans(
                remote, version=first.version, first=first, done=done, write=write, save=lambda: None, sleep=sleep
            )
        except Changed:
            raise RemoteFailure("it was replaced while it was read", passing=True) from None
    return bytes(content)


def _chunks(found: "GetResult") -> Iterator[bytes]:
    try:
        for piece in found.stream(min_chunk_size=PIECE_BYTES):
            yield bytes(piece)
    except FAILURES as error:
        raise _failure_of(error) from None


def _failure_of(error: Exception) -> Exception:
    trouble = trouble_of(error)
    if trouble.status == 416:
        return OutOfRange()
    return RemoteFailure(trouble.reason, passing=trouble.passing, absent=trouble.says_absent, advice=trouble.advice)
