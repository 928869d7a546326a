"""Transfer of a remote file in spans: several at once, in bounded memory, each going on where it was cut."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from vae_search.core.transfer.remote_file import OutOfRange, RemoteFailure, RemoteFile, Reply, Version

CHUNK_BYTES = 8 * 2**20  # of one request
AT_ONCE = 4  # requests; each holds a piece of its chunk in memory, not the chunk
ATTEMPTS = 6  # of a chunk, without a byte coming in between; with them there is no limit
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 4.0

_Answer = TypeVar("_Answer")


class Changed(Exception):
    """The file became another one while it was fetched."""


def chunk_spans(size_bytes: int) -> list[tuple[int, int]]:
    """The spans of a file's chunks."""
    starts = range(0, size_bytes, CHUNK_BYTES)
    return [(start, min(start + CHUNK_BYTES, size_bytes)) for start in starts]


def next_span(done: Sequence[int], size_bytes: int) -> tuple[int, int] | None:
    """The first span that is still to come; None if all is there.

    Args:
        done: of each chunk, how many of its bytes are at hand.
    """
    for (start, end), here in zip(chunk_spans(size_bytes), done, strict=True):
        if here < end - start:
            return start + here, end
    return None


def fetch_spans(
    remote: RemoteFile,
    *,
    version: Version,
    first: Reply,
    done: list[int],
    write: Callable[[int, bytes], object],
    save: Callable[[], None],
    sleep: Callable[[float], None],
) -> None:
    """Fetch what is missing of a file.

    Args:
        version: what every reply must be of; it can be pieced.
        first: the reply to `next_span`.
        done: of each chunk, how many of its bytes are at hand; kept up to date.
        write: puts bytes at a position; called from several threads.
        save: called when a chunk is whole or was cut, from several threads.

    Raises:
        Changed: The file is not of that version any more.
        RemoteFailure: Some chunk does not come. What came counts in `done`.
    """
    transfer = _Transfer(remote, version, done, write=write, save=save, sleep=sleep)
    spans = chunk_spans(version.size_bytes or 0)
    missing = [index for index, (start, end) in enumerate(spans) if done[index] < end - start]
    if len(missing) < 2:
        for index in missing:
            transfer.run(index, spans[index], first)
        return
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetch") as workers:
        try:
            begun = [
                workers.submit(transfer.run, index, spans[index], first if index == missing[0] else None)
                for index in missing
            ]
            for future in wait(begun, return_when=FIRST_EXCEPTION).done:
                future.result()
        finally:  # Ctrl-C ends the wait as well
            transfer.stop.set()
            workers.shutdown(cancel_futures=True)


def copy_whole(reply: Reply, write: Callable[[int, bytes], object], *, most_bytes: int) -> int:
    """Write a file that comes in one reply; returns how many bytes came.

    Raises:
        RemoteFailure: It was cut, or is more than `most_bytes`.
    """
    came, size = 0, reply.version.size_bytes
    for piece in reply.chunks:
        if came + len(piece) > most_bytes:
            raise RemoteFailure(f"it is more than {most_bytes:,} bytes")
        write(came, piece)
        came += len(piece)
    if size is not None and came < size:
        raise _cut(size - came)
    return came


def patiently(attempt: Callable[[], _Answer], *, attempts: int, sleep: Callable[[float], None]) -> _Answer:
    """Call again after growing pauses while a failure may pass.

    Raises:
        RemoteFailure: It did not pass.
    """
    for number in range(attempts):
        try:
            return attempt()
        except RemoteFailure as failure:
            if not failure.passing or number + 1 == attempts:
                raise
            sleep(pause_s(number))
    raise ValueError("at least one attempt must be made")


def pause_s(failures: int) -> float:
    """Seconds to wait after so many failures."""
    return float(min(FIRST_PAUSE_S * 2**failures, LONGEST_PAUSE_S))


def _cut(missing_bytes: int) -> RemoteFailure:
    return RemoteFailure(f"the connection ended {missing_bytes:,} bytes too early", passing=True)


class _Transfer:
    def __init__(
        self,
        remote: RemoteFile,
        version: Version,
        done: list[int],
        *,
        write: Callable[[int, bytes], object],
        save: Callable[[], None],
        sleep: Callable[[float], None],
    ) -> None:
        self.stop = threading.Event()
        self._remote, self._version, self._done = remote, version, done
        self._write, self._save, self._sleep = write, save, sleep

    def run(self, index: int, span: tuple[int, int], reply: Reply | None) -> None:
        """Fetch one chunk, with as many requests as it takes.

        Args:
            reply: to the first of them, if there is one.
        """
        start, end = span
        failures = 0
        while self._done[index] < end - start and not self.stop.is_set():
            before = self._done[index]
            try:
                self._take(index, start, end, reply)
            except OutOfRange:
                raise Changed from None
            except RemoteFailure as failure:
                self._save()
                failures = failures + 1 if self._done[index] == before else 0
                if not failure.passing or failures == ATTEMPTS:
                    raise
                self._sleep(pause_s(failures))
            reply = None
        self._save()

    def _take(self, index: int, start: int, end: int, reply: Reply | None) -> None:
        here = start + self._done[index]
        opened: AbstractContextManager[Reply]
        opened = self._remote.get((here, end), unless=None) if reply is None else nullcontext(reply)
        with opened as answer:
            if answer.version != self._version:
                raise Changed
            if not answer.is_span or answer.start != here:
                raise RemoteFailure("the server answers with another part than was asked for", passing=True)
            for piece in answer.chunks:
                if self.stop.is_set():
                    return
                wanted = piece[: end - here]
                self._write(here, wanted)
                here += len(wanted)
                self._done[index] += len(wanted)
                if here == end:
                    return
        raise _cut(end - here)
