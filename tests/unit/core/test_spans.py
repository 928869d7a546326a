"""Transfers in spans over a network that cuts: all bytes come, none from another version, and little is in memory."""

import random
import threading
from collections import Counter
from contextlib import contextmanager

import pytest

from vae_search.core.transfer.remote_file import OutOfRange, RemoteFailure, Reply, Version
from vae_search.core.transfer.spans import (
    ATTEMPTS,
    CHUNK_BYTES,
    Changed,
    chunk_spans,
    copy_whole,
    fetch_spans,
    next_span,
    patiently,
)

PIECE = 2**18
SIZE = 3 * CHUNK_BYTES + 12_345
CONTENT = random.Random(0).randbytes(SIZE)
VERSION = Version(etag='"1"', last_modified=None, size_bytes=SIZE)


class Far:
    """A file on a network; `cut_after` says for a request after how many pieces it breaks off."""

    address = "far"

    def __init__(self, content: bytes = CONTENT, version: Version = VERSION) -> None:
        self.content, self.version = content, version
        self.asked: list[tuple[int, int]] = []
        self.cut_after = lambda span: None
        self.shift = 0
        self.lock = threading.Lock()

    @contextmanager
    def get(self, span, *, unless):
        with self.lock:
            self.asked.append(span)
            cut = self.cut_after(span)
        if span[0] >= len(self.content):
            raise OutOfRange
        yield Reply(version=self.version, start=span[0] + self.shift, is_span=True, chunks=self._pieces(*span, cut))

    def _pieces(self, start, end, cut):
        for number, place in enumerate(range(start, end, PIECE)):
            if number == cut:
                raise RemoteFailure("reset", passing=True)
            yield self.content[place : min(place + PIECE, end)]


class Here:
    """What has come."""

    def __init__(self, size: int = SIZE) -> None:
        self.content = bytearray(size)
        self.done = [0] * len(chunk_spans(size))
        self.largest = 0
        self.saved = 0
        self.slept_s: list[float] = []
        self.sleep = self.slept_s.append

    def write(self, start: int, piece: bytes) -> None:
        self.largest = max(self.largest, len(piece))
        self.content[start : start + len(piece)] = piece

    def save(self) -> None:
        self.saved += 1

    def take(self, far: Far, version: Version = VERSION) -> None:
        span = next_span(self.done, version.size_bytes or 0)
        with far.get(span, unless=None) as first:
            fetch_spans(
                far,
                version=version,
                first=first,
                done=self.done,
                write=self.write,
                save=self.save,
                sleep=self.sleep,
            )


def test_all_chunks_come_once_each_piece_by_piece():
    far, here = Far(), Here()

    here.take(far)

    assert bytes(here.content) == CONTENT
    assert sorted(far.asked) == chunk_spans(SIZE)
    assert here.largest <= PIECE
    assert here.slept_s == []


def test_a_small_file_is_one_request():
    version = Version(etag='"1"', last_modified=None, size_bytes=1000)
    far, here = Far(CONTENT[:1000], version), Here(1000)

    here.take(far, version)

    assert bytes(here.content) == CONTENT[:1000]
    assert far.asked == [(0, 1000)]


def test_every_request_may_be_cut_while_some_bytes_come():
    """More cuts than attempts: there is no limit to the duration of a file that keeps coming."""
    far, here = Far(), Here()
    far.cut_after = lambda span: 1

    here.take(far)

    assert bytes(here.content) == CONTENT
    assert len(far.asked) > 4 * ATTEMPTS
    begun = Counter(start for start, _ in far.asked)
    assert set(begun.values()) == {1}  # nothing is asked for twice


def test_a_chunk_that_never_comes_is_given_up_and_what_came_counts():
    far, here = Far(), Here()
    stuck = chunk_spans(SIZE)[2]
    far.cut_after = lambda span: (1 if span == stuck else 0) if span[1] == stuck[1] else None

    with pytest.raises(RemoteFailure, match="reset"):
        here.take(far)

    assert here.done[2] == PIECE
    assert len([span for span in far.asked if span[1] == stuck[1]]) == 1 + ATTEMPTS
    asked = len(far.asked)
    far.cut_after = lambda span: None
    here.take(far)
    assert bytes(here.content) == CONTENT
    assert (stuck[0] + PIECE, stuck[1]) in far.asked[asked:]


def test_bytes_of_another_version_are_never_taken():
    far, here = Far(), Here()
    far.cut_after = lambda span: 1

    def change(_: float) -> None:
        far.version = Version(etag='"2"', last_modified=None, size_bytes=SIZE)

    here.sleep = change
    with pytest.raises(Changed):
        here.take(far)


def test_a_file_that_became_shorter_has_changed():
    here = Here()
    far = Far(CONTENT[: CHUNK_BYTES + 1])

    with pytest.raises(Changed):
        here.take(far)


def test_a_server_that_answers_with_another_part_is_not_believed():
    far, here = Far(), Here()
    far.shift = 1

    with pytest.raises(RemoteFailure, match="another part"):
        here.take(far)

    assert here.done == [0] * 4


def reply(pieces, size):
    version = Version(etag=None, last_modified=None, size_bytes=size)
    return Reply(version=version, start=0, is_span=False, chunks=iter(pieces))


def test_a_whole_reply_is_counted():
    here = Here(10)

    assert copy_whole(reply([b"12345", b"678"], None), here.write, most_bytes=8) == 8
    assert here.content[:8] == b"12345678"
    with pytest.raises(RemoteFailure, match="2 bytes too early"):
        copy_whole(reply([b"12345", b"678"], 10), here.write, most_bytes=10)
    with pytest.raises(RemoteFailure, match="more than 7 bytes"):
        copy_whole(reply([b"12345", b"678"], None), here.write, most_bytes=7)


@pytest.mark.parametrize(("passing", "attempts"), [(True, 3), (False, 1)])
def test_only_what_may_pass_is_tried_again(passing, attempts):
    tried, slept_s = [], []

    def fail():
        tried.append(1)
        raise RemoteFailure("no", passing=passing)

    with pytest.raises(RemoteFailure):
        patiently(fail, attempts=3, sleep=slept_s.append)

    assert len(tried) == attempts
    assert slept_s == [0.25, 0.5][: attempts - 1]
