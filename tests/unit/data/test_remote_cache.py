"""Copies in the cache: never cut, never outdated, never more than once fetched. The server is this machine's."""

import logging
import random
import threading
from pathlib import Path

import pytest

from tests.support.file_server import FileServer, file_server
from vae_search.core.transfer.remote_file import RemoteFailure
from vae_search.core.transfer.spans import CHUNK_BYTES
from vae_search.data.remote import cache
from vae_search.data.remote.cache import cached_copy, drop
from vae_search.data.remote.web_file import WebFile

LARGE = random.Random(0).randbytes(2 * CHUNK_BYTES + 1000)


@pytest.fixture(autouse=True)
def without_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server():
    with file_server(b"images") as server:
        yield server


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "far" / "x.npz"


def brought(server: FileServer, target: Path, *, refresh: bool = False, sleep=lambda _: None) -> cache.CachedCopy:
    return cached_copy(WebFile(f"{server.address}/x.npz"), target, refresh=refresh, sleep=sleep)


def test_a_copy_is_used_again_as_long_as_the_server_says_that_it_is_the_same(server, target):
    first, second = brought(server, target), brought(server, target)

    assert (first.is_fresh, second.is_fresh) == (True, False)
    assert target.read_bytes() == b"images"

    server.content, server.etag = b"others", '"2"'
    third = brought(server, target)

    assert third.is_fresh
    assert target.read_bytes() == b"others"


def test_a_date_is_as_good_as_an_etag(server, target):
    server.etag, server.last_modified = None, "Sat, 01 Jan 2022 00:00:00 GMT"
    brought(server, target)
    assert not brought(server, target).is_fresh

    server.content, server.last_modified = b"others", "Sun, 02 Jan 2022 00:00:00 GMT"

    assert brought(server, target).is_fresh
    assert target.read_bytes() == b"others"


def test_without_a_word_on_versions_it_is_fetched_every_time(server, target):
    server.etag = None
    brought(server, target)
    server.content = b"others"

    assert brought(server, target).is_fresh
    assert target.read_bytes() == b"others"


@pytest.mark.parametrize("status", [500, 503, None])
def test_a_server_that_cannot_be_asked_leaves_the_copy_in_use_with_a_word(server, target, status, caplog):
    brought(server, target)
    server.status = status
    address = server.address if status else "http://127.0.0.1:9"

    with caplog.at_level(logging.WARNING):
        copy = cached_copy(WebFile(f"{address}/x.npz"), target, sleep=lambda _: None)

    assert copy == cache.CachedCopy(file=target, is_fresh=False)
    assert "its copy in the cache is used" in caplog.text


@pytest.mark.parametrize("status", [404, 403])
def test_a_server_that_says_no_is_believed(server, target, status):
    brought(server, target)
    server.status = status

    with pytest.raises(RemoteFailure, match=str(status)):
        brought(server, target)


def test_a_copy_that_was_changed_or_of_which_nothing_is_noted_does_not_count(server, target):
    brought(server, target)
    target.write_bytes(b"cut")
    assert brought(server, target).is_fresh
    assert target.read_bytes() == b"images"

    drop(target)
    target.write_bytes(b"of an older version of this program")
    assert brought(server, target).is_fresh
    assert target.read_bytes() == b"images"


def test_a_refresh_fetches_what_is_there_anyway(server, target):
    brought(server, target)
    server.content = b"others"  # a server that keeps its ETag

    assert not brought(server, target).is_fresh
    assert brought(server, target, refresh=True).is_fresh
    assert target.read_bytes() == b"others"


def test_a_refresh_that_fails_leaves_the_copy(server, target):
    brought(server, target)
    server.status = 500

    with pytest.raises(RemoteFailure):
        brought(server, target, refresh=True)

    server.status = None
    assert not brought(server, target).is_fresh


def test_a_large_file_comes_in_spans_and_goes_on_where_it_was_cut(server, target):
    server.content = LARGE
    server.cuts = [1000, 500, 500]

    brought(server, target)

    assert target.read_bytes() == LARGE
    assert len({span for _, span in server.asked} - {None}) == 6


def test_the_next_process_goes_on_where_this_one_gave_up(server, target):
    server.content = LARGE

    def dies(_: float) -> None:
        raise KeyboardInterrupt

    server.cuts = [5_000_000, None, None]
    with pytest.raises(KeyboardInterrupt):
        brought(server, target, sleep=dies)
    assert not target.exists()
    asked = len(server.asked)
    brought(server, target)

    assert target.read_bytes() == LARGE
    resumed = [span for _, span in server.asked[asked:]]
    assert resumed[0] == f"bytes=5000000-{CHUNK_BYTES - 1}"
    assert "bytes=0-8388607" not in resumed
    assert [path.name for path in target.parent.iterdir() if "part" in path.name] == []


def test_a_part_of_another_version_is_thrown_away(server, target):
    server.content = LARGE

    def dies(_: float) -> None:
        raise KeyboardInterrupt

    server.cuts = [5_000_000, None, None]
    with pytest.raises(KeyboardInterrupt):
        brought(server, target, sleep=dies)
    server.content, server.etag = bytes(reversed(LARGE)), '"2"'
    brought(server, target)

    assert target.read_bytes() == server.content


def test_a_file_that_changes_under_way_is_fetched_from_its_beginning(server, target):
    server.content = LARGE

    def change(_: float) -> None:
        server.content, server.etag = bytes(reversed(LARGE)), '"2"'

    server.cuts = [1000, 1000, 1000]
    brought(server, target, sleep=change)

    assert target.read_bytes() == bytes(reversed(LARGE))


def test_servers_that_disagree_on_the_version_are_asked_for_one_piece(server, target):
    """Behind a load balancer every server may make an ETag of its own."""
    server.content = LARGE

    class Numbered(WebFile):
        def get(self, span, *, unless):
            server.etag = f'"{len(server.asked)}"'
            return super().get(span, unless=unless)

    cached_copy(Numbered(f"{server.address}/x.npz"), target, sleep=lambda _: None)

    assert target.read_bytes() == LARGE
    assert server.asked[-1][1] is None


@pytest.mark.parametrize("etag", ["W/1", None])
def test_a_file_without_a_strong_version_comes_in_one_piece(server, target, etag):
    server.content, server.etag = LARGE, etag

    brought(server, target)

    assert target.read_bytes() == LARGE
    assert [span is None for _, span in server.asked] == [False, True]


def test_a_server_without_ranges_sends_it_in_one_piece_and_a_cut_is_not_kept(server, target):
    server.content, server.knows_ranges, server.cuts = LARGE, False, [1000]

    with pytest.raises(RemoteFailure, match=f"{len(LARGE) - 1000:,} bytes too early"):
        brought(server, target)
    assert [path.name for path in target.parent.iterdir()] == ["x.npz.lock"]

    brought(server, target)
    assert target.read_bytes() == LARGE


def test_what_the_disk_has_no_room_for_is_not_kept(server, target, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 5}))

    for server.announces_length, server.knows_ranges in ((True, True), (True, False), (False, False)):
        with pytest.raises(RemoteFailure, match=r"it has 6 bytes, but .* has room for 5|it is more than 5 bytes"):
            brought(server, target)
        assert [path.name for path in target.parent.iterdir()] == ["x.npz.lock"]


def test_a_full_disk_does_not_stay_full(server, target, monkeypatch):
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.pwrite", full)
    with pytest.raises(OSError, match="No space left"):
        brought(server, target)

    assert [path.name for path in target.parent.iterdir()] == ["x.npz.lock"]


def test_however_many_ask_it_is_fetched_once(server, target):
    threads = [threading.Thread(target=brought, args=(server, target)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert target.read_bytes() == b"images"
    assert len(server.asked) == 4  # the first for the file, the others whether it is the same
