"""Events of a job for programs: one line of JSON each in the job's log, the only channel that every client can read.

The driver of a job writes them and `Jobs` reads them; people are not shown them. What the log holds beside them is for
people and may be worded anew at any time.
"""

import json
from dataclasses import asdict, dataclass

MARK = "vae-search-job: "
PHASE, TRAINING, FAILED = "phase", "training", "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """One thing that a job's driver tells whoever started it."""

    event: str
    """PHASE: something begins that takes seconds, or minutes. TRAINING: the cluster is joined, every node writes to the
    store, the first trial comes. FAILED: it ends"""
    exit_code: int | None = None
    """of FAILED: the driver's"""
    message: str | None = None
    """of PHASE: what begins. Of FAILED: where, what must hold, what was found, what to do"""


def line_of(event: JobEvent) -> str:
    """The event as a line of a log."""
    return f"{MARK}{json.dumps(asdict(event))}\n"


def events_in(log: str) -> list[JobEvent]:
    """The events of a log, the first one first; what only looks like one is left out."""
    found = []
    for line in log.splitlines():
        if line.startswith(MARK):
            try:
                told = json.loads(line.removeprefix(MARK))
                found.append(JobEvent(event=told["event"], exit_code=told["exit_code"], message=told["message"]))
            except (ValueError, KeyError, TypeError):
                continue
    return found


def without_events(log: str) -> str:
    """A log, or whole lines of one, without the events: as people are shown it."""
    return "".join(line for line in log.splitlines(keepends=True) if not line.startswith(MARK))


class LineFilter:
    """Removes the events from a log that comes in pieces of any length."""

    def __init__(self) -> None:
        self._begun = ""

    def take(self, piece: str) -> str:
        """Add a piece; the complete lines so far, as people are shown them."""
        whole, end, self._begun = (self._begun + piece).rpartition("\n")
        return without_events(whole + end)

    def rest(self) -> str:
        """A last line that has no end."""
        rest, self._begun = self._begun, ""
        return without_events(rest)
