import json
from collections import Counter

import duckdb
import pytest

from vae_search.core.trial_state import Reason, State
from vae_search.errors import CorruptStore, LeaseLost, SweepFailed
from vae_search.search.messages import Failure, TrialReport
from vae_search.search.worker.inline import train_trials
from vae_search.store import paths as store_paths
from vae_search.store.leases.lease import acquire
from vae_search.store.ledger import artifacts
from vae_search.store.ledger.artifacts import MODEL_FILE, WEIGHTS_FILE
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths
from vae_search.vae.inference.model import VaeModel

pytestmark = pytest.mark.needs_tensorflow


def shown(session) -> dict:
    """The trials as the sampler sees them: state and value by number."""
    return {trial.number: (trial.state.name, trial.value) for trial in session.coordinator._study.trials()}


def facts(row) -> tuple:
    return (row.trial, row.state, row.reason, row.epochs, row.neg_elbo, row.objective, dict(row.params))


def test_a_sweep_ends_with_exactly_one_row_per_trial_of_its_budget(open_session, store):
    session = open_session()

    session.run()

    files = str(store.local_path("sweeps")) + "/*/trials/*.parquet"
    trials = duckdb.read_parquet(files)
    assert trials.aggregate("count(*), count(DISTINCT trial), min(trial), max(trial)").fetchall() == [(7, 7, 0, 6)]
    assert store.list(SweepPaths("small").running) == []
    states = [row.state for row in session.landed]
    assert State.COMPLETE in states
    assert State.PRUNED in states


def test_a_row_is_what_was_measured(open_session, store):
    session = open_session()

    session.run()

    row = next(row for row in session.landed if row.state is State.COMPLETE)
    curve = Ledger(store, "small").epochs(row.trial)
    assert [epoch.epoch for epoch in curve] == list(range(1, 7))
    assert row.neg_elbo == curve[-1].neg_elbo == row.objective  # the bound alone, by default
    assert row.neg_elbo == pytest.approx(row.distortion + row.rate)
    assert row.instability is None
    assert row.train_flops == pytest.approx(
        3 * 6 * 640 * 2 * (64 * 16 + 16 * 2 * row.params["latent_dim"] + row.params["latent_dim"] * 16 + 16 * 64)
    )


def test_only_the_best_trials_keep_their_weights_and_these_make_images(open_session, store):
    session = open_session("pruning=off")

    session.run()

    best = sorted(session.landed, key=lambda row: row.objective)[:2]
    kept = {path.split("/")[3] for path in store.list("sweeps/small/artifacts")}
    assert kept == {f"{row.trial:06d}" for row in best}
    files = artifacts.load(store, "small", store_paths.trial_key(best[0].trial), sha256=best[0].artifact_sha256)
    images = VaeModel.from_files(files[MODEL_FILE], files[WEIGHTS_FILE]).sample(5, seed=1)
    assert images.shape == (5, 8, 8, 1)
    assert 0 <= images.min() < images.max() <= 1


def test_a_sweep_that_is_cut_anywhere_ends_as_if_it_had_not_been(open_session, store):
    reports = 0

    def dies_at_every_fifth_report(report) -> bool:
        nonlocal reports
        reports += 1
        return reports % 5 == 0

    rows: list = []
    attempts = 0
    finished = False
    while not finished:
        attempts += 1
        session = open_session("sampler=random")
        session.run(until=dies_at_every_fifth_report)
        rows += session.landed
        finished = session.coordinator.exhausted and session.coordinator.in_flight == 0

    assert attempts > 3
    assert sorted(row.trial for row in rows) == list(range(7))  # none twice
    assert len(store.list(SweepPaths("small").trials)) == 7


def test_a_trial_cut_between_checkpoints_ends_with_the_same_bits(open_session, tmp_path, store):
    whole = open_session("budget.trials=1")
    whole.run()
    expected = facts(whole.landed[0])
    store.remove_tree("sweeps/small/trials")
    store.remove_tree("sweeps/small/epochs")

    open_session("budget.trials=1").run(until=lambda report: report.epoch == 5)  # the last checkpoint is of epoch 4
    resumed = open_session("budget.trials=1")
    order = resumed.start()
    first = resumed.runner.step()
    resumed.coordinator.record(first)
    while (verdict := resumed.coordinator.record(resumed.runner.step())) is None:
        pass
    row = resumed.coordinator.commit_trial(order.key)

    assert first.epoch == 4
    assert [m.epoch for m in first.measurements] == [1, 2, 3, 4]
    assert verdict.state is State.COMPLETE
    assert facts(row) == expected
    assert row.attempts == 2


def test_a_trial_that_goes_on_after_a_pause_has_the_same_bits_as_one_that_never_paused(open_session, store):
    whole = open_session("sampler=random", "pruning=off", "name=whole")
    whole.run()

    session, reported = open_session("sampler=random"), []
    for report in train_trials(session.coordinator, session.runner):
        reported.append((int(report.key), report.epoch))

    resumed = {trial for trial, epoch in reported if reported.count((trial, epoch)) > 1}  # its rung's epoch came again
    rows = {row.trial: row for row in session.landed}
    assert resumed
    assert all(rows[trial].epochs > 2 for trial in resumed)
    for row in rows.values():
        curve, expected = (Ledger(store, name).epochs(row.trial) for name in ("small", "whole"))
        assert [epoch.neg_elbo for epoch in curve] == [epoch.neg_elbo for epoch in expected[: row.epochs]]
    assert {row.attempts for row in rows.values()} == {1}


def test_a_trial_in_flight_is_issued_again_first_with_its_own_parameters(open_session):
    first = open_session()
    lost = first.start()

    again = open_session().coordinator.next_assignment()

    assert again == lost


@pytest.mark.parametrize("objective", ["objective={}", "objective={pareto: [neg_elbo, train_flops]}"])
def test_rungs_are_remembered_by_the_next_driver(open_session, objective):
    first = open_session("pruning.reduction_factor=2", objective)
    first.run(until=lambda report: report.key == "000003")

    second = open_session("pruning.reduction_factor=2", objective)

    assert first.coordinator.rungs == second.coordinator.rungs == (2, 4)
    for name in ("_values", "_costs"):
        before, after = (getattr(session.coordinator._rungs, name) for session in (first, second))
        assert after == {rung: {t: v for t, v in found.items() if t != 3} for rung, found in before.items()}
    assert any(second.coordinator._rungs._values.values())


def test_the_sampler_hears_what_a_running_trial_has_reached_and_the_next_driver_knows_of_those_that_ended(
    open_session, store
):
    overrides = ("pruning={min_epochs: 2, reduction_factor: 2}", "budget.trials=9")
    first, seen, reached = open_session(*overrides), [], {}

    def at_the_rung(report) -> bool:
        reached.update(
            {int(report.key): ("COMPLETE", each.neg_bound) for each in report.measurements if each.epoch == 2}
        )
        seen.append(shown(first))
        return (report.key, report.epoch) == ("000008", 2)

    first.run(until=at_the_rung)
    second = open_session(*overrides)

    at_rung = {trial: value for trial, value in reached.items() if trial < 8}
    assert len(at_rung) == 8
    assert seen[-2] == {**at_rung, 8: ("RUNNING", None)}
    assert Counter(shown(second).values()) == Counter(seen[-2].values())  # Optuna numbers them as they come
    assert seen[-1].pop(8)[0] == "COMPLETE"
    assert seen[-1] == at_rung


def test_a_diverged_trial_is_a_row_of_its_own_and_the_sweep_goes_on(open_session):
    session = open_session("search_space.learning_rate=1.0", "search_space.activation=gated", "search_space.depth=8",
                           "search_space.latent_dim=4", "budget.trials=2", "pruning=off")  # fmt: skip

    session.run()

    assert [(row.state, row.reason) for row in session.landed] == [(State.FAIL, Reason.DIVERGED)] * 2
    assert all("nan" in row.error for row in session.landed)
    assert all(row.objective is None for row in session.landed)
    assert shown(session) == {}  # of bad ones alone the sampler learns nothing


def test_the_sampler_hears_of_a_diverged_trial_as_the_worst(open_session):
    """The first works, the second does not."""
    configs = "[{learning_rate: 1e-3, depth: 1}, {learning_rate: 1.0, depth: 8}]"
    session = open_session("search_space.learning_rate={type: float, low: 1e-3, high: 1.0, log: true}",
                           "search_space.depth={type: int, low: 1, high: 8}", "search_space.activation=gated",
                           "search_space.latent_dim=4", "budget.trials=2", "pruning=off",
                           f"enqueue={configs}")  # fmt: skip

    session.run()

    assert [row.reason for row in session.landed] == [None, Reason.DIVERGED]
    assert [state for state, _ in shown(session).values()] == ["COMPLETE", "PRUNED"]


def fail(session) -> None:
    """Let the next trial end as one that raised before its first epoch was over."""
    order = session.coordinator.next_assignment()
    session.coordinator.started(order.key)
    session.coordinator.record(
        TrialReport(
            key=order.key,
            epoch=0,
            measurements=(),
            costs=None,
            scores=None,
            failure=Failure(reason=Reason.RAISED, error="ValueError: no such activation\nmore"),
            node_id="here",
            saved_epoch=0,
        )
    )
    session.coordinator.commit_trial(order.key)


def test_a_sweep_in_which_everything_fails_stops_with_the_cause(open_session):
    session = open_session("budget.trials=20")
    for _ in range(5):
        fail(session)

    with pytest.raises(SweepFailed, match=r"all 6 trials .*\n.*ValueError: no such activation"):
        fail(session)

    assert len(session.landed) == 6


def test_failures_of_the_drivers_before_count(open_session):
    for _ in range(5):
        fail(open_session("budget.trials=20"))

    with pytest.raises(SweepFailed, match="ValueError: no such activation"):
        fail(open_session("budget.trials=20"))


def test_when_the_time_is_up_running_trials_are_cut_and_none_is_issued(open_session):
    up = False
    session = open_session("budget.minutes=1", seconds_left=lambda: 0.0 if up else 60.0)
    order = session.start()
    session.coordinator.record(session.runner.step())

    up = True
    verdict = session.coordinator.record(session.runner.step())
    row = session.coordinator.commit_trial(order.key)

    assert (verdict.state, row.reason) == (State.PRUNED, Reason.TIME)
    assert session.coordinator.next_assignment() is None
    assert session.coordinator.exhausted


def test_the_time_runs_while_a_worker_has_a_trial_and_not_while_all_wait(open_session):
    session = open_session("budget.trials=2", "budget.epochs=1", "pruning=off")
    coordinator = session.coordinator
    first, second = coordinator.next_assignment(), coordinator.next_assignment()
    assert (coordinator.in_flight, coordinator.training, session.training) == (2, 0, [])

    coordinator.started(first.key)
    assert (coordinator.training, session.training) == (1, [True])

    coordinator.waits_again(first.key)  # its node is gone
    assert (coordinator.training, session.training[-1]) == (0, False)

    coordinator.started(first.key)
    coordinator.started(second.key)
    session.runner.begin(first)
    coordinator.record(session.runner.step())
    coordinator.commit_trial(first.key)
    assert (coordinator.training, session.training[-1]) == (1, True)


def test_the_trials_to_come_end_with_the_budget_and_with_the_time(open_session):
    up = False
    session = open_session("budget.minutes=1", seconds_left=lambda: 0.0 if up else 60.0)
    assert session.coordinator.to_come == 7

    session.coordinator.next_assignment()
    assert session.coordinator.to_come == 6

    up = True
    assert session.coordinator.to_come == 0


def test_a_driver_whose_lease_is_lost_writes_no_row(open_session, store):
    session = open_session("budget.trials=1", "pruning=off")
    order = session.start()
    while session.coordinator.record(session.runner.step()) is None:
        pass
    session.lease.release()
    newer = acquire(store, "small")

    with pytest.raises(LeaseLost):
        session.coordinator.commit_trial(order.key)

    newer.release()
    assert store.list(SweepPaths("small").trials) == []


def test_a_trial_that_the_next_driver_has_finished_meanwhile_is_shown_by_that_one_only(open_session, monkeypatch):
    first = open_session("budget.trials=1", "pruning=off")
    order = first.start()
    while first.coordinator.record(first.runner.step()) is None:
        pass
    check, checks, later = first.lease.check, [], []

    def stopped_after_the_last_check() -> None:
        check()
        checks.append(1)
        if len(checks) == 2:
            later.append(open_session("budget.trials=1", "pruning=off"))
            later[0].run()

    monkeypatch.setattr(first.lease, "check", stopped_after_the_last_check)

    with pytest.raises(LeaseLost):
        first.coordinator.commit_trial(order.key)

    assert first.landed == []
    assert [(row.trial, row.lease) for row in later[0].landed] == [(0, 2)]


def test_a_row_that_is_already_there_is_adopted(open_session, store):
    session = open_session("budget.trials=1", "pruning=off")
    order = session.start()
    while session.coordinator.record(session.runner.step()) is None:
        pass
    path = SweepPaths("small").trial(0)
    session.coordinator.commit_trial(order.key)
    before = store.read(path)

    again = open_session("budget.trials=1", "pruning=off")

    assert again.coordinator.exhausted
    assert store.read(path) == before


def test_enqueued_configs_are_tried_first(open_session):
    session = open_session("enqueue=[{latent_dim: 3, learning_rate: 2e-3}]", "budget.trials=2", "pruning=off")

    session.run()

    assert session.landed[0].params["latent_dim"] == 3
    assert json.dumps(session.landed[0].params["learning_rate"]) == "0.002"


def test_the_number_of_a_damaged_row_is_never_used_again(open_session, store):
    session = open_session("budget.trials=2", "pruning=off")
    session.run()
    path = store.local_path(SweepPaths("small").trial(1))
    path.write_bytes(path.read_bytes()[:-7])

    again = open_session("budget.trials=3", "pruning=off")

    assert again.coordinator.next_assignment().trial == 2


def test_a_lowered_budget_is_kept_and_a_raised_one_takes_the_rest_up(open_session):
    session = open_session("budget.trials=5")
    lost = [session.start().trial for _ in range(5)]

    lowered = open_session("budget.trials=2")
    issued = [lowered.coordinator.next_assignment().trial for _ in range(2)]
    raised = open_session("budget.trials=5")

    assert lost == [0, 1, 2, 3, 4]
    assert issued == [0, 1]
    assert lowered.coordinator.exhausted
    assert [raised.coordinator.next_assignment().trial for _ in range(5)] == lost


def test_a_suggestion_that_does_not_fit_the_space_is_named(open_session, store):
    open_session().start()
    path = SweepPaths("small").suggestion("000000")
    store.replace(path, b'{"params": {}, "seed": 1, "trial": 0}\n')

    with pytest.raises(CorruptStore, match=r"000000/suggestion\.json"):
        open_session()
