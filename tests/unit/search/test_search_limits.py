"""Limits of a sweep by what processors spent, and the stop of its search: counted once, kept over kills, and told."""

import math
from dataclasses import replace

import pytest

from tests.support.candidates import finalist_row
from tests.support.rows import trial_row
from vae_search.core.trial_state import Reason, State
from vae_search.search.confirmation import ConfirmationPlan
from vae_search.search.limits.search_limits import SearchLimits
from vae_search.search.limits.spending import Spent, confirm_need, forecast, spent_by, used_limit
from vae_search.search.running_trial import SweepContext
from vae_search.services.limits.limits_status import limits_status
from vae_search.services.limits.words import estimate_lines, limit_lines, spending_lines
from vae_search.spec.sections import Budget
from vae_search.store.control.search_stop import SearchStop, read_stop, write_stop
from vae_search.store.leases.lease import acquire
from vae_search.store.ledger.confirm_runs import ConfirmRow, ConfirmRuns
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths
from vae_search.store.queries.leaderboard import read_leaderboard
from vae_search.store.sweeps.sweep_record import StoredRecord

BUDGET = Budget(trials=10, epochs=4, cpu_hours=1.0)
STOP = SearchStop(gain_nats=0.05, confidence=0.95, trials=20, tried=12, chance=0.03)


def row(trial: int, **changes: object):
    return trial_row(trial, **({"cpu_s": 600.0, "wall_s": 300.0, "epochs": 4, "device": "cpu"} | changes))


@pytest.mark.parametrize(
    ("state", "reason"), [(State.COMPLETE, None), (State.PRUNED, Reason.RUNG), (State.FAIL, Reason.DIVERGED)]
)
def test_trials_count_whatever_their_end(state, reason):
    ended = row(0, state=state, reason=reason)

    assert spent_by(ended, gpus=0) == Spent(cpu_s=600.0)


def test_gpu_seconds_are_those_of_the_clock_times_the_share_of_a_gpu():
    assert spent_by(row(0, device="NVIDIA H200"), gpus=0.25) == Spent(cpu_s=600.0, gpu_s=75.0)
    assert spent_by(row(0), gpus=0.25).gpu_s == 0


def test_the_limit_is_used_once_spending_and_reserve_reach_it():
    spent = Spent(cpu_s=3000.0)

    assert used_limit(BUDGET, spent) is None
    assert used_limit(BUDGET, spent, reserve=Spent(cpu_s=600.0)) == "cpu_hours"
    assert used_limit(Budget(trials=1, epochs=1, gpu_hours=1.0), Spent(gpu_s=3600.0)) == "gpu_hours"


def test_confirm_runs_need_what_the_dearest_finalist_took():
    finalists = [row(0), row(1, cpu_s=1200.0), row(2, cpu_s=100.0, epochs=2)]

    need = confirm_need(finalists, runs=3, epochs=8, budget_epochs=4, gpus=0)

    assert need.cpu_s == 3 * 2 * 1200.0


def test_a_forecast_adds_the_trials_and_confirm_runs_to_come():
    assert forecast(Spent(), ended=0, trials=10, confirm=Spent()) is None
    assert forecast(Spent(cpu_s=100.0), ended=4, trials=10, confirm=Spent(cpu_s=7.0)).cpu_s == 257.0


def test_a_stop_is_read_as_it_was_written_and_damage_to_it_is_none(store):
    write_stop(store, "small", STOP, incarnation="a" * 32)

    assert read_stop(store, "small", incarnation="a" * 32) == STOP
    assert read_stop(store, "small", incarnation="b" * 32) is None

    path = SweepPaths("small").search_stop("a" * 32)
    store.replace(path, store.read(path)[:-20])
    assert read_stop(store, "small", incarnation="a" * 32) is None


def test_status_says_why_the_search_stopped_and_what_was_spent():
    spending = {"cpu_hours": {"spent": 0.5, "limit": 1.0, "forecast": 1.5}}

    (running,) = limit_lines({"state": "running", "spending": spending})
    stopped, spent = limit_lines({"stop": str(STOP), "spending": spending})

    assert running.startswith("CPU-hours: 0.5 of 1 are spent; all trials and confirm runs would take about 1.5, more")
    assert stopped.startswith("The search stopped after 12 of 20 trials: the chance")
    assert spent == "CPU-hours: 0.5 of 1 are spent."
    assert limit_lines({}) == spending_lines(None) == []


def test_a_dry_run_tells_what_is_roughly_needed_of_the_hours():
    (little,) = estimate_lines(BUDGET, cpu_s=360.0)
    (much,) = estimate_lines(BUDGET, cpu_s=7200.0)

    assert little.startswith("Of 1 CPU-hours its products would take roughly 0.1, ")
    assert much.endswith(", so the search will end early.")
    assert estimate_lines(Budget(trials=1, epochs=1), cpu_s=1.0) == ()


@pytest.mark.slow
@pytest.mark.needs_tensorflow
def test_cpu_hours_end_a_search_that_is_killed_again_and_again_after_the_epoch_that_uses_them(open_session, store):
    def end(session, *, every: int) -> list:
        reports = 0

        def dies(report) -> bool:
            nonlocal reports
            reports += 1
            return bool(every) and reports % every == 0

        session.run(until=dies)
        return session.landed

    first = end(open_session("sampler=random", "budget.trials=1", "pruning=off"), every=0)
    hours = 1.5 * first[0].cpu_s / 3600  # which traced a graph, so that more than one trial of another fits
    store.remove_tree("sweeps/small/trials")
    store.remove_tree("sweeps/small/epochs")

    keys = ("sampler=random", "pruning=off", "budget.trials=200", "checkpoint_s=1e-9", f"budget.cpu_hours={hours}")
    limited = []
    for _ in range(300):
        session = open_session(*keys)
        limited += end(session, every=15)
        if session.coordinator.exhausted and session.coordinator.in_flight == 0:
            break

    rows = Ledger(store, "small").trials()
    assert sorted(each.trial for each in limited) == [each.trial for each in rows]
    assert 1 <= len(rows) < 200
    assert rows[-1].state in (State.COMPLETE, State.PRUNED)
    spent_s = sum(each.cpu_s for each in rows)
    longest_epoch_s = max(epoch.cpu_s for each in rows for epoch in Ledger(store, "small").epochs(each.trial))
    assert 3600 * hours <= spent_s <= 3600 * hours + longest_epoch_s


@pytest.mark.needs_tensorflow
def test_a_stop_is_kept_by_the_next_driver_until_the_budget_or_the_rule_is_another(open_session, store):
    stop = replace(STOP, trials=7)
    write_stop(store, "small", stop, incarnation=None)
    rule = "budget.stop={gain_nats: 0.05, confidence: 0.95}"

    stopped = open_session(rule)
    assert stopped.coordinator.next_assignment() is None
    assert stopped.coordinator.exhausted

    for other in (("budget.stop={gain_nats: 0.01, confidence: 0.95}",), (rule, "budget.trials=8"), ()):
        assert open_session(*other).coordinator.to_come > 0


@pytest.mark.slow
@pytest.mark.needs_tensorflow
def test_a_search_without_anything_to_gain_stops_and_says_so(open_session, store):
    session = open_session("budget.trials=60", "pruning=off", "budget.epochs=1", "budget.stop.gain_nats=900")

    session.run()

    stop = read_stop(store, "small", incarnation=None)
    assert len(session.landed) == stop.tried < 60
    assert stop.chance <= 0.05
    assert session.coordinator.exhausted


@pytest.mark.needs_tensorflow
def test_what_goes_on_is_no_seed_in_the_reserve_of_hours(store):
    """Two of three seeds have ended, and what goes on from one; the third is to come, and takes what its trial took."""
    from tests.support.sweeps import small_spec

    hours = 1200.0 / 3600
    confirm = "confirm={finalists: 1, seeds: 3}"
    spec = small_spec(f"budget={{trials: 1, epochs: 6, cpu_hours: {hours!r}}}", "pruning=off", confirm)
    trial = row(0, sweep="small", epochs=6)
    seeds = [finalist_row(0, seed, "small", epochs=6, cpu_s=0.0) for seed in (1, 2)]
    went_on = ConfirmRow.of(row(0, sweep="small", epochs=9, cpu_s=0.0), confirm_seed=-1, continues_epoch=5)
    Ledger(store, "small").commit(trial, [])
    for each in (*seeds, went_on):
        ConfirmRuns(store, "small").commit(each)
    plan = ConfirmationPlan(spec, store)
    plan.note(trial)
    context = SweepContext(spec=spec, lease=1, comparability_key="c" * 64, versions={})
    limits = SearchLimits(
        context, store=store, lease=acquire(store, "small"), plan=plan, seconds_left=lambda: math.inf, slots=lambda: 1
    )
    limits.replay([trial])

    told = limits_status(
        store,
        spec,
        StoredRecord(sweep="small", fields={}),
        read_leaderboard(store, "small"),
        (*seeds, went_on),
    )

    assert limits.search_time_is_up()  # 600 s are spent, 600 s are for the seed
    assert told.used == "cpu_hours"
    assert told.forecast.cpu_s == 1200.0
