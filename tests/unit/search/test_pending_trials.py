"""Suggestions in flight, and those of an earlier sweep of the same name."""

import json
import logging

import pytest

from vae_search.errors import CorruptStore
from vae_search.search.messages import TrialAssignment
from vae_search.search.pending_trials import PendingTrials
from vae_search.spec.search_space_yaml import read_space
from vae_search.store.backends.local import LocalStore
from vae_search.store.leases.lease import acquire
from vae_search.store.leases.records import Purpose
from vae_search.store.ledger import checkpoints
from vae_search.store.paths import SweepPaths

PATHS = SweepPaths("digits")
SPACE = read_space({"latent_dim": {"type": "int", "low": 2, "high": 8}})


def begin(store: LocalStore, incarnation: str) -> None:
    store.replace(PATHS.resolved, json.dumps({"incarnation": incarnation}).encode())


def assignment(trial: int, latent_dim: int = 4) -> TrialAssignment:
    return TrialAssignment(trial=trial, params={"latent_dim": latent_dim}, seed=1)


def unfinished(store: LocalStore) -> list[TrialAssignment]:
    return [*PendingTrials(store, "digits").unfinished(SPACE, over=(), lease=9)]


def test_a_suggestion_of_an_earlier_sweep_is_passed_over_and_replaced(
    store: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    begin(store, "first")
    PendingTrials(store, "digits").record(assignment(0, latent_dim=2))
    checkpoints.save(store, "digits", "000000", lease=1, epoch=3, files={"state.npz": b"another config's"})
    begin(store, "second")
    pending = PendingTrials(store, "digits")

    with caplog.at_level(logging.WARNING):
        found = unfinished(store)
    with pytest.raises(CorruptStore, match="belongs to another sweep of this name"):
        pending.assignment("000000")
    is_new = pending.record(assignment(0))
    pending.insist(assignment(0))

    assert found == []
    assert "is another sweep's of this name" in caplog.text
    assert not is_new
    assert unfinished(store) == [assignment(0)]
    assert checkpoints.newest_intact(store, "digits", "000000") is None


def test_a_new_trial_never_goes_on_from_what_a_worker_of_a_removed_sweep_has_saved(store: LocalStore) -> None:
    acquire(store, "digits", purpose=Purpose.REMOVE).release()
    begin(store, "second")
    checkpoints.save(store, "digits", "000000", lease=1, epoch=3, files={"state.npz": b"another config's"})

    assert PendingTrials(store, "digits").record(assignment(0))

    assert checkpoints.newest_intact(store, "digits", "000000") is None


def test_recording_a_suggestion_again_leaves_its_checkpoints(store: LocalStore) -> None:
    begin(store, "first")
    pending = PendingTrials(store, "digits")
    pending.record(assignment(0))
    checkpoints.save(store, "digits", "000000", lease=1, epoch=3, files={"state.npz": b"its own"})

    assert not pending.record(assignment(0))
    pending.insist(assignment(0))

    assert checkpoints.newest_intact(store, "digits", "000000").epoch == 3
