import math

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from vae_search.core.seeds import derived_seed
from vae_search.core.trial_state import Reason, State
from vae_search.search.study.study import SweepStudy, TrialResult, to_distribution
from vae_search.spec.parameters import CategoricalParameter, FixedParameter, FloatParameter, IntParameter
from vae_search.spec.search_space import SearchSpace

SPACE = SearchSpace(
    parameters=(
        CategoricalParameter(name="architecture", choices=("mlp", "conv")),
        FloatParameter(name="learning_rate", low=1e-4, high=1e-2, log=True),
        IntParameter(name="depth", low=1, high=4, when=(("architecture", ("mlp",)),)),
        IntParameter(name="depth", low=1, high=2, when=(("architecture", ("conv",)),)),
        FixedParameter(name="batch_size", value=64),
    )
)


def sweep_study(**changes) -> SweepStudy:
    return SweepStudy(SPACE, **({"sampler": "tpe", "seed": 3} | changes))


def loss(params) -> float:
    return abs(math.log10(params["learning_rate"]) + 3) + (params["architecture"] == "conv") + 0.1 * params["depth"]


def complete(trial: int, params) -> TrialResult:
    value = loss(params)
    return TrialResult(
        trial=trial, state=State.COMPLETE, params=params, objective=value, neg_bounds={1: value + 1, 2: value}
    )


def test_distributions_include_both_bounds_as_the_space_does():
    assert to_distribution(SPACE.parameters[0]) == CategoricalDistribution(("mlp", "conv"))
    assert to_distribution(FloatParameter(name="beta", low=0.5, high=2.0, step=0.5)) == FloatDistribution(
        0.5, 2.0, step=0.5
    )
    assert to_distribution(IntParameter(name="width", low=8, high=64, log=True)) == IntDistribution(8, 64, log=True)


def test_a_suggestion_holds_exactly_the_active_parameters():
    study = sweep_study(sampler="random")

    for trial in range(30):
        params = study.ask(trial)

        assert set(params) == {"architecture", "learning_rate", "depth", "batch_size"}
        assert SPACE.problems(params) == []


def test_enqueued_values_are_taken_and_the_rest_is_drawn():
    params = sweep_study().ask(0, {"architecture": "conv", "depth": 2})

    assert (params["architecture"], params["depth"], params["batch_size"]) == ("conv", 2, 64)
    assert 1e-4 <= params["learning_rate"] <= 1e-2


def test_a_rebuilt_study_suggests_what_the_first_one_would_have():
    first = sweep_study()
    outcomes = []
    for trial in range(14):
        outcome = complete(trial, first.ask(trial))
        first.tell(outcome)
        outcomes.append(outcome)

    rebuilt = sweep_study()
    for outcome in outcomes:
        rebuilt.add(outcome)

    assert rebuilt.ask(14) == first.ask(14)


def test_a_resumed_sweep_does_not_draw_its_first_points_again():
    drawn = []
    for trial in range(6):
        study = sweep_study()  # a driver that dies after every trial
        for number, params in enumerate(drawn):
            study.add(complete(number, params))
        drawn.append(study.ask(trial))

    assert len({params["learning_rate"] for params in drawn}) == 6


def test_failed_and_running_trials_are_entered_as_such():
    study = sweep_study()
    params = study.ask(0)
    study.tell(TrialResult(trial=0, state=State.FAIL, reason=Reason.RAISED, params=params, objective=None))
    study.add(TrialResult(trial=1, state=State.RUNNING, params=params, objective=None))

    study.ask(2)

    assert [trial.state for trial in study.trials()] == [TrialState.FAIL, TrialState.RUNNING, TrialState.RUNNING]


def test_a_trial_that_was_in_flight_can_be_told():
    study = sweep_study()
    params = sweep_study().ask(0)
    study.add(TrialResult(trial=0, state=State.RUNNING, params=params, objective=None))

    study.tell(complete(0, params))

    assert study.trials()[0].state is TrialState.COMPLETE


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_tpe_finds_more_good_points_than_chance_and_random_does_not(sampler):
    study = sweep_study(sampler=sampler)
    values = []
    for trial in range(60):
        params = study.ask(trial)
        study.tell(complete(trial, params))
        values.append(loss(params))

    late = sorted(values[30:])[15]
    assert late < 0.6 if sampler == "tpe" else late > 0.6


def test_derived_seeds_differ_by_trial_and_purpose_and_never_change():
    seeds = {derived_seed(seed, trial, purpose) for seed in (0, 1) for trial in (0, 1) for purpose in ("a", "b")}

    assert len(seeds) == 8
    assert derived_seed(0, 0, "training") == 1270117037
    assert all(0 <= seed < 2**31 - 1 for seed in seeds)
