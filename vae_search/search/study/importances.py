"""Importances: the share of a score's variance that each parameter explains, as Optuna estimates it."""

from collections.abc import Mapping, Sequence
from typing import Literal

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances

from vae_search.core.trial_state import State
from vae_search.search.study.study import SweepStudy, TrialResult
from vae_search.spec.search_space import SearchSpace
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.queries.ranking import pruned_first

MIN_TRIALS = 8  # the forests of fANOVA see no structure in fewer
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
    return _shares(space, [(row, getattr(row, by)) for row in _complete(rows, by=by)])


def importances_with_pruned(
    space: SearchSpace, rows: Sequence[TrialRow], *, by: Literal["objective", "neg_elbo"]
) -> Mapping[str, float]:
    """The share of each searched parameter in where a trial stands among COMPLETE and PRUNED ones together.

    Places, not values: those of pruned trials come from fewer epochs. COMPLETE trials stand first, then whoever was
    pruned later, then the better value.

    Returns:
        As `importances`; nothing as well if no trial was pruned.
    """
    cut = pruned_first(rows)
    complete = sorted(_complete(rows, by=by), key=lambda row: (getattr(row, by), row.trial))
    return _shares(space, [(row, float(place)) for place, row in enumerate(complete + cut)]) if cut else {}


def _complete(rows: Sequence[TrialRow], *, by: str) -> list[TrialRow]:
    return [row for row in rows if row.state is State.COMPLETE and getattr(row, by) is not None]


def _shares(space: SearchSpace, scored: Sequence[tuple[TrialRow, float]]) -> Mapping[str, float]:
    if len(scored) < MIN_TRIALS or len({score for _, score in scored}) == 1:
        return {}
    rebuilt = SweepStudy(space, sampler="random", seed=SEED)
    for row, score in scored:
        rebuilt.add(TrialResult(trial=row.trial, state=State.COMPLETE, params=row.params, objective=score))
    study = optuna.create_study(direction="minimize")
    study.add_trials(rebuilt.trials())
    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=SEED))
