"""Importances: the share of a score's variance that each parameter explains, as Optuna estimates it."""

from collections.abc import Mapping, Sequence
from typing import Literal

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances

from vae_search.core.trial_state import State
from vae_search.search.study.study import SweepStudy, TrialResult
from vae_search.spec.search_space import SearchSpace
from vae_search.store.ledger.rows import TrialRow

MIN_TRIALS = 8  # COMPLETE ones; the forests of fANOVA see no structure in fewer
SEED = 0  # equal ledgers give equal reports


def importances(
    space: SearchSpace, rows: Sequence[TrialRow], *, by: Literal["objective", "neg_elbo"]
) -> Mapping[str, float]:
    """The share of each searched parameter that all COMPLETE trials have; the shares add up to 1.

    By fANOVA (Hutter, Hoos and Leyton-Brown 2014, "An Efficient Approach for Assessing Hyperparameter Importance").

    Returns:
        Nothing if fewer than `MIN_TRIALS` trials have completed, if all have the same score, or if no parameter
        differs between them.
    """
    scored = [row for row in rows if row.state is State.COMPLETE and getattr(row, by) is not None]
    if len(scored) < MIN_TRIALS or len({getattr(row, by) for row in scored}) == 1:
        return {}
    rebuilt = SweepStudy(space, sampler="random", seed=SEED)
    for row in scored:
        rebuilt.add(TrialResult(trial=row.trial, state=row.state, params=row.params, objective=getattr(row, by)))
    study = optuna.create_study(direction="minimize")
    study.add_trials(rebuilt.trials())
    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=SEED))
