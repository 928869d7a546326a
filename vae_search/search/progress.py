"""Progress of a running sweep, and the observer that shows it to whoever started it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_search.core.dataset_summary import DatasetSummary
from vae_search.core.trial_state import State
from vae_search.store.queries.front import Front

if TYPE_CHECKING:
    from vae_search.search.running_trial import TrialEnd  # its library takes long to load
    from vae_search.store.ledger.rows import TrialRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A sweep at one moment, for people and for the heartbeat."""

    trials: int
    """in the budget"""
    states: Mapping[State, int]
    """finished trials, of all drivers of the sweep"""
    best_trial: int | None
    best_objective: float | None
    front: Front | None
    """of a Pareto sweep, which has no best trial"""
    epochs_done: int
    """by this driver"""
    running: Mapping[str, int]
    """epochs done, by key of the run in flight"""
    confirmed: int
    """confirm runs that have ended, of all drivers"""
    confirm_runs: int
    """that the spec asks for"""
    paused: int = 0
    """trials that wait at a rung"""

    @property
    def finished(self) -> int:
        return sum(self.states.values())


def _ignore_finished(row: "TrialRow", end: "TrialEnd") -> None:
    return None


def _no_display(progress: Callable[[], Progress]) -> AbstractContextManager[object]:
    return nullcontext()


def _ignore_words(words: str) -> None:
    return None


def _ignore_images(images: DatasetSummary) -> None:
    return None


def _ignore_lines(lines: Sequence[str]) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """Called from the driver's thread; the defaults show nothing."""

    on_phase: Callable[[str], None] = _ignore_words
    """when something begins that takes seconds"""
    on_warning: Callable[[str], None] = _ignore_words
    """when something is wrong that does not end the sweep; one to three lines"""
    on_images: Callable[[DatasetSummary], None] = _ignore_images
    """when the images have been read, before anything is started"""
    on_warm_start: Callable[[Sequence[str]], None] = _ignore_lines
    """what the sweep takes, or took, from earlier ones, a sentence each; before anything is started"""
    on_trial_finished: "Callable[[TrialRow, TrialEnd], None]" = _ignore_finished
    """after a trial's row is durable"""
    watching: Callable[[Callable[[], Progress]], AbstractContextManager[object]] = _no_display
    """entered before the first trial, left after the last: for a display that polls the progress"""
