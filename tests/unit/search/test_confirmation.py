"""Confirm runs: which, in which order, and that they survive a driver like trials do."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.support.rows import trial_row
from vae_search.core.seeds import derived_seed
from vae_search.core.trial_state import Reason, State
from vae_search.errors import Conflict
from vae_search.search.planning.finalists import ConfirmRun, finalists_in, finalists_of, wanted_runs
from vae_search.spec.sections import Confirm
from vae_search.store.ledger import artifacts
from vae_search.store.ledger.artifacts import MODEL_FILE, PER_IMAGE_FILE, WEIGHTS_FILE
from vae_search.store.ledger.confirm_runs import ConfirmRow, ConfirmRuns
from vae_search.store.ledger.image_bounds_file import bounds_from_parquet
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths
from vae_search.store.queries.leaderboard import read_leaderboard
from vae_search.vae.inference.npz import arrays_of
from vae_search.vae.inference.scoring import judge
from vae_search.vae.networks.model_config import ModelDescription

pytestmark = pytest.mark.needs_tensorflow

FAILED = {"state": State.FAIL, "reason": Reason.DIVERGED}
CONFIRM = ("confirm={finalists: 2, seeds: 3}", "budget.trials=4", "pruning=off")


def ended(trial: int, seed: int, objective: float | None, **changes: object) -> ConfirmRow:
    """A confirm run with this objective on the select images; None for one that failed."""
    if objective is None:
        return ConfirmRow.of(trial_row(trial, sweep="small", **FAILED), confirm_seed=seed)
    scores = {"objective": objective, "neg_elbo": objective, "iwae": -objective, "iwae_k": 500, **changes}
    return ConfirmRow.of(trial_row(trial, sweep="small", **scores), confirm_seed=seed)


def runs(*pairs: tuple[int, int]) -> list[ConfirmRun]:
    return [ConfirmRun(trial=trial, confirm_seed=seed) for trial, seed in pairs]


def test_first_each_finalist_gets_one_fresh_seed_to_choose_by():
    assert wanted_runs([7, 3, 5], [], seeds=5) == runs((7, 0), (3, 0), (5, 0))
    assert wanted_runs([7, 3, 5], [ended(7, 0, 90.0)], seeds=5) == runs((3, 0), (5, 0))


def test_then_the_one_that_did_best_with_it_gets_the_seeds_that_testify():
    first = [ended(7, 0, 90.0), ended(3, 0, 88.0), ended(5, 0, 89.0)]

    assert wanted_runs([7, 3, 5], first, seeds=4) == runs((3, 1), (3, 2), (3, 3), (3, 4))
    assert wanted_runs([7, 3, 5], [*first, ended(3, 3, 99.0)], seeds=4) == runs((3, 1), (3, 2), (3, 4))


def test_judge_images_have_no_say_in_the_choice():
    better_on_select, better_on_judge = ended(7, 0, 88.0, iwae=-95.0), ended(3, 0, 89.0, iwae=-85.0)

    assert wanted_runs([7, 3], [better_on_select, better_on_judge], seeds=2) == runs((7, 1), (7, 2))


def test_where_nothing_is_weighed_up_the_bound_on_select_images_chooses():
    rows = [ended(7, 0, 89.0, iwae=-80.0), ended(3, 0, 88.0, iwae=-95.0)]
    of_a_front = [replace(row, objective=None) for row in rows]

    assert wanted_runs([7, 3], of_a_front, seeds=1) == runs((3, 1))


def test_a_single_finalist_needs_no_choice():
    assert wanted_runs([7], [], seeds=2) == runs((7, 1), (7, 2))


def test_a_finalist_that_fails_with_a_seed_makes_room_for_the_next():
    first = [ended(7, 0, 90.0), ended(3, 0, None), ended(5, 0, 89.0)]

    assert wanted_runs([7, 3, 5], first, seeds=1) == runs((5, 1))
    assert wanted_runs([7, 3, 5], [*first, ended(5, 1, None)], seeds=1) == runs((7, 1))
    assert wanted_runs([7, 3, 5], [*first, ended(5, 1, None), ended(7, 1, 90.0)], seeds=1) == []


def test_it_ends():
    assert wanted_runs([], [], seeds=5) == []
    assert wanted_runs([7], [ended(7, 1, 90.0)], seeds=1) == []
    assert wanted_runs([7], [ended(7, 1, None)], seeds=5) == []


def test_as_many_runs_are_foretold_as_there_are():
    for finalists in (1, 2, 3):
        done: list[ConfirmRow] = []
        while missing := wanted_runs([*range(finalists)], done, seeds=4):
            done += [ended(run.trial, run.confirm_seed, 90.0 + run.trial) for run in missing]

        assert len(done) == Confirm(finalists=finalists, seeds=4).runs
    assert Confirm(finalists=0).runs == 0


def test_finalists_are_the_best_complete_trials_with_distinct_configs():
    rows = [
        trial_row(0, sweep="small", objective=3.0, params={"latent_dim": 2}),
        trial_row(1, sweep="small", objective=1.0, params={"latent_dim": 4}),
        trial_row(2, sweep="small", objective=1.5, params={"latent_dim": 4}),
        trial_row(3, sweep="small", **FAILED),
        trial_row(4, sweep="small", objective=2.0, params={"latent_dim": 8}),
    ]

    assert [row.trial for row in finalists_of(rows, 2, None)] == [1, 4]
    assert [row.trial for row in finalists_of(rows, 9, None)] == [1, 4, 0]


def test_the_same_finalists_are_found_without_reading_every_row(store):
    ledger = Ledger(store, "small")
    for trial in range(12):  # pairs of the same config
        row = trial_row(trial, sweep="small", objective=float(trial % 10), params={"latent_dim": 2 + trial % 10 // 2})
        ledger.commit(row, [])
    leaderboard, rows = read_leaderboard(store, "small"), ledger.trials()

    for count in (0, 1, 2, 4, 5, 6, 20):
        assert finalists_in(leaderboard, count, None) == finalists_of(rows, count, None)


def test_a_sweep_confirms_its_best_configs_after_its_last_trial(open_session, store, judge_task):
    session = open_session(*CONFIRM)

    session.run()

    kinds = [type(row) is ConfirmRow for row in session.landed]
    assert kinds == [False] * 4 + [True] * 5
    best = [row.trial for row in finalists_of(session.landed[:4], 2, None)]
    confirmed = ConfirmRuns(store, "small").rows()
    first = [row for row in confirmed if row.confirm_seed == 0]
    assert {row.trial for row in first} == {*best}
    winner = min(first, key=lambda row: row.objective).trial
    assert sorted(row.confirm_seed for row in confirmed if row.trial == winner) == [0, 1, 2, 3]
    assert all(row.seed == derived_seed(0, row.trial, f"confirm seed {row.confirm_seed}") for row in confirmed)
    assert len({row.neg_elbo for row in confirmed}) == 5
    assert len(Ledger(store, "small").trials()) == 4
    assert store.list(SweepPaths("small").running) == []


def test_a_confirm_run_keeps_its_weights_and_the_bounds_that_they_have(open_session, store, judge_task):
    session = open_session(*CONFIRM)

    session.run()

    row = ConfirmRuns(store, "small").rows()[0]
    files = artifacts.load(store, "small", row.key, sha256=row.artifact_sha256)
    bounds = bounds_from_parquet(files[PER_IMAGE_FILE], where="bounds")
    again = judge(arrays_of(files[WEIGHTS_FILE]), ModelDescription.from_json(files[MODEL_FILE]), judge_task)
    assert len(bounds) == len(judge_task.images)
    assert np.array_equal(bounds.iwae, again.iwae)
    assert (row.iwae, row.iwae_k) == (pytest.approx(float(again.iwae.mean()), abs=1e-12), 500)


def test_confirm_runs_that_are_cut_anywhere_end_as_if_they_had_not_been(open_session, store):
    whole = open_session(*CONFIRM, "sampler=random")
    whole.run()
    expected = {row.key: (row.iwae, row.neg_elbo) for row in ConfirmRuns(store, "small").rows()}
    for part in ("finalists", "artifacts"):
        store.remove_tree(f"sweeps/small/{part}")
    reports = 0

    def dies_at_every_fourth_report(report) -> bool:
        nonlocal reports
        reports += 1
        return reports % 4 == 0

    drivers = 0
    finished = False
    while not finished:
        drivers += 1
        session = open_session(*CONFIRM, "sampler=random", "checkpoint_s=0.001")
        session.run(until=dies_at_every_fourth_report)
        finished = session.coordinator.exhausted and session.coordinator.in_flight == 0

    found = ConfirmRuns(store, "small").rows()
    assert drivers > 3
    assert {row.key: (row.iwae, row.neg_elbo) for row in found} == expected
    assert max(row.attempts for row in found) > 1


def test_confirm_runs_may_be_longer_than_trials_but_not_of_two_lengths(open_session, store):
    session = open_session("confirm={finalists: 1, seeds: 1, epochs: 8}", "budget.trials=1", "pruning=off")

    session.run()

    assert [row.epochs for row in session.landed] == [6, 8]
    with pytest.raises(Conflict, match=r"confirm\.epochs is 7, but confirm run 000000-s1 was trained for 8"):
        open_session("confirm={finalists: 1, seeds: 2, epochs: 7}", "budget.trials=1", "pruning=off")


def test_the_search_leaves_time_for_what_it_must_confirm(open_session):
    left_s = math.inf
    session = open_session(*CONFIRM, "budget.trials=100", "budget.minutes=1", seconds_left=lambda: left_s)
    order = session.start()
    while session.coordinator.record(session.runner.step()) is None:
        pass
    session.coordinator.commit_trial(order.key)
    forecast_s = session.coordinator._confirmation.forecast_s(slots=1)
    assert forecast_s == pytest.approx(5 * session.landed[0].wall_s)

    left_s = forecast_s + 1.0
    assert session.coordinator.next_assignment().confirm_seed is None
    left_s = forecast_s - 0.001
    session.runner.begin(session.coordinator._running["000001"].assignment)
    verdict = session.coordinator.record(session.runner.step())
    session.coordinator.commit_trial("000001")

    assert (verdict.state, verdict.reason) == (State.PRUNED, Reason.TIME)
    assert session.coordinator.next_assignment().confirm_seed == 1  # of the only trial: there is nothing to choose from
    left_s = 0.0
    assert session.coordinator.next_assignment() is None
    assert session.coordinator.exhausted
