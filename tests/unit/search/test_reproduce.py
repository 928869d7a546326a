"""A finished trial trained once more."""

from dataclasses import replace

import numpy as np
import pytest

from vae_search.core.trial_state import State
from vae_search.search.worker.reproduce import reproduce
from vae_search.store import paths as store_paths
from vae_search.store.ledger import artifacts
from vae_search.store.ledger.artifacts import WEIGHTS_FILE
from vae_search.store.ledger.trials import Ledger
from vae_search.vae.inference.npz import arrays_of

pytestmark = pytest.mark.needs_tensorflow


@pytest.fixture
def finished(open_session, store):
    """A sweep of which one trial was interrupted and continued from a checkpoint."""
    hasty = ("checkpoint_s=0.001", "budget.trials=4")
    open_session(*hasty).run(until=lambda report: report.key == "000000" and report.epoch == 3)
    session = open_session(*hasty)
    session.run()
    return session, Ledger(store, "small")


def test_every_bit_comes_out_again_although_the_trial_was_interrupted(finished, store, small_task):
    session, ledger = finished
    row = ledger.trial(0)
    assert row.attempts > 1
    kept = next(r for r in ledger.trials() if r.artifact_sha256 is not None)
    weights = arrays_of(artifacts.load(store, "small", store_paths.trial_key(kept.trial))[WEIGHTS_FILE])

    seen = []
    again = reproduce(row, ledger.epochs(0), None, spec=session.spec, task=small_task, on_epoch=seen.append)
    with_weights = reproduce(
        kept, ledger.epochs(kept.trial), weights, spec=session.spec, task=small_task, on_epoch=seen.append
    )

    assert (again.difference, again.epochs) == (None, row.epochs)
    assert (with_weights.difference, with_weights.weights_compared) == (None, True)
    assert len(seen) == row.epochs + kept.epochs


@pytest.mark.parametrize("change", ["seed", "images", "weights"])
def test_what_does_not_come_out_again_is_named(finished, store, small_task, change):
    session, ledger = finished
    kept = next(r for r in ledger.trials() if r.state is State.COMPLETE and r.artifact_sha256 is not None)
    weights = arrays_of(artifacts.load(store, "small", store_paths.trial_key(kept.trial))[WEIGHTS_FILE])
    row, images = kept, small_task
    match change:
        case "seed":
            row = replace(kept, seed=kept.seed + 1)
        case "images":
            images = replace(small_task, train=np.roll(small_task.train, 1, axis=0))
        case "weights":
            weights["encoder/00-kernel"] = weights["encoder/00-kernel"] + 1e-6

    found = reproduce(row, ledger.epochs(row.trial), weights, spec=session.spec, task=images, on_epoch=lambda _: None)

    assert found.difference is not None
    assert ("weights" if change == "weights" else "epoch 1 has") in found.difference
