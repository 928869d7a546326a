"""Trial states, and the reasons for an early end."""

from enum import StrEnum


class State(StrEnum):
    """The states of a trial; the names are Optuna's.

    RUNNING ──► COMPLETE   trained to the last epoch
            ──► PRUNED     ended on purpose: at a `rung`, by a used `time` budget, or `stopped` by somebody
            ──► FAIL       the config's own fault: `diverged`, `raised`, `oom` or `timeout`

    A lost worker or node is no end: the trial stays RUNNING and is issued again. The three ends are final, and
    only they are ever written as a row.
    """

    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAIL = "FAIL"

    @property
    def is_finished(self) -> bool:
        """True once the trial has ended."""
        return self is not State.RUNNING


class Reason(StrEnum):
    """Why a trial ended as PRUNED or FAIL; a COMPLETE trial has none."""

    RUNG = "rung"  # worse than its peers at the same epoch
    TIME = "time"  # a limit of the budget was used up, or nothing was left to gain
    STOPPED = "stopped"  # somebody wanted no more of it
    DIVERGED = "diverged"  # a measurement was NaN or infinite
    RAISED = "raised"  # training raised an exception
    OOM = "oom"  # out of memory, twice
    TIMEOUT = "timeout"  # over the time limit of one trial, twice

    @property
    def state(self) -> State:
        """The state that this reason leads to."""
        return State.PRUNED if self in (Reason.RUNG, Reason.TIME, Reason.STOPPED) else State.FAIL
