"""Importances: the share of the scores' variance that each parameter explains, as Optuna estimates it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from vae_search.core.trial_state import State
from vae_search.search.rungs.rung_bounds import bounds_at_rungs, recorded_bounds
from vae_search.search.study.rung_values import END, RungValues
from vae_search.search.study.study import drawn
from vae_search.spec.hyperparameters import ParamValue
from vae_search.spec.search_space import SearchSpace
from vae_search.store.ledger.rows import EpochRow, TrialRow

MIN_TRIALS = 8  # the forests of fANOVA see no structure in fewer
MOST_TRIALS = 500  # evenly from all: fANOVA takes 4 s for so many, 70 s for 3,000
SEED = 0  # equal ledgers give equal reports


@dataclass(frozen=True, slots=True, kw_only=True)
class Importances:
    """Shares of the searched parameters, which add up to 1, and where the trials were compared for them."""

    shares: Mapping[str, float]
    """none if fewer than `MIN_TRIALS` trials can be compared, if all are alike, or if no parameter differs"""
    epoch: int | None
    """of the rung; None: the end of their training"""


def importances(
    space: SearchSpace,
    rows: Sequence[TrialRow],
    curves: Mapping[int, Sequence[EpochRow]],
    *,
    by: Literal["objective", "neg_elbo"],
    rungs: Sequence[int],
    bound: Literal["elbo", "iwae"],
) -> Importances:
    """Importances at the highest rung that at least half of the measured trials have reached.

    By fANOVA (Hutter, Hoos and Leyton-Brown 2014, "An Efficient Approach for Assessing Hyperparameter Importance").
    Later rungs hold few trials, without the spread that pruning took: what decided who was pruned would look
    unimportant (`benchmarks/sampler_view.py`).

    Args:
        curves: learning curves by trial.
        by: value at the end of a COMPLETE trial.
        rungs: epochs at which trials were compared, ascending.
        bound: that the sweep ranks by.
    """
    values = RungValues(rungs)
    for row in rows:
        recorded = recorded_bounds(curves.get(row.trial, ()))
        for epoch, neg_bound in bounds_at_rungs(row, recorded, rungs, bound=bound).items():
            values.note(row.trial, epoch, neg_bound)
        if row.state is State.FAIL:
            values.fail(row.trial, is_bad=False)
        else:
            values.end(row.trial, getattr(row, by) if row.state is State.COMPLETE else None)
    rung, scores = values.highest_with(values.half)
    params = {row.trial: row.params for row in rows}
    return Importances(
        shares=_shares(space, [(params[trial], score) for trial, score in sorted(scores.items())]),
        epoch=None if rung == END else int(rung),
    )


def _shares(space: SearchSpace, scored: Sequence[tuple[Mapping[str, ParamValue], float]]) -> Mapping[str, float]:
    if len(scored) < MIN_TRIALS or len({score for _, score in scored}) == 1:
        return {}
    study = optuna.create_study(direction="minimize")
    taken = min(len(scored), MOST_TRIALS)
    for config, score in (scored[place * len(scored) // taken] for place in range(taken)):
        params, distributions = drawn(space, config)
        study.add_trial(create_trial(value=score, params=params, distributions=distributions))
    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=SEED))
