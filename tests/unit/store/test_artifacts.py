"""Artifacts: whole and unchanged, or not at all."""

import pytest

from vae_search.errors import CorruptStore, NotFound, StoreUnavailable
from vae_search.store import paths as store_paths
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.artifacts import drop, keep, load
from vae_search.store.paths import SweepPaths

FILES = {"config.json": b"{}\n", "model.weights.h5": bytes(range(256)) * 40}
FOLDER = SweepPaths("digits").artifact("000042")


def test_an_artifact_comes_back_as_it_was_kept(store: LocalStore) -> None:
    sha256 = keep(store, "digits", "000042", FILES)

    assert load(store, "digits", "000042") == FILES
    assert load(store, "digits", "000042", sha256=sha256) == FILES


def test_keeping_the_same_files_again_changes_nothing(store: LocalStore) -> None:
    first = keep(store, "digits", "000042", FILES)
    before = {path: store.local_path(path).stat().st_ino for path in store.list(FOLDER)}

    assert keep(store, "digits", "000042", dict(reversed(FILES.items()))) == first
    assert {path: store.local_path(path).stat().st_ino for path in store.list(FOLDER)} == before


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_damaged_file_is_named(store: LocalStore, name: str) -> None:
    keep(store, "digits", "000042", FILES)

    store.replace(f"{FOLDER}/{name}", FILES[name][:-1] + b"!")
    with pytest.raises(CorruptStore, match=rf"^{FOLDER}/{name}: damaged"):
        load(store, "digits", "000042")

    store.remove(f"{FOLDER}/{name}")
    with pytest.raises(CorruptStore, match=rf"^{FOLDER}/{name}: is missing"):
        load(store, "digits", "000042")


@pytest.mark.parametrize("manifest", [b"{}", b'{"files": 1}', b'{"files": {"config.json": "x"}}', b"\0"])
def test_a_damaged_manifest_is_named(store: LocalStore, manifest: bytes) -> None:
    keep(store, "digits", "000042", FILES)
    store.replace(store_paths.manifest(FOLDER), manifest)

    with pytest.raises(CorruptStore, match=FOLDER):
        load(store, "digits", "000042")


def test_the_artifact_of_another_row_is_refused(store: LocalStore) -> None:
    other = keep(store, "digits", "000041", {"config.json": b"other"})
    keep(store, "digits", "000042", FILES)

    with pytest.raises(CorruptStore, match="not the artifact"):
        load(store, "digits", "000042", sha256=other)


def test_a_dropped_artifact_is_not_found_and_may_be_dropped_again(store: LocalStore) -> None:
    keep(store, "digits", "000042", FILES)

    drop(store, "digits", "000042")
    drop(store, "digits", "000042")

    with pytest.raises(NotFound):
        load(store, "digits", "000042")
    assert store.list("sweeps") == []


def test_a_writer_that_ran_out_of_space_leaves_no_artifact_and_may_try_again(store: LocalStore) -> None:
    class FullStore(LocalStore):
        def create(self, path: str, content: bytes) -> None:
            if path.endswith(".h5"):
                raise StoreUnavailable(path)
            super().create(path, content)

    with pytest.raises(StoreUnavailable):
        keep(FullStore(store.local_path("")), "digits", "000042", FILES)

    with pytest.raises(NotFound):
        load(store, "digits", "000042")
    keep(store, "digits", "000042", FILES)
    assert load(store, "digits", "000042") == FILES


def test_a_drop_that_breaks_off_leaves_no_half_artifact(store: LocalStore) -> None:
    class BreakingOff(LocalStore):
        def remove_tree(self, prefix: str) -> None:
            raise StoreUnavailable(prefix)

    keep(store, "digits", "000042", FILES)

    with pytest.raises(StoreUnavailable):
        drop(BreakingOff(store.local_path("")), "digits", "000042")

    with pytest.raises(NotFound):
        load(store, "digits", "000042")


def test_other_files_of_a_dead_attempt_are_replaced(store: LocalStore) -> None:
    keep(store, "digits", "000042", {"config.json": b"old", "more.bin": b""})

    keep(store, "digits", "000042", FILES)

    assert load(store, "digits", "000042") == FILES
    assert len(store.list(FOLDER)) == 3


@pytest.mark.parametrize("name", ["manifest.json", "../000041/config.json", "/etc/passwd", ".hidden"])
def test_a_name_that_would_lead_elsewhere_is_refused(store: LocalStore, name: str) -> None:
    with pytest.raises(ValueError):
        keep(store, "digits", "000042", {name: b""})
