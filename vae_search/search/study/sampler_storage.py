"""The trials that a sampler looks at when it draws the next: not all of a long sweep's."""

import copy
from bisect import insort
from collections.abc import Container, Sequence

from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from vae_search.store.queries.pareto import places

NEWEST = 500
BEST = 25
"""TPE models its good trials on the best tenth, at most 25 (Optuna's default gamma)"""


class WindowedStorage(InMemoryStorage):
    """Optuna's storage for one study, whose lists hold the newest trials, the best and those that are running.

    A draw of Optuna's TPE takes time in proportion to the trials in these lists: 0.4 s after 10,000. The many that are
    not among the best only tell where the rest lies, which the newest do as well: Optuna itself gives the older ones
    less weight (`default_weights`). Up to `NEWEST` trials nothing is left out.
    """

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._best: list[tuple[tuple[float, ...], int]] = []  # values and id
        self._running: set[int] = set()

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        trial_id = super().create_new_trial(study_id, template_trial)
        self._count += 1
        self._note(trial_id)
        return trial_id

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        changed = super().set_trial_state_values(trial_id, state, values)
        self._note(trial_id)
        return changed

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if self._count <= NEWEST or states == (TrialState.WAITING,):
            return super().get_all_trials(study_id, deepcopy, states)
        newest = range(self._count - NEWEST, self._count)
        ids = {self.get_trial_id_from_study_id_trial_number(study_id, number) for number in newest}
        ids |= {trial_id for _, trial_id in self._best} | self._running
        trials = [self.get_trial(trial_id) for trial_id in sorted(ids)]
        shown = trials if states is None else [trial for trial in trials if trial.state in states]
        return copy.deepcopy(shown) if deepcopy else shown

    def _note(self, trial_id: int) -> None:
        trial = self.get_trial(trial_id)
        if trial.state.is_finished():
            self._running.discard(trial_id)
        else:
            self._running.add(trial_id)
        if trial.state is TrialState.COMPLETE and trial.values is not None:
            insort(self._best, (tuple(trial.values), trial_id))
            if len(self._best) > BEST:
                order = places([values for values, _ in self._best])  # of one value, its rank
                del self._best[max(range(len(order)), key=lambda position: (order[position], position))]
