"""Trials as the sampler sees them when it draws the next: compared at one rung, and of a long sweep not all."""

import copy
import heapq
import math
from bisect import insort
from collections.abc import Container, Iterable, Mapping, Sequence

from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from vae_search.search.study.rung_values import MOST_GOOD, RungValues
from vae_search.store.queries.pareto import places

NEWEST = 250
OLDER = 250  # of all before the newest
BEST = MOST_GOOD
BAD_FOR_EACH = 9  # trials without a value, for each with one: TPE takes a tenth for good
GOLDEN = (math.sqrt(5) - 1) / 2


class WindowedStorage(InMemoryStorage):
    """Optuna's storage for one study, whose lists differ from what it was told in two ways.

    **Values are of one rung.** Optuna ranks whoever is COMPLETE before whoever is PRUNED, but the first trials pass
    their rungs among few and complete, however bad. So all that have reached the highest common rung are shown as
    COMPLETE with their value there, running ones and those that somebody has stopped too; others that have reached
    lower ones only as PRUNED.

    **Long lists are thinned.** A draw of Optuna's TPE takes time in proportion to the trials that it sees: 0.4 s after
    10,000. Beyond `NEWEST + OLDER` it sees the newest, as many evenly from all before them, which keep bad regions in
    sight, the best, and the running ones of which nothing is known.

    Args:
        values: by Optuna's trial numbers; None for a study of several criteria: its trials are shown as they were told,
            and those that wait at a rung with the criteria that they have (`show`).
    """

    def __init__(self, values: RungValues | None) -> None:
        super().__init__()
        self._values = values
        self._front: list[tuple[tuple[float, ...], int]] = []  # the best by several criteria: values and number
        self._running: set[int] = set()  # numbers
        self._so_far: dict[int, tuple[float, ...]] = {}  # criteria of trials that have not ended

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        trial_id = super().create_new_trial(study_id, template_trial)
        self._note(trial_id)
        return trial_id

    def show(self, number: int, criteria: tuple[float, ...]) -> None:
        """Show a trial that has not ended as COMPLETE with these criteria, until it is told."""
        self._so_far[number] = criteria

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        changed = super().set_trial_state_values(trial_id, state, values)
        self._note(trial_id)
        return changed

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if states == (TrialState.WAITING,):
            return super().get_all_trials(study_id, deepcopy, states)
        trials = super().get_all_trials(study_id, deepcopy=False)
        if self._values is None:
            in_sight = self._in_sight(len(trials), best=[number for _, number in self._front])
            shown = [self._as_far(trials[number]) for number in in_sight]
        else:
            _, values = self._values.highest_with(self._values.enough)
            in_sight = self._in_sight(len(trials), best=heapq.nsmallest(BEST, values, key=values.__getitem__))
            shown = [self._at_rung(trials[number], values) for number in in_sight]
        shown = self._without_surplus(shown)
        if states is not None:
            shown = [trial for trial in shown if trial.state in states]
        return copy.deepcopy(shown) if deepcopy else shown

    def _in_sight(self, count: int, *, best: Iterable[int]) -> Sequence[int]:
        """Numbers of the trials that are shown, ascending."""
        older = count - NEWEST
        if older <= OLDER:
            return range(count)
        # The fractional parts of n times the golden ratio fill the unit interval evenly (three-distance theorem, Sós
        # 1957), so those below a limit are spread evenly over n. The limit falls: whoever is left out stays out.
        thinned = {number for number in range(older) if number * GOLDEN % 1.0 < OLDER / older}
        running = (number for number in self._running if self._values is None or not self._values.has(number))
        return sorted(thinned.union(range(older, count), best, running))

    def _as_far(self, trial: FrozenTrial) -> FrozenTrial:
        """The trial with the criteria that it has, if it waits at a rung."""
        criteria = self._so_far.get(trial.number)
        if criteria is None or trial.state is not TrialState.RUNNING:
            return trial
        shown = copy.copy(trial)
        shown.state, shown.values = TrialState.COMPLETE, list(criteria)
        return shown

    def _at_rung(self, trial: FrozenTrial, values: Mapping[int, float]) -> FrozenTrial:
        """The trial as it compares with those that have `values`."""
        value = values.get(trial.number)
        unknown = trial.state is TrialState.RUNNING and self._values is not None and not self._values.has(trial.number)
        if unknown or trial.state is TrialState.WAITING or (trial.state is TrialState.FAIL and value is None):
            return trial
        shown = copy.copy(trial)
        shown.state = TrialState.PRUNED if value is None else TrialState.COMPLETE
        shown.value = value
        return shown

    def _without_surplus(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """The trials without the oldest bad ones, where there are too few others: TPE would take bad ones for good."""
        valued = sum(trial.state is TrialState.COMPLETE for trial in trials)
        if self._values is not None and valued >= BEST:
            return trials
        bad = [trial.number for trial in trials if trial.state is TrialState.PRUNED]
        surplus = {*bad[: max(0, len(bad) - BAD_FOR_EACH * valued)]}
        return [trial for trial in trials if trial.number not in surplus]

    def _note(self, trial_id: int) -> None:
        trial = self.get_trial(trial_id)
        (self._running.discard if trial.state.is_finished() else self._running.add)(trial.number)
        if self._values is None and trial.state is TrialState.COMPLETE and trial.values is not None:
            insort(self._front, (tuple(trial.values), trial.number))
            if len(self._front) > BEST:
                order = places([values for values, _ in self._front])
                del self._front[max(range(len(order)), key=lambda position: (order[position], position))]
