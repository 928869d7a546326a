"""Queue of the trials that a search has still to train.

Interrupted ones come first, then configs that people have enqueued, the best paused trial, and new ones.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping

from vae_search.core.seeds import derived_seed
from vae_search.search.messages import TrialAssignment
from vae_search.search.pruning import SuccessiveHalving
from vae_search.search.rungs.first_configs import FirstConfigs
from vae_search.search.rungs.paused_trials import PausedTrials
from vae_search.search.running_trial import RunningTrial
from vae_search.spec.hyperparameters import ParamValue
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.backends.base import Store
from vae_search.store.control.commands import EnqueuedConfig

Ask = Callable[[int, Mapping[str, ParamValue] | None], Mapping[str, ParamValue]]


class TrialQueue:
    """The trials of one sweep that are neither in flight nor over.

    Args:
        time_is_up: whether the search has used its time; then no trial begins, and none goes on after a pause.
        first: configs of the first trials.
    """

    def __init__(
        self,
        spec: SweepSpec,
        store: Store,
        rungs: SuccessiveHalving,
        *,
        time_is_up: Callable[[], bool],
        first: FirstConfigs,
    ) -> None:
        self._spec = spec
        self._first = first
        self._time_is_up = time_is_up
        self._least = rungs.least_in_the_end
        self._rungs = rungs
        self._trials = spec.budget.trials
        self._paused = PausedTrials(store, spec.name, rungs)
        self._interrupted: deque[TrialAssignment] = deque()  # in flight when the last driver died
        self._unissued: deque[int] = deque()  # numbers of the budget, the least first
        self._beyond: dict[int, TrialAssignment | None] = {}  # beyond a budget that was lowered; None: it has a row

    def fill(self, unfinished: Iterable[TrialAssignment], *, finished: Collection[int]) -> None:
        """Take up what an earlier driver has left.

        Args:
            unfinished: trials that have been issued and have no row.
            finished: numbers of trials that have one.
        """
        trials = {*range(self._trials)}
        self._beyond = dict.fromkeys({*finished} - trials)
        for assignment in unfinished:
            if assignment.trial not in trials:  # a budget that was lowered leaves it for a later, larger one
                self._beyond[assignment.trial] = assignment
            elif not self._paused.restore(assignment):
                self._interrupted.append(assignment)
            trials.discard(assignment.trial)
        self._unissued = deque(sorted(trials - {*finished}))

    def resize(self, trials: int) -> int:
        """Bring the budget to so many trials, or to as many as have begun if these are more; the new budget."""
        for number in range(self._trials, trials):
            if number not in self._beyond:
                self._unissued.append(number)
            elif (assignment := self._beyond.pop(number)) is not None:
                self._interrupted.append(assignment)
        self._trials = max(self._trials, trials)
        while self._trials > trials and self._unissued and self._unissued[-1] == self._trials - 1:
            self._unissued.pop()
            self._trials -= 1
        self._rungs.trials = self._trials
        return self._trials

    @property
    def is_empty(self) -> bool:
        """True if the search has nothing to train beside what is in flight."""
        return not (self._interrupted or self._paused or (self._unissued and not self._time_is_up()))

    @property
    def trials(self) -> int:
        """The budget."""
        return self._trials

    @property
    def paused_trials(self) -> Iterable[RunningTrial]:
        """Those that wait at a rung."""
        return self._paused.all

    @property
    def paused(self) -> int:
        """Trials that wait at a rung."""
        return len(self._paused)

    @property
    def to_come(self) -> int:
        """Trials to train beside those in flight, as far as can be told."""
        return 0 if self.is_empty else len(self._interrupted) + len(self._unissued) + self._paused.promotable

    def interrupted(self) -> TrialAssignment | None:
        """The next of those that the last driver left in flight; it leaves the queue."""
        return self._interrupted.popleft() if self._interrupted else None

    def promoted(self, *, others_run: bool, check_lease: Callable[[], None]) -> RunningTrial | None:
        """The paused trial to go on with now; it leaves the queue.

        Args:
            others_run: whether any trial is in flight that may yet come to a rung; once there is none, and no new one,
                each rung lets some advance in any case, so that a small sweep has finalists.
            check_lease: called before the store is changed.
        """
        if not self._paused or self._time_is_up():
            return None
        running = self._paused.next(least=0 if self._unissued or others_run else self._least)
        if running is not None:
            check_lease()
            self._paused.resume(running)
        return running

    def enqueued(self, ask: Ask, next_config: Callable[[], EnqueuedConfig | None]) -> TrialAssignment | None:
        """The next trial of the budget, with the config that somebody wants next; None if there is none of either.

        The configs that the spec lists keep their numbers, so that others come behind them.
        """
        if not self._unissued or self._unissued[0] < self._first.listed or self._time_is_up():
            return None
        config = next_config()
        return None if config is None else self._next(ask, config.params, command=config.command)

    def new(self, ask: Ask) -> TrialAssignment | None:
        """The next trial of the budget; it leaves the queue once its parameters are drawn.

        Args:
            ask: draws the parameters of a trial, by its number and what is enqueued for it.
        """
        if not self._unissued or self._time_is_up():
            return None
        trial = self._unissued[0]
        return self._next(ask, self._first.of(trial))

    def _next(
        self, ask: Ask, config: Mapping[str, ParamValue] | None, *, command: int | None = None
    ) -> TrialAssignment:
        trial = self._unissued[0]
        params = ask(trial, config)
        self._unissued.popleft()
        seed = derived_seed(self._spec.seed, trial, "training")
        return TrialAssignment(trial=trial, params=params, seed=seed, command=command)

    def pause(self, running: RunningTrial) -> None:
        """Let a trial wait at its rung; durable when this returns. The caller has just made sure of its lease."""
        self._paused.add(running)

    def stop(self, trials: Collection[int]) -> dict[str, RunningTrial]:
        """The paused trials that have ended because somebody has stopped them, by key."""
        return self._paused.stop(trials)

    def cut(self, *, others_run: bool = True) -> dict[str, RunningTrial]:
        """The paused trials that have ended, by key: those that cannot advance any more, whatever comes.

        Args:
            others_run: as for `promoted`, which has just found none.
        """
        return self._paused.cut(all_of_them=self._time_is_up() or not (self._unissued or others_run))
