"""The Optuna study of one sweep: in memory, rebuilt from the ledger, asked and told by trial number."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial, TrialState, create_trial

from vae_search.core.seeds import derived_seed
from vae_search.core.trial_state import Reason, State
from vae_search.search.study.rung_values import RungValues
from vae_search.search.study.sampler_storage import WindowedStorage
from vae_search.spec.hyperparameters import ParamValue
from vae_search.spec.parameters import CategoricalParameter, FixedParameter, FloatParameter, IntParameter, Parameter
from vae_search.spec.search_space import SearchSpace
from vae_search.spec.sweep_spec import SweepSpec

optuna.logging.set_verbosity(optuna.logging.WARNING)  # one INFO line per trial belongs to our log, not to stderr

OPTUNA_STATES = {
    State.RUNNING: TrialState.RUNNING,
    State.COMPLETE: TrialState.COMPLETE,
    State.PRUNED: TrialState.PRUNED,
    State.FAIL: TrialState.FAIL,
}
TOLD_AS_BAD = {Reason.DIVERGED, Reason.OOM, Reason.TIMEOUT}
"""failures that others of like parameters would repeat"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialResult:
    """One trial as the sampler learns of it."""

    trial: int
    state: State
    reason: Reason | None = None
    params: Mapping[str, ParamValue]
    """active parameters by name, fixed ones included"""
    objective: float | None
    """of a COMPLETE trial, minimised; None in a Pareto sweep"""
    criteria: tuple[float, ...] = ()
    """of a COMPLETE trial of a Pareto sweep, each minimised; of a PRUNED one as far as it came, if that is known"""
    neg_bounds: Mapping[int, float] = field(default_factory=dict)
    """held-out bound by epoch; of one that patience has completed also at the rungs beyond"""

    @property
    def values(self) -> list[float] | None:
        """In Optuna's terms."""
        if self.is_stopped:
            return None
        if self.state is State.COMPLETE and self.objective is not None:
            return [self.objective]
        return [*self.criteria] if self.criteria and self.state in (State.COMPLETE, State.PRUNED) else None

    @property
    def is_bad(self) -> bool:
        """True for a trial that failed by its parameters."""
        return self.state is State.FAIL and self.reason in TOLD_AS_BAD

    @property
    def is_stopped(self) -> bool:
        """True for a trial that somebody has stopped, which says nothing about its config."""
        return self.reason is Reason.STOPPED

    @property
    def optuna_state(self) -> TrialState:
        """PRUNED for a bad trial; COMPLETE for a PRUNED one with values of several criteria; FAIL for a stopped one.

        A FAIL is left out by Optuna's samplers, which go on to suggest what fails; a PRUNED trial without values is
        worse than any other. So would be all pruned ones of several criteria, and the sampler would look only where
        trials have completed: at one price.
        """
        if self.is_bad:
            return TrialState.PRUNED
        if self.is_stopped:
            return TrialState.FAIL
        return TrialState.COMPLETE if self.criteria and self.state is State.PRUNED else OPTUNA_STATES[self.state]


def to_distribution(parameter: Parameter) -> BaseDistribution:
    """The same set of values in Optuna's terms; both include their bounds.

    Raises:
        TypeError: A fixed parameter has nothing to be drawn.
    """
    match parameter:
        case FloatParameter():
            return FloatDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)
        case IntParameter():
            return IntDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)
        case CategoricalParameter():
            return CategoricalDistribution(parameter.choices)
        case FixedParameter():
            raise TypeError(f"{parameter.name} is fixed at {parameter.value}; there is nothing to draw")


def drawn(
    space: SearchSpace, params: Mapping[str, ParamValue]
) -> tuple[dict[str, ParamValue], dict[str, BaseDistribution]]:
    """Values of `params` that the sampler drew, and their distributions, by the sampler's own keys; no fixed ones."""
    active = [entry for entry in space.active(params) if not isinstance(entry, FixedParameter)]
    return (
        {entry.key: params[entry.name] for entry in active},
        {entry.key: to_distribution(entry) for entry in active},
    )


class SweepStudy:
    """Ask for the parameters of trial n, tell how it ended; knows nothing of time, workers or files."""

    def __init__(
        self, space: SearchSpace, *, sampler: str, seed: int, criteria: int = 1, rungs: Sequence[int] = ()
    ) -> None:
        """A study without trials.

        Args:
            criteria: how many values a trial has; with several, none is weighed against another.
            rungs: epochs at which trials are compared before they complete, ascending.
        """
        self._space = space
        self._sampler = sampler
        self._seed = seed
        self._values = RungValues(rungs) if criteria == 1 else None
        self._memory = WindowedStorage(self._values)
        self._study = optuna.create_study(
            directions=["minimize"] * criteria,
            sampler=self._fresh_sampler(0),
            storage=self._memory,
            study_name="sweep",
        )
        self._numbers: dict[int, int] = {}  # our trial number -> Optuna's, which count in the order of their coming

    @classmethod
    def of(cls, spec: SweepSpec, *, rungs: Sequence[int], seed: int | None = None) -> "SweepStudy":
        """The study of a sweep; arguments as above.

        Args:
            seed: of the sampler; default: the sweep's.
        """
        criteria = len(spec.objective.pareto or ("objective",))
        seed = spec.seed if seed is None else seed
        return cls(spec.search_space, sampler=spec.sampler, seed=seed, criteria=criteria, rungs=rungs)

    def add(self, outcome: TrialResult) -> None:
        """Enter a trial that an earlier driver ran, or that is still in flight (RUNNING)."""
        params, distributions = drawn(self._space, outcome.params)
        trial = create_trial(
            state=outcome.optuna_state, values=outcome.values, params=params, distributions=distributions
        )
        self._numbers[outcome.trial] = len(self._numbers)
        self._note_end(outcome)
        self._study.add_trial(trial)

    def borrow(self, outcome: TrialResult) -> None:
        """Enter a trial of another sweep, before all own ones. It has no number here, whatever it had there."""
        self.add(replace(outcome, trial=-1 - len(self._numbers)))

    def ask(self, trial: int, enqueued: Mapping[str, ParamValue] | None = None) -> dict[str, ParamValue]:
        """Draw the parameters of trial number `trial`; those given in `enqueued` are taken as they are.

        Each ask has a fresh sampler seeded by (sweep seed, trial number): with one sampler for the whole sweep, a
        resumed sweep would draw the first trials' points again.

        Returns:
            The active parameters by name, fixed ones included.
        """
        self._study.sampler = self._fresh_sampler(trial)
        if enqueued is not None:
            self._study.enqueue_trial(self._by_key(enqueued))
        asked = self._study.ask()
        self._numbers[trial] = asked.number

        def draw(parameter: Parameter) -> ParamValue:
            match parameter:
                case FloatParameter():
                    return asked.suggest_float(
                        parameter.key, parameter.low, parameter.high, log=parameter.log, step=parameter.step
                    )
                case IntParameter():
                    return asked.suggest_int(
                        parameter.key, parameter.low, parameter.high, log=parameter.log, step=parameter.step
                    )
                case CategoricalParameter():
                    return _chosen(asked.suggest_categorical(parameter.key, parameter.choices))
                case FixedParameter():
                    return parameter.value

        return self._space.suggest(draw)

    def note(self, trial: int, neg_bounds: Mapping[int, float]) -> None:
        """Record the held-out bounds by epoch that a trial has reached, also of one that runs or waits at a rung.

        Noting them again changes nothing, and so does an epoch that is no rung, or a study of several criteria.
        """
        if self._values is not None:
            for epoch, neg_bound in neg_bounds.items():
                self._values.note(self._numbers[trial], epoch, neg_bound)

    def pause(self, trial: int, neg_bounds: Mapping[int, float], *, criteria: tuple[float, ...]) -> None:
        """Record how far a trial is that waits at a rung.

        Args:
            criteria: of a sweep of several, as far as it came; empty if they are not known.
        """
        self.note(trial, neg_bounds)
        if self._values is None and criteria:
            self._memory.show(self._numbers[trial], criteria)

    def tell(self, outcome: TrialResult) -> None:
        """Record how an asked trial ended. Only finite values may come in; anything else is a FAIL."""
        self._note_end(outcome)
        self._study.tell(self._numbers[outcome.trial], outcome.values, state=outcome.optuna_state)

    def trials(self) -> list[FrozenTrial]:
        """The trials as the sampler sees them (`WindowedStorage`), by Optuna's numbers."""
        return self._study.get_trials(deepcopy=False)

    def _note_end(self, outcome: TrialResult) -> None:
        """Bring the values by rung to where a trial stands."""
        self.note(outcome.trial, outcome.neg_bounds)
        if self._values is None or outcome.state is State.RUNNING:
            return
        number = self._numbers[outcome.trial]
        if outcome.is_stopped:
            return  # what it had reached at rungs counts there as any other's, and nothing is known of it beyond
        if outcome.state is State.FAIL:
            self._values.fail(number, is_bad=outcome.is_bad)
        else:
            self._values.end(number, outcome.objective)

    def _by_key(self, params: Mapping[str, ParamValue]) -> dict[str, ParamValue]:
        """An enqueued config in the sampler's keys; conditions that it leaves open count as not met."""
        active = self._space.active(self._space.with_fixed(params))
        return {parameter.key: params[parameter.name] for parameter in active if parameter.name in params}

    def _fresh_sampler(self, trial: int) -> optuna.samplers.BaseSampler:
        seed = derived_seed(self._seed, trial, "sampler")
        if self._sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        with warnings.catch_warnings():
            # `group` and its kin are marked experimental; the pinned major version and our tests hold them still.
            warnings.simplefilter("ignore", ExperimentalWarning)
            # group: without it, conditional parameters fall out of the joint space and are drawn independently.
            return optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=True, seed=seed)


def _chosen(choice: object) -> ParamValue:
    """A drawn choice; the space allows numbers and names only, Optuna's types allow None too."""
    if not isinstance(choice, int | float | str):
        raise TypeError(f"a choice must be a number or a name, but got {choice!r}")
    return choice
