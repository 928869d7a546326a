"""Sweeps that weigh no criterion against another."""

from dataclasses import replace

import pytest

from tests.support.rows import trial_row
from tests.support.sweeps import small_spec
from vae_search.core.criteria import Criteria
from vae_search.core.trial_state import Reason, State
from vae_search.errors import InvalidSpec
from vae_search.search.planning.finalists import finalists_of
from vae_search.search.pruning import SuccessiveHalving
from vae_search.search.study.sampler_storage import BEST, NEWEST
from vae_search.search.study.study import SweepStudy, TrialResult
from vae_search.search.study.trial_results import criteria_of
from vae_search.spec.measures.pareto import pareto_criteria
from vae_search.store import paths as store_paths
from vae_search.store.ledger.confirm_runs import ConfirmRuns
from vae_search.store.queries.leaderboard import read_leaderboard

pytestmark = pytest.mark.needs_tensorflow

PARETO = ("objective={pareto: [neg_elbo, train_flops]}",)
# Cheap and bad, dear and good, and one that the second beats.
FRONT = (
    "enqueue=[{latent_dim: 2, learning_rate: 1e-3}, {latent_dim: 6, learning_rate: 1e-2}, "
    "{latent_dim: 6, learning_rate: 1e-3}]",
    "budget.trials=3",
    "pruning=off",
)


def facts(row) -> tuple:
    return (row.trial, row.state, row.reason, row.epochs, row.neg_elbo, row.train_flops, dict(row.params))


def dominated(row, others) -> bool:
    mine = (row.neg_elbo, row.train_flops)
    points = [(other.neg_elbo, other.train_flops) for other in others]
    return any(a <= mine[0] and b <= mine[1] and (a, b) != mine for a, b in points)


def test_rows_have_no_objective_and_the_front_keeps_its_weights(open_session, store):
    session = open_session(*PARETO, *FRONT)

    session.run()

    front = [row for row in session.landed if not dominated(row, session.landed)]
    assert [row.objective for row in session.landed] == [None] * 3
    assert [row.trial for row in front] == [0, 1]
    assert [member.trial for member in session.coordinator.progress().front.members] == [1, 0]
    kept = {path.split("/")[3] for path in store.list("sweeps/small/artifacts")}
    assert kept == {store_paths.trial_key(row.trial) for row in front}
    shown = read_leaderboard(store, "small").best_first(pareto_criteria(session.spec), count=None)
    assert [row.trial for row in shown] == [row.trial for row in sorted(front, key=lambda row: row.neg_elbo)]


def test_a_pareto_sweep_that_is_cut_anywhere_ends_as_if_it_had_not_been(open_session, store, tmp_path):
    reports, rows, lives = 0, [], 0

    def dies_at_every_fifth_report(report) -> bool:
        nonlocal reports
        reports += 1
        return reports % 5 == 0

    while len(rows) < 5:
        lives += 1
        session = open_session(*PARETO, "sampler=random", "budget.trials=5")
        session.run(until=dies_at_every_fifth_report)
        rows += session.landed

    undisturbed = open_session(*PARETO, "sampler=random", "budget.trials=5", "name=whole")
    undisturbed.run()

    assert lives > 2
    assert {row.state for row in rows} == {State.COMPLETE, State.PRUNED}
    assert [facts(row) for row in sorted(rows, key=lambda row: row.trial)] == [
        facts(row) for row in sorted(undisturbed.landed, key=lambda row: row.trial)
    ]


@pytest.mark.parametrize(("prefer", "trial"), [("objective.prefer=train_flops", 0), ("objective.prefer=neg_elbo", 1)])
def test_finalists_are_members_of_the_front_in_the_preferred_order(open_session, store, prefer, trial):
    session = open_session(*PARETO, *FRONT, "confirm={finalists: 1, seeds: 2}", prefer)

    session.run()

    confirmed = ConfirmRuns(store, "small").rows()
    assert [(row.trial, row.confirm_seed) for row in confirmed] == [(trial, 1), (trial, 2)]
    assert all(row.objective is None for row in confirmed)


def test_a_repeated_config_still_counts_for_the_front():
    """Its luckier twin is no second finalist, but what the twin dominates is none either."""
    rows = [
        replace(trial_row(trial), objective=None, neg_elbo=value, train_flops=flops, params={"latent_dim": latents})
        for trial, (value, flops, latents) in enumerate([(1.0, 9.0, 2), (2.0, 5.0, 2), (3.0, 6.0, 4), (4.0, 1.0, 8)])
    ]
    criteria = Criteria(names=("neg_elbo", "train_flops"))

    assert [row.trial for row in finalists_of(rows, 5, criteria)] == [0, 3]


def test_trials_are_compared_with_those_of_similar_cost(open_session):
    """Six at each of two prices: of either the best two advance, whatever the others reach."""
    rungs = SuccessiveHalving(open_session(*PARETO, "pruning={min_epochs: 2, reduction_factor: 3}").spec)
    for place in range(6):
        rungs.note(2, place, 200.0 + place, epoch_flops=1e6 * (1 + place / 5))
        rungs.note(2, 20 + place, 100.0 + place, epoch_flops=1e8 * (1 + place / 5))

    decided = {trial: rungs.decide(2, trial) for trial in (0, 1, 2, 20, 21, 22)}

    assert [decision.advance for decision in decided.values()] == [True, True, False] * 2
    assert decided[2].reason == "rank 3 of 6, behind the best 2 of similar cost"


def test_costs_are_similar_up_to_twice_as_much_and_in_the_end_the_best_at_a_price_advances(open_session):
    rungs = SuccessiveHalving(open_session(*PARETO, "pruning={min_epochs: 2, reduction_factor: 3}").spec)
    for trial, flops in enumerate([1.0, 1.5, 2.0, 2.1, 10.0]):
        rungs.note(2, trial, 90.0 + trial, epoch_flops=flops)

    assert [rungs.decide(2, trial).advance for trial in range(5)] == [True, False, False, False, False]
    assert [rungs.decide(2, trial, least=1).advance for trial in range(5)] == [True, False, False, False, True]
    assert [rungs.decide(2, trial).reason[:11] for trial in (0, 1, 3)] == ["rank 1 of 3", "rank 2 of 4", "rank 3 of 3"]


def test_the_sampler_knows_of_a_pruned_trial_what_it_had_reached_and_would_have_cost():
    pruned = trial_row(
        0, state=State.PRUNED, reason=Reason.RUNG, objective=None, neg_elbo=120.0, epochs=3, train_flops=6e6
    )
    complete = trial_row(1, objective=None, neg_elbo=90.0, epochs=27, train_flops=5e7)
    criteria = Criteria(names=("neg_elbo", "train_flops"))

    assert criteria_of(pruned, criteria, epochs=27) == (120.0, 5.4e7)
    assert criteria_of(complete, criteria, epochs=27) == (90.0, 5e7)
    assert criteria_of(pruned, replace(criteria, names=("neg_elbo", "instability")), epochs=27) == ()  # it has none yet
    assert criteria_of(complete, None, epochs=27) == ()


def test_the_sampler_minimises_the_negative_of_a_metric_of_which_more_is_better():
    row = replace(trial_row(1, objective=None, neg_elbo=90.0), metrics={"metric_ssim": 0.75, "metric_gap": 0.5})
    names = ("neg_elbo", "metric_ssim", "metric_gap")
    criteria = Criteria(names=names, maximised=frozenset({"metric_ssim"}))

    assert criteria_of(row, criteria, epochs=27) == (90.0, -0.75, 0.5)


def study_of(space_spec, **changes) -> SweepStudy:
    return SweepStudy(space_spec.search_space, **({"sampler": "tpe", "seed": 3, "criteria": 2} | changes))


def test_the_sampler_finds_both_ends_of_a_front(open_session):
    spec = open_session(*PARETO).spec
    study = study_of(spec)

    for trial in range(40):
        params = study.ask(trial)
        state = State.PRUNED if trial % 5 == 4 else State.COMPLETE
        criteria = (abs(params["latent_dim"] - 6) + params["learning_rate"], float(params["latent_dim"]))
        study.tell(
            TrialResult(trial=trial, state=state, params=params, objective=None, criteria=criteria, neg_bounds={1: 1.0})
        )

    late = [study.ask(trial)["latent_dim"] for trial in range(40, 60)]
    assert {2, 6} <= {*late}
    assert all(trial.intermediate_values == {} for trial in study.trials())


def test_the_sampler_sees_a_trial_that_waits_at_a_rung_with_the_criteria_that_it_has(open_session):
    study = study_of(open_session(*PARETO).spec)
    for trial in range(3):
        study.ask(trial)

    study.pause(0, {2: 99.0}, criteria=(99.0, 1e6))
    study.pause(1, {2: 98.0}, criteria=())

    assert [(trial.state.name, trial.values) for trial in study.trials()] == [
        ("COMPLETE", [99.0, 1e6]),
        ("RUNNING", None),
        ("RUNNING", None),
    ]


def test_a_trial_that_waits_has_the_cost_of_all_epochs_and_the_best_bound_so_far(open_session):
    session = open_session(*PARETO)
    session.run(until=lambda report: bool(session.coordinator._queue.paused))
    (waiting, *_) = session.coordinator._queue.paused_trials

    bound, flops = waiting.criteria_so_far(session.spec)

    assert bound == min(each.neg_elbo for each in waiting.measurements.values())
    assert flops == pytest.approx(waiting.costs.train_flops / len(waiting.measurements) * session.spec.budget.epochs)
    assert waiting.criteria_so_far(small_spec("objective={pareto: [neg_elbo, instability]}", "budget.epochs=30")) == ()


def test_a_long_sweep_remembers_its_front(open_session):
    study = study_of(open_session(*PARETO).spec, sampler="random")
    total = NEWEST + 3 * BEST

    for trial in range(total):
        on_front = trial < BEST
        criteria = (float(trial), float(BEST - trial)) if on_front else (100.0 + trial, 100.0)
        params = {"latent_dim": 4, "learning_rate": 2e-3, "depth": 1, "width": 16, "batch_size": 64}
        study.add(TrialResult(trial=trial, state=State.COMPLETE, params=params, objective=None, criteria=criteria))

    assert [trial.number for trial in study.trials()][:BEST] == [*range(BEST)]


@pytest.mark.parametrize(
    ("override", "fragment"),
    [
        ("objective={pareto: [neg_elbo]}", "must be neg_elbo and one or two others of instability, train_flops"),
        ("objective={pareto: [instability, train_flops]}", "must be neg_elbo and one or two others"),
        ("objective={pareto: [neg_elbo, neg_elbo]}", "each once"),
        ("objective={pareto: [neg_elbo, flops]}", "must be one of neg_elbo, instability, train_flops"),
        ("objective={pareto: [neg_elbo, train_flops], prefer: instability}", "must be one of `pareto`"),
        ("objective={prefer: train_flops}", "orders the front of `pareto`"),
        ("objective={pareto: [neg_elbo, train_flops], stability_weight: 2}", "Leave it out of a Pareto sweep."),
        ("objective={pareto: [neg_elbo, instability]}", "instability needs 8 epochs here"),
    ],
)
def test_criteria_that_make_no_front_are_refused(open_session, override, fragment):
    with pytest.raises(InvalidSpec) as refusal:
        open_session(override)

    assert fragment in str(refusal.value)


def test_a_sweep_with_one_objective_is_the_sweep_that_it_was_before_there_were_others(open_session):
    assert open_session().spec.identity()["objective"] == {"stability_weight": 0.0}
    assert open_session(*PARETO).spec.identity()["objective"]["pareto"] == ["neg_elbo", "train_flops"]
