"""Live streams: one reader of the store per sweep, bounded, ended when nobody listens."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.rows import trial_row
from tests.support.stores import filled_store
from tests.support.web_service import app_of, client_of, serving, token_file
from vae_search.errors import NotFound
from vae_search.server.event_streams import stream
from vae_search.server.tokens import Role
from vae_search.server.watchers import WAITING_EVENTS, Listener, Watchers
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.trials import Ledger

PATIENCE_S = 30.0


@pytest.fixture
def full_store(tmp_path: Path) -> LocalStore:
    return filled_store(tmp_path / "store")


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that comes; fail if it never does."""
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


class Reader:
    """A client of a stream, on a socket of its own."""

    def __init__(self, port: int, *, last_seen: str | None = None, token: str | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        mark = "" if last_seen is None else f"Last-Event-ID: {last_seen}\r\n"
        mark += "" if token is None else f"Authorization: Bearer {token}\r\n"
        self.socket.sendall(f"GET /api/v1/sweeps/digits/events HTTP/1.1\r\nHost: localhost\r\n{mark}\r\n".encode())
        self.lines = self.socket.makefile("r", encoding="utf-8")

    def events(self) -> Iterator[tuple[str, str, dict]]:
        """Number, kind and data of each event."""
        found: dict[str, str] = {}
        for line in self.lines:
            name, colon, value = line.strip().partition(": ")
            if colon:
                found[name] = value
            if name == "data":
                yield found["id"], found["event"], json.loads(value)

    def close(self) -> None:
        self.lines.close()
        self.socket.close()


def threads_of_watchers() -> int:
    return sum(thread.name.startswith("watcher of") for thread in threading.enumerate())


def test_a_stream_tells_how_it_stands_and_each_trial_that_lands(full_store):
    with serving(app_of(full_store)) as port:
        reader = Reader(port)
        events = reader.events()
        first = next(events)
        Ledger(full_store, "digits").commit(trial_row(8), [])
        landed, progress = next(events), next(events)
        reader.close()

    assert (first[1], first[2]["finished"], first[2]["runs"]) == ("progress", 8, False)
    assert (landed[1], landed[2]["trial"], landed[2]["key"]) == ("trial", 8, "000008")
    assert (progress[1], progress[2]["finished"]) == ("progress", 9)


def test_a_client_that_comes_back_gets_what_it_has_missed(full_store):
    with serving(app_of(full_store)) as port:
        staying, leaving = Reader(port), Reader(port)
        seen = next(leaving.events())[0]
        next(staying.events())
        leaving.close()
        Ledger(full_store, "digits").commit(trial_row(8), [])
        stayed = [kind for _, (_, kind, _) in zip(range(2), staying.events(), strict=False)]
        back = Reader(port, last_seen=seen)
        kinds = [kind for _, (_, kind, _) in zip(range(2), back.events(), strict=False)]
        strange = Reader(port, last_seen="another-7")
        first = next(strange.events())
        for reader in (staying, back, strange):
            reader.close()

    assert stayed == kinds == ["trial", "progress"]
    assert (first[1], first[2]["finished"]) == ("progress", 9)


@pytest.mark.parametrize("readers", [100, pytest.param(1000, marks=pytest.mark.exhaustive)])
def test_many_idle_readers_share_one_watcher_and_others_are_answered(readers, full_store):
    app = app_of(full_store)
    before = threads_of_watchers()
    with serving(app) as port:
        streams = [Reader(port) for _ in range(readers)]
        for stream in streams:
            next(stream.events())
        watching = threads_of_watchers() - before
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as other:
            other.sendall(b"GET /api/v1/sweeps HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = other.makefile("rb").read()
        for stream in streams:
            stream.close()
        until(lambda: threads_of_watchers() == before)

    assert watching == 1
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_stream_of_no_sweep_is_refused(full_store):
    with client_of(app_of(full_store)) as client:
        assert client.get("/api/v1/sweeps/nosuch/events").status_code == 404


def test_a_listener_that_does_not_keep_up_is_let_go(full_store):
    async def overwhelmed() -> list[object]:
        listener = Listener()
        watchers = Watchers(full_store, monotonic=time.monotonic, look_s=0.02)
        watcher = await asyncio.to_thread(watchers.listen, "digits", listener, last_seen=None)
        for number in range(2 * WAITING_EVENTS):
            watcher._tell("trial", {"number": number})
        await asyncio.sleep(0)
        found = []
        while (event := await listener.next()) is not None:
            found.append(event)
        watchers.end()
        return found

    assert len(asyncio.run(overwhelmed())) <= WAITING_EVENTS + 1


def test_a_store_that_is_gone_ends_the_stream_with_a_reason(full_store):
    async def followed() -> list[str]:
        listener, watchers = Listener(), Watchers(full_store, monotonic=time.monotonic, look_s=0.02)
        await asyncio.to_thread(watchers.listen, "digits", listener, last_seen=None)
        await listener.next()
        watchers.end()
        await asyncio.to_thread(full_store.remove_tree, "sweeps/digits")
        with pytest.raises(NotFound):
            await asyncio.to_thread(watchers.listen, "digits", Listener(), last_seen=None)
        return [] if await listener.next() is None else ["more"]

    assert asyncio.run(followed()) == []


def test_a_stream_ends_when_its_token_is_revoked_and_others_go_on(full_store, tmp_path, monkeypatch):
    monkeypatch.setitem(stream.__kwdefaults__, "check_s", 0.05)
    file, tokens = token_file(tmp_path)
    with serving(app_of(full_store, tokens=file)) as port:
        revoked, kept = (Reader(port, token=tokens[role]) for role in (Role.VIEWER, Role.SUBMITTER))
        next(revoked.events())
        events = kept.events()
        next(events)
        file.revoke(Role.VIEWER.value)
        assert any(line.strip() == "0" for line in revoked.lines)  # the last chunk of the answer (RFC 9112, 7.1)
        Ledger(full_store, "digits").commit(trial_row(8), [])

        assert next(events)[1] == "trial"
        revoked.close()
        kept.close()


def test_a_stream_that_is_silent_is_kept_alive_and_asks_whether_it_may_go_on():
    class Silent:
        name = "silent"

        def leave(self, listener: Listener) -> None:
            self.left = listener

    async def read() -> tuple[list[str], bool]:
        watcher, listener, answers = Silent(), Listener(), iter([True] * 3 + [False])
        told = [
            text
            async for text in stream(watcher, listener, admitted=lambda: next(answers), silence_s=0.01, check_s=0.02)
        ]
        return told, watcher.left is listener

    told, left = asyncio.run(read())

    assert told[0].startswith("retry: ")
    assert set(told[1:]) == {":\n\n"}
    assert left
