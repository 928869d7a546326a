"""Checkpoints: the newest whole one counts."""

import pytest

from vae_search.store import paths as store_paths
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.checkpoints import newest_intact, prune, save
from vae_search.store.paths import SweepPaths

KEY = "000042"


def files(epoch: int) -> dict[str, bytes]:
    return {"weights.npz": b"w" * 1000 + bytes([epoch]), "state/epochs.json": b"[%d]" % epoch}


def folder(epoch: int, lease: int = 1) -> str:
    return SweepPaths("digits").checkpoint(KEY, lease, epoch)


def saved(store: LocalStore) -> list[str]:
    return [path for path in store.list(SweepPaths("digits").run(KEY)) if path.endswith("manifest.json")]


def test_a_run_without_checkpoints_starts_from_nothing(store: LocalStore) -> None:
    store.create(SweepPaths("digits").suggestion(KEY), b"{}")

    assert newest_intact(store, "digits", KEY) is None


def test_the_newest_checkpoint_is_found_with_all_its_files(store: LocalStore) -> None:
    for epoch in (9, 10, 2):
        save(store, "digits", KEY, 1, epoch, files(epoch))

    found = newest_intact(store, "digits", KEY)

    assert (found.epoch, found.lease, found.files) == (10, 1, files(10))


def test_checkpoints_of_another_run_do_not_count(store: LocalStore) -> None:
    save(store, "digits", "000042-s1", 1, 5, files(5))

    assert newest_intact(store, "digits", KEY) is None


def test_the_epoch_decides_and_then_the_newer_lease(store: LocalStore) -> None:
    for lease, epoch in ((1, 3), (2, 4), (3, 4), (4, 2)):
        save(store, "digits", KEY, lease, epoch, files(epoch))

    found = newest_intact(store, "digits", KEY)

    assert (found.epoch, found.lease) == (4, 3)


@pytest.mark.parametrize("damage", ["no manifest", "no file", "half a file", "half a manifest"])
def test_a_torn_checkpoint_falls_back_to_the_one_before(store: LocalStore, damage: str) -> None:
    save(store, "digits", KEY, 1, 3, files(3))
    save(store, "digits", KEY, 2, 4, files(4))
    weights, manifest = f"{folder(4, 2)}/weights.npz", store_paths.manifest(folder(4, 2))
    match damage:
        case "no manifest":
            store.remove(manifest)
        case "no file":
            store.remove(weights)
        case "half a file":
            store.replace(weights, store.read(weights)[:500])
        case "half a manifest":
            store.replace(manifest, store.read(manifest)[:50])

    found = newest_intact(store, "digits", KEY)

    assert (found.epoch, found.files) == (3, files(3))


def test_when_all_are_damaged_the_run_starts_from_nothing(store: LocalStore) -> None:
    save(store, "digits", KEY, 1, 3, files(3))
    store.replace(f"{folder(3)}/weights.npz", b"")

    assert newest_intact(store, "digits", KEY) is None


def test_what_a_killed_writer_left_is_written_anew(store: LocalStore) -> None:
    store.create(f"{folder(3)}/weights.npz", b"other")

    save(store, "digits", KEY, 1, 3, files(3))

    assert newest_intact(store, "digits", KEY).files == files(3)


def test_pruning_keeps_the_two_newest_over_all_leases(store: LocalStore) -> None:
    for lease, epoch in ((1, 1), (1, 2), (2, 3), (2, 4)):
        save(store, "digits", KEY, lease, epoch, files(epoch))

    prune(store, "digits", KEY, lease=2)

    assert saved(store) == [store_paths.manifest(folder(epoch, 2)) for epoch in (3, 4)]
    assert all("/000002/" in path for path in store.list(SweepPaths("digits").run(KEY)))


def test_pruning_leaves_a_newer_lease_and_what_is_being_written_alone(store: LocalStore) -> None:
    for lease, epoch in ((1, 1), (1, 2), (1, 3), (2, 1)):
        save(store, "digits", KEY, lease, epoch, files(epoch))
    store.create(f"{folder(4)}/weights.npz", b"half")

    prune(store, "digits", KEY, lease=1)

    assert saved(store) == [store_paths.manifest(folder(epoch)) for epoch in (2, 3)] + [
        store_paths.manifest(folder(1, 2))
    ]
    assert store.read(f"{folder(4)}/weights.npz") == b"half"


def test_pruning_twice_changes_nothing_more(store: LocalStore) -> None:
    for epoch in (1, 2, 3):
        save(store, "digits", KEY, 1, epoch, files(epoch))
    prune(store, "digits", KEY, lease=1)
    before = store.list("")

    prune(store, "digits", KEY, lease=1)

    assert store.list("") == before
