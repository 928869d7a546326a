"""The sampler's study as it was: told of states and learning curves, in Optuna's own order."""

import optuna
from optuna.trial import FrozenTrial, Trial

from vae_search.core.trial_state import State
from vae_search.search.study.study import OPTUNA_STATES, SweepStudy, TrialResult
from vae_search.spec.search_space import SearchSpace

NEWEST, BEST = 500, 25


class _Window(optuna.storages.InMemoryStorage):
    """Beyond 500 trials the newest 500, and the best 25."""

    def get_all_trials(self, study_id, deepcopy=True, states=None) -> list[FrozenTrial]:
        trials = super().get_all_trials(study_id, deepcopy, states)
        if len(trials) <= NEWEST:
            return trials
        complete = [trial for trial in trials[:-NEWEST] if trial.state.name == "COMPLETE"]
        best = sorted(complete, key=lambda trial: trial.value)[:BEST]
        return [*sorted(best, key=lambda trial: trial.number), *trials[-NEWEST:]]


class ToldByState(SweepStudy):
    """A diverged trial is a FAIL, which Optuna leaves out; whoever completed stands before whoever was pruned."""

    def __init__(self, space: SearchSpace, *, seed: int, sampler: str = "tpe") -> None:
        super().__init__(space, sampler=sampler, seed=seed)
        self._study = optuna.create_study(storage=_Window(), study_name="sweep")

    def note(self, trial: int, epoch: int, neg_bound: float) -> None:
        """Nothing was heard of running trials."""

    def tell(self, outcome: TrialResult) -> None:
        number = self._numbers[outcome.trial]
        if outcome.state is State.PRUNED:
            trial_id = self._study._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)
            for epoch, neg_bound in outcome.neg_bounds.items():
                Trial(self._study, trial_id).report(neg_bound, epoch)
        self._study.tell(number, outcome.values, state=OPTUNA_STATES[outcome.state])
