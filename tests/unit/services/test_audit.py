"""Audit: each entry of a log is read once, and what comes later is there on the next look."""

from pathlib import Path

from tests.support.web_service import NOW
from vae_search.queue.sweep_queue import SweepQueue
from vae_search.registry.log import Action
from vae_search.registry.registry import Registry
from vae_search.services.browsing.audit import Audit
from vae_search.store.backends.local import LocalStore


class CountingStore(LocalStore):
    """A store that counts the files that are read."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.reads = 0

    def read_many(self, paths):
        wanted = [*paths]
        self.reads += len(wanted)
        return super().read_many(wanted)


def refuse(store: LocalStore, model: str = "fashion") -> None:
    registry = Registry(store, model, now=lambda: NOW, actor="ada")
    about = {"candidate": "digits/1", "candidate_sha256": "a" * 64, "verdicts": {"gates": []}}
    assert registry.add(Action.REJECT, seen=registry.state(), **about)


def test_an_entry_is_read_once_and_a_later_one_found(tmp_path):
    folder = tmp_path / "store"
    store, writer = CountingStore(folder), LocalStore(folder)
    SweepQueue(writer, now=lambda: NOW).submit("name: a", sweep="a", actor="bob")
    refuse(writer)
    audit = Audit(store)

    first, again = audit.page(limit=10), audit.page(limit=10, actor="ada")
    assert (first.total, again.total) == (2, 1)
    assert store.reads == 2
    refuse(writer)
    refuse(writer, "other")

    assert audit.page(limit=1).total == 4
    assert len(audit.page(limit=10, model="fashion").entries) == 2
    assert store.reads == 4


def test_a_damaged_log_is_told_and_the_others_are_shown(tmp_path):
    store = LocalStore(tmp_path / "store")
    refuse(store, "bad")
    store.replace("models/bad/log/000001.json", b"{}")
    refuse(store)
    audit = Audit(store)

    for _ in range(2):
        found = audit.page(limit=10)
        assert [entry["model"] for entry in found.entries] == ["fashion"]
        assert "models/bad/log/000001.json" in found.troubles[0]
