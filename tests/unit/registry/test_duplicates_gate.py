"""Copies of training images among those held out: they keep a model from being promoted, unless the spec allows it."""

import json

import pytest

from tests.support.candidates import NOW, FakeBackend, candidate, put_sweep
from vae_search.core.dataset_summary import DatasetSummary
from vae_search.registry.promotion.decision import PromotionPolicy
from vae_search.registry.promotion.pipeline import Decision, PromotionOutcome, promote_best
from vae_search.registry.registry import Registry
from vae_search.registry.version_files import read_version
from vae_search.store.backends.base import Store

LEAKING = DatasetSummary(
    height=28,
    width=28,
    channels=1,
    white=255.0,
    range=(0.0, 1.0),
    is_binary=False,
    is_coloured=False,
    parts={"train": 200, "select": 25, "judge": 25, "test": 50},
    has_own_test=True,
    copies=240,
    in_train={"select": 20, "judge": 20, "test": 45},
    notes=("Left out: 3 files.",),
)


def ask(store: Store, backend: FakeBackend, **rules: object) -> Decision:
    policy = PromotionPolicy(**rules)
    return promote_best(store, "digits", model="m", rules=policy, backend=backend, now=lambda: NOW)


def test_the_part_with_most_copies_counts():
    assert LEAKING.held_out_share_in_train == 0.9


@pytest.mark.parametrize(("share", "passes"), [(0.0, True), (0.01, True), (0.011, False), (1.0, False)])
def test_a_hundredth_is_the_most_by_default(store, share, passes):
    put_sweep(store, candidate())

    decision = ask(store, FakeBackend(share))

    assert (decision.outcome is PromotionOutcome.PROMOTED) == passes


def test_a_refusal_names_the_share_and_leaves_the_test_images_unseen(store):
    put_sweep(store, candidate())
    backend = FakeBackend(0.8)

    decision = ask(store, backend)

    assert decision.ruling.reasons == (
        "gate duplicates: 80.00% of the held-out images are copies of training images, at most 1.00%",
    )
    assert backend.tests == 0


def test_the_spec_may_allow_copies_and_the_card_tells_of_them(store):
    put_sweep(store, candidate(), images=LEAKING)

    decision = ask(store, FakeBackend(0.9), limits={"duplicates": 1.0})

    assert decision.outcome is PromotionOutcome.PROMOTED
    version = Registry(store, "m", now=lambda: NOW).state().versions[1]
    files = read_version(store, "m", 1, sha256=version.manifest_sha256)
    assert json.loads(files["card.json"])["images"]["in_train"] == {"select": 20, "judge": 20, "test": 45}
    assert "20 of 25 select images, 20 of 25 judge images, 45 of 50 test images" in files["card.md"].decode()


def test_a_candidate_without_a_summary_of_its_images_has_a_card_too(store):
    put_sweep(store, candidate())

    assert ask(store, FakeBackend()).outcome is PromotionOutcome.PROMOTED
