"""Traversals of the service: decoded once for each content of a version, one at a time, bounded."""

import threading
from pathlib import Path

import pytest

from tests.support.published_models import publish
from tests.support.web_service import app_of, client_of
from vae_search.errors import NotFound
from vae_search.server.child_processes import traversals
from vae_search.server.child_processes.one_at_a_time import KEPT, MOST_WAITING
from vae_search.server.child_processes.traversals import TraversalReader
from vae_search.server.problems import RefusalError
from vae_search.server.submissions import DataRoots
from vae_search.services.models.traversals import Traversal, VersionKey
from vae_search.store.backends.local import LocalStore

INSIDE = "http://169.254.169.254/latest"  # an address that only this machine reaches


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path / "store")
    publish(store, "digits")
    return store


def key(model: str, number: int, *, source: str = "digits", follow_links: bool = False) -> VersionKey:
    return VersionKey(model=model, number=number, sha256="0" * 64, source=source, follow_links=follow_links)


class Decoder:
    """Stands for the child process; notes what it was asked for, and waits until it is let go."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, bool]] = []
        self.go = threading.Event()
        self.go.set()
        self.begun = threading.Semaphore(0)

    def __call__(self, location: str, model: str, number: int, *, with_images: bool) -> Traversal:
        self.asked.append((model, number, with_images))
        self.begun.release()
        assert self.go.wait(10)
        return Traversal(facts={"units": []}, sheet=f"{model}:{number}".encode())


def read_version(reader: TraversalReader, model: str, number: int) -> Traversal:
    return reader.read(reader.key(model, number))


def reader(store: LocalStore, decode: Decoder, **more: object) -> TraversalReader:
    return TraversalReader(store, location=store.location, roots=DataRoots(), decode=decode, **more)


def test_a_version_is_decoded_once(store):
    decode = Decoder()
    read = reader(store, decode)

    assert {read_version(read, "digits", 1).sheet for _ in range(3)} == {b"digits:1"}
    assert decode.asked == [("digits", 1, True)]
    with pytest.raises(NotFound):
        read_version(read, "digits", 2)


def test_images_that_no_data_root_allows_are_not_read(store, monkeypatch):
    decode = Decoder()
    monkeypatch.setattr(traversals, "version_key", lambda _, model, number: key(model, number, source=INSIDE))

    read_version(reader(store, decode), "digits", 1)

    assert decode.asked == [("digits", 1, False)]


def test_images_that_lead_out_of_a_data_root_by_links_are_not_read(store, tmp_path, monkeypatch):
    decode = Decoder()
    read = TraversalReader(store, location=store.location, roots=DataRoots.parse([str(tmp_path)]), decode=decode)
    for number, links in ((1, False), (2, True)):
        found = key("digits", number, source=str(tmp_path), follow_links=links)
        monkeypatch.setattr(traversals, "version_key", lambda *_, found=found: found)
        read_version(read, "digits", number)

    assert decode.asked == [("digits", 1, True), ("digits", 2, False)]


def test_those_who_come_while_it_is_decoded_share_it_and_too_many_are_refused(store):
    decode = Decoder()
    decode.go.clear()
    read, found = reader(store, decode), []
    threads = [
        threading.Thread(target=lambda: found.append(read_version(read, "digits", 1))) for _ in range(MOST_WAITING)
    ]
    for thread in threads:
        thread.start()
    assert decode.begun.acquire(timeout=10)
    while read._decoded._waiting._value:  # until the last of them waits as well
        threading.Event().wait(0.01)

    with pytest.raises(RefusalError) as refused:
        read_version(read, "digits", 1)
    decode.go.set()
    for thread in threads:
        thread.join(10)

    assert refused.value.status == 503
    assert len(found) == MOST_WAITING
    assert len(decode.asked) == 1


def test_whoever_waits_too_long_for_another_model_is_refused(store):
    publish(store, "other", model="other")
    decode = Decoder()
    decode.go.clear()
    read = reader(store, decode, wait_s=0.05)
    thread = threading.Thread(target=read_version, args=(read, "digits", 1))
    thread.start()
    assert decode.begun.acquire(timeout=10)

    with pytest.raises(RefusalError):
        read_version(read, "other", 1)
    decode.go.set()
    thread.join(10)

    assert read_version(read, "other", 1).sheet == b"other:1"


def test_what_is_kept_is_bounded_and_the_last_asked_for_stays(store, monkeypatch):
    decode = Decoder()
    read = reader(store, decode)
    monkeypatch.setattr(traversals, "version_key", lambda _, model, number: key(model, number))

    for number in range(KEPT + 1):
        read_version(read, "digits", number)
        read_version(read, "digits", 0)

    assert len(decode.asked) == KEPT + 1
    read_version(read, "digits", 1)
    assert len(decode.asked) == KEPT + 2


def test_a_reader_gets_facts_and_sheet(store):
    app = app_of(store)
    app.state.service.traversals = reader(store, Decoder())

    with client_of(app) as client:
        facts = client.get("/api/v1/models/digits/versions/1/traversal")
        sheet = client.get("/api/v1/models/digits/versions/1/traversal.png")

    assert facts.json() == {"units": []}
    assert (sheet.content, sheet.headers["content-type"]) == (b"digits:1", "image/png")


def test_a_browser_asks_each_time_and_hears_that_its_sheet_holds_until_the_version_is_another(store, monkeypatch):
    decode = Decoder()
    app = app_of(store)
    app.state.service.traversals = reader(store, decode)

    with client_of(app) as client:
        address = "/api/v1/models/digits/versions/1/traversal.png"
        first = client.get(address)
        mark = {"If-None-Match": first.headers["etag"]}
        again = client.get(address, headers=mark)
        monkeypatch.setattr(traversals, "version_key", lambda _, model, number: key(model, number))
        of_another = client.get(address, headers=mark)

    assert first.headers["cache-control"] == "private, no-cache"
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert (of_another.status_code, of_another.content) == (200, b"digits:1")
    assert len(decode.asked) == 2
