"""Uploaded images go when nothing has referred to them for a week, and never under somebody who needs them."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.candidates import NOW, candidate, put_sweep
from vae_search.registry.promotion.decision import PromotionPolicy
from vae_search.registry.promotion.pipeline import promote_best
from vae_search.services import maintenance
from vae_search.services.images import sent_images
from vae_search.store.backends.json_records import to_json_bytes
from vae_search.store.paths import SweepPaths

DAY_S = 86_400.0
NOW_S = NOW.timestamp()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "drawings"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"picture a")
    return folder


def gc(store, days: float, *, dry_run: bool = False) -> dict[str, int]:
    done = maintenance.gc(store, None, dry_run=dry_run, now_s=NOW_S + days * DAY_S)
    return {path: size for cleaning in done for path, size in cleaning.removed.items()}


def put_sweep_of(store, source: str, *finalists) -> None:
    put_sweep(store, *finalists)
    path = SweepPaths("digits").resolved
    fields = json.loads(store.read(path))
    fields["spec"]["data"]["source"] = source
    store.replace(path, to_json_bytes(fields))


def test_images_that_nothing_refers_to_go_a_week_after_that_was_noticed(store, images):
    source = sent_images.source_of(images)
    sent_images.put(store, source, images)
    folder = f"images/{source.removeprefix('store:').partition('/')[0]}"

    freed = [gc(store, 0, dry_run=True), gc(store, 1), gc(store, 7), gc(store, 8.1, dry_run=True), gc(store, 8.2)]

    assert freed == [{}, {}, {}, {folder: 9}, {folder: 9}]
    assert store.list("images") == []


def test_images_that_were_uploaded_again_meanwhile_begin_a_new_week(store, images):
    source = sent_images.source_of(images)
    sent_images.put(store, source, images)
    gc(store, 0)

    sent_images.put(store, source, images)

    assert gc(store, 8) == {}
    assert gc(store, 16) != {}


def test_images_of_a_sweep_stay(store, images):
    source = sent_images.source_of(images)
    sent_images.put(store, source, images)
    gc(store, 0)
    put_sweep_of(store, source)

    assert (gc(store, 8), gc(store, 30)) == ({}, {})
    assert [path for path in store.list("images") if "unused" in path] == []

    maintenance.remove(store, "digits")

    assert gc(store, 40) == {}
    assert len(gc(store, 48)) == 1


def test_images_of_a_promoted_version_stay_after_its_sweep_is_gone(store, images, backend):
    source = sent_images.source_of(images)
    sent_images.put(store, source, images)
    put_sweep_of(store, source, candidate())
    promote_best(store, "digits", model="fashion", rules=PromotionPolicy(), backend=backend, now=lambda: NOW)
    maintenance.remove(store, "digits")

    assert (gc(store, 0), gc(store, 30)) == ({}, {})
    assert store.list("images") != []


def test_nothing_goes_while_a_sweep_cannot_be_read(store, images):
    sent_images.put(store, sent_images.source_of(images), images)
    gc(store, 0)
    put_sweep(store)
    store.replace(SweepPaths("digits").resolved, b"{}")

    assert not any(path.startswith("images") for path in gc(store, 30))
    assert store.list("images") != []


def test_what_is_kept_for_now_is_told(store, images):
    sent_images.put(store, sent_images.source_of(images), images)

    done = maintenance.gc(store, None, dry_run=False, now_s=NOW_S)

    (told,) = [cleaning.skipped for cleaning in done if cleaning.skipped]
    assert told.endswith(f"unused, kept until {NOW + timedelta(days=7):%Y-%m-%d %H:%M} UTC")
