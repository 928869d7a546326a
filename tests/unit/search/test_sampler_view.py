"""The trials that TPE looks at: what it hears of failures, who counts as good, what a long sweep still shows."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest

from vae_search.core.trial_state import Reason, State
from vae_search.search.study import sampler_storage
from vae_search.search.study.rung_values import ENOUGH
from vae_search.search.study.study import SweepStudy, TrialResult
from vae_search.spec.parameters import FloatParameter, IntParameter
from vae_search.spec.search_space import SearchSpace

SPACE = SearchSpace(
    parameters=(
        FloatParameter(name="learning_rate", low=1e-4, high=1.0, log=True),
        FloatParameter(name="beta", low=0.25, high=4.0, log=True),
        IntParameter(name="latent_dim", low=2, high=64, log=True),
    )
)
BEST_RATE, BORDER = -2.0, -1.9  # of log10; above the border everything diverges
BAD = [Reason.DIVERGED, Reason.OOM, Reason.TIMEOUT]


def study_of(**changes: object) -> SweepStudy:
    return SweepStudy(SPACE, **({"sampler": "tpe", "seed": 3} | changes))


def drawn(trial: int) -> Mapping[str, object]:
    return study_of(sampler="random", seed=trial).ask(0)


def failed(trial: int, reason: Reason, params: Mapping[str, object] | None = None, **more: object) -> TrialResult:
    params = drawn(trial) if params is None else params
    return TrialResult(trial=trial, state=State.FAIL, reason=reason, params=params, objective=None, **more)


def cut(trial: int, *, at: int, value: float) -> TrialResult:
    return TrialResult(
        trial=trial, state=State.PRUNED, reason=Reason.RUNG, params=drawn(trial), objective=None, neg_bounds={at: value}
    )


def completed(trial: int, *, rungs: tuple[float, ...], objective: float) -> TrialResult:
    neg_bounds = dict(zip((3, 9), rungs, strict=False))
    return TrialResult(
        trial=trial, state=State.COMPLETE, params=drawn(trial), objective=objective, neg_bounds=neg_bounds
    )


def seen(study: SweepStudy) -> dict[int, tuple[str, object]]:
    """By number: state and value, or values of several criteria."""
    return {
        trial.number: (trial.state.name, trial.values[0] if trial.values and len(trial.values) == 1 else trial.values)
        for trial in study.trials()
    }


def bound(params: Mapping[str, float], border: float = BORDER) -> float | None:
    """The value of a config; None if it diverges, as all do that lie a little above the best."""
    rate = math.log10(params["learning_rate"])
    if rate > border:
        return None
    best = border + BEST_RATE - BORDER
    return 3 * (rate - best) ** 2 + 2 * math.log(params["beta"]) ** 2 + math.log(params["latent_dim"] / 24) ** 2


def searched(reason: Reason, *, trials: int, seed: int, border: float = BORDER) -> list[float | None]:
    study, values = study_of(seed=seed), []
    for trial in range(trials):
        params = study.ask(trial)
        value = bound(params, border)
        values.append(value)
        if value is None:
            study.tell(failed(trial, reason, params))
        else:
            study.tell(TrialResult(trial=trial, state=State.COMPLETE, params=params, objective=value))
    return values


def test_the_sampler_keeps_away_from_what_diverges_beside_the_best():
    sweeps = [searched(Reason.DIVERGED, trials=60, seed=seed) for seed in range(6)]

    diverged = np.mean([[value is None for value in values[20:]] for values in sweeps])
    regret = np.mean([min(value for value in values if value is not None) for values in sweeps])
    assert diverged <= 1 / 3
    assert regret <= 0.1


@pytest.mark.parametrize("reason", BAD)
def test_what_parameters_make_fail_is_bad_and_other_failures_say_nothing(reason):
    study = study_of()
    study.add(completed(0, rungs=(), objective=1.0))
    study.add(failed(1, reason))
    study.add(failed(2, Reason.RAISED))
    params = study.ask(3)
    study.tell(failed(3, reason, params))

    assert seen(study) == {0: ("COMPLETE", 1.0), 1: ("PRUNED", None), 2: ("FAIL", None), 3: ("PRUNED", None)}


@pytest.mark.parametrize("reason", BAD)
def test_a_sweep_of_several_criteria_hears_of_them_as_well(reason):
    study = study_of(criteria=2)
    for trial in range(30):
        params = study.ask(trial)
        if trial % 3:
            study.tell(failed(trial, reason, params))
        else:
            criteria = (params["beta"], -params["beta"])
            study.tell(TrialResult(trial=trial, state=State.COMPLETE, params=params, objective=None, criteria=criteria))

    assert [*seen(study).values()].count(("PRUNED", None)) == 20
    study.ask(30)


def test_where_most_fail_those_that_do_not_are_still_the_good_ones():
    """Optuna takes the best tenth, and would fill it with failures."""
    study = study_of()
    for trial in range(40):
        study.add(failed(trial, Reason.DIVERGED))
    before = seen(study)
    study.add(completed(40, rungs=(), objective=1.0))

    assert before == {}
    assert [*seen(study)] == [*range(31, 41)]


def test_a_narrow_range_that_works_is_found_where_nearly_all_of_the_space_diverges():
    """An eighth of it: told of failures, a third of the later suggestions works and more; else a tenth."""
    told, untold = (
        np.mean(
            [[value is None for value in searched(reason, trials=60, seed=seed, border=-3.5)[20:]] for seed in range(6)]
        )
        for reason in (Reason.DIVERGED, Reason.RAISED)
    )

    assert told < 0.6 < 0.8 < untold


def test_a_free_pass_does_not_make_a_trial_good():
    """The first two complete whatever they are; eight that were cut at the second rung are better."""
    study = study_of(rungs=(3, 9))
    for trial in range(2):
        study.add(completed(trial, rungs=(300.0, 290.0 + trial), objective=280.0))
    for trial in range(2, 2 + ENOUGH):
        study.add(TrialResult(trial=trial, state=State.PRUNED, reason=Reason.RUNG, params=drawn(trial), objective=None,
                              neg_bounds={1: 400.0, 3: 260.0, 9: 240.0 + trial}))  # fmt: skip
    for trial in range(10, 30):
        study.add(cut(trial, at=3, value=270.0))

    shown = seen(study)

    assert [*shown] == [*range(30)]
    assert {number: value for number, (state, value) in shown.items() if state == "COMPLETE"} == {
        0: 290.0,
        1: 291.0,
        **{trial: 240.0 + trial for trial in range(2, 10)},
    }
    assert {shown[number] for number in range(10, 30)} == {("PRUNED", None)}


def test_once_enough_have_completed_the_objective_counts():
    study = study_of(rungs=(3, 9))
    for trial in range(ENOUGH):
        study.add(completed(trial, rungs=(300.0, 290.0), objective=280.0 - trial))
    study.add(cut(ENOUGH, at=9, value=1.0))

    assert [*seen(study).values()] == [("COMPLETE", 280.0 - trial) for trial in range(ENOUGH)] + [("PRUNED", None)]


def test_running_trials_are_compared_as_soon_as_they_reach_the_rung():
    study = study_of(rungs=(3, 9))
    for trial in range(ENOUGH):
        study.add(
            completed(trial, rungs=(300.0 + trial,), objective=280.0) if trial == 0 else cut(trial, at=3, value=300.0)
        )
    running = [study.ask(trial) for trial in (8, 9)]

    study.note(8, {1: 400.0})
    before = seen(study)
    study.note(8, {3: 250.0})
    after = seen(study)
    study.note(8, {9: 240.0})

    assert [before[8], before[9]] == [("RUNNING", None)] * 2
    assert [after[8], after[9]] == [("COMPLETE", 250.0), ("RUNNING", None)]
    assert seen(study) == after  # one value at the second rung is not enough
    study.tell(failed(8, Reason.DIVERGED, running[0]))
    assert seen(study)[8] == ("PRUNED", None)


def test_a_study_that_is_rebuilt_in_the_middle_suggests_what_the_first_one_would_have():
    first, rebuilt, told = study_of(rungs=(3, 9)), study_of(rungs=(3, 9)), []
    for trial in range(30):
        params = first.ask(trial)
        value = 200.0 + 10 * (bound(params, border=1.0) or 0.0)
        first.note(trial, {3: value + 20})
        state = (State.PRUNED, State.PRUNED, State.COMPLETE, State.FAIL)[trial % 4]
        if trial % 4 in (1, 2):
            first.note(trial, {9: value + 5})
        result = TrialResult(
            trial=trial,
            state=state,
            reason=Reason.DIVERGED if state is State.FAIL else None,
            params=params,
            objective=value if state is State.COMPLETE else None,
            neg_bounds={1: 500.0, 3: value + 20} | ({9: value + 5} if trial % 4 in (1, 2) else {}),
        )
        first.tell(result)
        told.append(result)
    for result in told:
        rebuilt.add(result)

    assert seen(rebuilt) == seen(first)
    assert rebuilt.ask(30) == first.ask(30)


def long_study(trials: int, result: Callable[[int], TrialResult] | None = None, **changes: object) -> SweepStudy:
    """Cheap random trials, the good ones first."""
    study = study_of(**changes)
    for trial in range(trials):
        study.add(
            result(trial)
            if result
            else TrialResult(trial=trial, state=State.COMPLETE, params=drawn(trial), objective=float(trial))
        )
    return study


@pytest.fixture
def small_window(monkeypatch):
    monkeypatch.setattr(sampler_storage, "NEWEST", 20)
    monkeypatch.setattr(sampler_storage, "OLDER", 20)
    monkeypatch.setattr(sampler_storage, "BEST", 5)


def test_a_long_sweep_shows_the_newest_the_best_the_running_and_some_of_all_the_others(small_window):
    study = long_study(300)
    params = study.ask(300)
    for trial in range(301, 350):
        study.add(failed(trial, Reason.RAISED))

    numbers = [*seen(study)]

    assert numbers[:5] == [*range(5)]
    assert 300 in numbers
    assert numbers[-20:] == [*range(330, 350)]
    older = [number for number in numbers if number < 330]
    assert len(older) <= 20 + 5 + 2
    assert max(np.diff(older)) < 3 * 330 / 20  # no stretch of the past is forgotten
    study.tell(TrialResult(trial=300, state=State.PRUNED, params=params, objective=None, neg_bounds={1: 3.0}))


def test_up_to_the_limit_all_are_shown(small_window):
    assert [*seen(long_study(40))] == [*range(40)]


def test_an_old_trial_that_is_left_out_stays_out(small_window):
    study, before = long_study(60), None
    for trial in range(60, 200):
        study.add(TrialResult(trial=trial, state=State.COMPLETE, params=drawn(trial), objective=float(trial)))
        now = {number for number in seen(study) if number < 40}
        assert before is None or now <= before
        before = now

    assert 5 <= len(before) < 20


def test_the_best_of_a_long_sweep_are_those_at_the_common_rung(small_window):
    study = long_study(200, lambda trial: cut(trial, at=3, value=float(abs(trial - 100))), rungs=(3, 9))

    assert {98, 99, 100, 101, 102} <= {*seen(study)}


def test_trials_that_wait_at_a_rung_fill_no_long_list(small_window):
    """As many as like it: what they have reached is known, as it is of those that have ended."""
    study = long_study(
        200,
        lambda trial: TrialResult(trial=trial, state=State.RUNNING, params=drawn(trial), objective=None),
        rungs=(3,),
    )
    for trial in range(150):
        study.note(trial, {3: 1.0 * trial})

    shown = seen(study)

    assert {*range(150, 200)} <= {*shown}
    assert sum(number < 150 for number in shown) <= 20 + 5 + 2


def test_a_rebuilt_long_study_suggests_what_the_first_one_would_have(small_window):
    assert long_study(60).ask(60) == long_study(60).ask(60)


def test_enqueued_values_are_taken_in_a_long_sweep_as_well(small_window):
    assert long_study(60).ask(60, {"latent_dim": 2})["latent_dim"] == 2
