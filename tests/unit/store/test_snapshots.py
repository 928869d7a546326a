"""Snapshots: one newest state, however many write, and whatever a writer slept through."""

import threading
from pathlib import Path

import pytest

from vae_search.errors import CorruptStore
from vae_search.store.backends.local import LocalStore
from vae_search.store.logs.snapshots import KEPT, Snapshots


@pytest.fixture
def snapshots(store: LocalStore) -> Snapshots:
    return Snapshots(store, "webhooks/chat")


def test_the_newest_holds_and_old_ones_go(store, snapshots):
    assert snapshots.newest() == (0, {})
    for number in range(20):
        assert snapshots.add({"value": number}, after=number)

    assert snapshots.newest() == (20, {"value": 19})
    assert len(store.list("webhooks/chat")) == KEPT


def test_of_two_writers_one_must_decide_again(snapshots):
    assert snapshots.add({"value": 1}, after=0)

    assert not snapshots.add({"value": 2}, after=0)
    assert snapshots.newest() == (1, {"value": 1})


def test_a_writer_that_slept_until_its_number_was_removed_changes_nothing(snapshots):
    for number in range(10):
        assert snapshots.add({"value": number}, after=number)

    assert not snapshots.add({"value": "old"}, after=2)
    assert snapshots.newest() == (10, {"value": 9})
    assert snapshots.add({"value": "new"}, after=10)
    assert snapshots.newest() == (11, {"value": "new"})


def test_a_damaged_one_is_told_and_the_one_before_takes_its_place(tmp_path: Path):
    store = LocalStore(tmp_path / "store")
    snapshots = Snapshots(store, "states")
    for number in range(2):
        snapshots.add({"value": number}, after=number)
    path = tmp_path / "store" / snapshots.path(2)
    path.write_bytes(path.read_bytes().replace(b"1", b"7", 1))

    with pytest.raises(CorruptStore, match="Remove it; the state before it"):
        snapshots.newest()
    path.unlink()
    assert snapshots.newest() == (1, {"value": 0})


def test_many_writers_at_once_lose_no_change(store, without_fsync):
    def add(own: int) -> None:
        snapshots = Snapshots(store, "states")
        while True:
            number, record = snapshots.newest()
            values = {*record.get("values", [])}
            if own in values or snapshots.add({"values": sorted({*values, own})}, after=number):
                return

    threads = [threading.Thread(target=add, args=(own,)) for own in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Snapshots(store, "states").newest()[1] == {"values": [*range(12)]}
