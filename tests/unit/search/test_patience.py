"""Trials that patience completes: early, resumable, and faced by those that come later."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.rows import epoch_rows, trial_row
from tests.support.sweeps import digits_task, small_spec
from vae_search.core.trial_state import Reason, State
from vae_search.errors import Conflict
from vae_search.search.pruning import SuccessiveHalving
from vae_search.search.rungs.rung_bounds import recorded_bounds
from vae_search.search.study.rung_values import END
from vae_search.search.study.study import SweepStudy
from vae_search.search.study.trial_results import trial_result
from vae_search.search.worker.reproduce import reproduce
from vae_search.store.ledger import artifacts
from vae_search.store.ledger.artifacts import WEIGHTS_FILE
from vae_search.store.ledger.confirm_runs import ConfirmRuns
from vae_search.store.ledger.trials import Ledger
from vae_search.vae.inference.npz import arrays_of

pytestmark = pytest.mark.needs_tensorflow

LIMIT = 60
SPACE = "search_space={latent_dim: 4, learning_rate: 1e-2, depth: 1, width: 16, batch_size: 16}"
PATIENT = (SPACE, f"budget.epochs={LIMIT}", "budget.patience=2", "budget.trials=1", "pruning=off")
CONFIRMED = (*PATIENT, "confirm={finalists: 1, seeds: 1}")


@pytest.fixture(scope="session")
def small_task():
    """So few images that the held-out bound stops falling long before the limit."""
    task = digits_task()
    return replace(task, train=task.train[:96])


def told(row) -> dict[str, object]:
    """What a row says of its training, without clocks and counts of attempts."""
    left_out = ("attempts", "lease", "started_at", "finished_at", "cpu_s", "wall_s", "images_per_s")
    names = [name for name in row.__dataclass_fields__ if name not in (*left_out, "peak_memory_bytes", "epochs_sha256")]
    return {name: getattr(row, name) for name in names}


def test_a_trial_that_learns_no_more_is_complete_before_its_budget_with_the_scores_of_its_best_epoch(
    open_session, store
):
    session = open_session(*PATIENT)

    session.run()

    row = Ledger(store, "small").trial(0)
    curve = [epoch.neg_elbo for epoch in Ledger(store, "small").epochs(0)]
    assert (row.state, row.reason) == (State.COMPLETE, None)
    assert 8 <= row.epochs == len(curve) < LIMIT
    assert row.best_epoch == 1 + int(np.argmin(curve)) <= row.epochs - 2
    assert row.neg_elbo == min(curve) == row.distortion + row.rate
    assert row.instability is not None
    assert row.artifact_sha256 is not None


def test_a_trial_that_is_cut_has_the_values_of_its_best_epoch(open_session, store):
    session = open_session(
        SPACE, "budget.epochs=16", "budget.trials=5", "pruning={min_epochs: 14, reduction_factor: 2}"
    )

    session.run()

    cut = [row for row in Ledger(store, "small").trials() if row.state is State.PRUNED]
    assert any(row.best_epoch < row.epochs for row in cut)
    for row in cut:
        curve = Ledger(store, "small").epochs(row.trial)
        best = curve[row.best_epoch - 1]
        assert (row.neg_elbo, row.distortion, row.rate) == (best.neg_elbo, best.distortion, best.rate)
        assert row.neg_elbo == min(epoch.neg_elbo for epoch in curve)


def test_trials_and_confirm_runs_that_are_cut_anywhere_end_with_the_same_bits(open_session, store, without_fsync):
    whole = open_session(*CONFIRMED)
    whole.run()
    expected = [told(row) for row in (*Ledger(store, "small").trials(), *ConfirmRuns(store, "small").rows())]
    store.remove_tree("sweeps/small")
    reports = 0

    def dies_at_every_ninth_report(report) -> bool:
        nonlocal reports
        reports += 1
        return reports % 9 == 0

    drivers, finished = 0, False
    while not finished:
        drivers += 1
        session = open_session(*CONFIRMED, "checkpoint_s=0.001")
        session.run(until=dies_at_every_ninth_report)
        finished = session.coordinator.exhausted and session.coordinator.in_flight == 0

    found = [told(row) for row in (*Ledger(store, "small").trials(), *ConfirmRuns(store, "small").rows())]
    assert drivers > 2
    assert found == expected
    assert {row["epochs"] < LIMIT for row in found} == {True}


def test_a_trial_that_patience_completed_comes_out_again_with_its_weights(open_session, store, small_task):
    session = open_session(*PATIENT)
    session.run()
    row = Ledger(store, "small").trial(0)
    weights = arrays_of(artifacts.load(store, "small", row.key)[WEIGHTS_FILE])

    again = reproduce(
        row, Ledger(store, "small").epochs(0), weights, spec=session.spec, task=small_task, on_epoch=lambda _: None
    )

    assert (again.difference, again.epochs, again.weights_compared) == (None, row.epochs, True)


def test_confirm_epochs_may_change_as_long_as_patience_would_have_ended_the_runs_all_the_same(open_session, store):
    open_session(*CONFIRMED).run()
    trained = max(row.epochs for row in ConfirmRuns(store, "small").rows())

    open_session(*CONFIRMED, f"confirm.epochs={LIMIT + 40}")
    open_session(*CONFIRMED, f"confirm.epochs={trained}")
    with pytest.raises(Conflict, match=rf"confirm\.epochs is {trained - 1}, but confirm run"):
        open_session(*CONFIRMED, f"confirm.epochs={trained - 1}")


def test_confirm_runs_that_reached_their_limit_do_not_allow_another_although_there_is_patience(open_session):
    open_session(*CONFIRMED, "confirm.epochs=3").run()

    with pytest.raises(Conflict, match=r"confirm\.epochs is 5, but confirm run 00000\d-s1 was trained for 3"):
        open_session(*CONFIRMED, "confirm.epochs=5")


def test_the_time_that_confirm_runs_need_is_forecast_from_where_patience_ended_their_config(open_session):
    session = open_session(*CONFIRMED)
    order = session.start()
    while session.coordinator.record(session.runner.step()) is None:
        pass
    session.coordinator.commit_trial(order.key)

    forecast_s = session.coordinator._confirmation.forecast_s(slots=1)

    assert forecast_s == pytest.approx(session.landed[0].wall_s)


@pytest.mark.parametrize(
    ("state", "reason", "known"), [(State.COMPLETE, None, True), (State.PRUNED, Reason.TIME, False)]
)
def test_the_final_bound_of_a_complete_trial_counts_at_the_rungs_that_it_does_not_reach(state, reason, known):
    spec = small_spec("budget.epochs=60", "pruning={min_epochs: 4, reduction_factor: 3}")  # rungs 4, 12, 36
    halving = SuccessiveHalving(spec)
    row = trial_row(0, sweep="small", state=state, reason=reason, epochs=20, neg_elbo=90.0)

    halving.replay(row, epoch_rows(0, "small", epochs=20))  # 110 - epoch

    assert halving._values[36] == ({0: 90.0} if known else {})
    halving.note(36, 1, 91.0, epoch_flops=None)
    halving.note(36, 2, 80.0, epoch_flops=None)
    halving.note(36, 3, 92.0, epoch_flops=None)
    assert halving.decide(36, 3).reason.startswith("rank 4 of 4" if known else "rank 3 of 3")


def test_the_sampler_compares_at_a_rung_what_pruning_compares_there():
    spec = small_spec("budget.epochs=60", "pruning={min_epochs: 4, reduction_factor: 3}")
    halving, study = SuccessiveHalving(spec), SweepStudy.of(spec, rungs=(4, 12, 36))
    row = trial_row(
        0,
        sweep="small",
        epochs=20,
        neg_elbo=90.0,
        objective=97.0,
        params={"latent_dim": 4, "learning_rate": 0.01, "depth": 1, "width": 16, "batch_size": 16},
    )
    curve = epoch_rows(0, "small", epochs=20)

    halving.replay(row, curve)
    study.add(trial_result(row, recorded_bounds(curve), spec))

    assert study._values is not None
    assert {rung: study._values._values[rung] for rung in halving.epochs} == halving._values
    assert study._values._values[36] == {0: 90.0}  # without its instability, which others do not have there
    assert study._values._values[END] == {0: 97.0}


def test_a_driver_and_the_one_after_it_know_the_same_values_at_rungs_beyond_a_trials_end(open_session):
    sweep = (*PATIENT[:-1], "pruning={min_epochs: 10, reduction_factor: 4}")
    session = open_session(*sweep)
    session.run()
    known = session.coordinator._rungs._values

    again = open_session(*sweep).coordinator._rungs._values

    assert set(known[40]) == {0}
    assert again == known
