"""Every error a user can meet, on one screen.

VaeSearchError          exit code, what it says to a user
├── InvalidSpec         2   the spec or the command line is wrong; all problems at once
├── NotFound            2   no such sweep, trial or model
├── BadData             3   the images are wrong
├── CorruptStore        3   a file of the store is damaged
├── ClusterTrouble      4   Ray cannot be started or reached
│   └── NodeTrouble     4   one node cannot train; others may
├── ProcessLost         4   a process that measures a model was lost; the same command tries again
├── Conflict            5   another driver, another spec, another comparability key
│   └── LeaseLost       5   this driver no longer owns its sweep
├── SweepFailed         6   no trial completed, or too many failed
├── StoreUnavailable    7   the store is full or cannot be reached
├── NotPromoted         8   a candidate was refused, or waits for approval (`promote` only)
└── Interrupted       130   stopped by a person; resumable

A message has one to three lines: where, what must hold, what was found, what to do.
Only `cli.py` catches these.
"""

from collections.abc import Sequence
from typing import ClassVar

# Of problem documents (RFC 9457), in which a service tells its clients of these errors, each by its name in kebab case.
PROBLEM_MEDIA_TYPE = "application/problem+json"
PROBLEM_URN = "urn:vae-search:problem:"


class VaeSearchError(Exception):
    """Base of all errors that are not our bugs."""

    exit_code: ClassVar[int] = 1
    advice: str | None = None
    """what to do, where the message ends with it and it is known apart from the rest"""


class InvalidSpec(VaeSearchError):
    """The user's spec or command line is wrong. `problems` holds one line each, without `where` they are."""

    exit_code = 2

    def __init__(self, *problems: str, where: str | None = None, every: Sequence[str] = ()) -> None:
        super().__init__("\n".join(problem if where is None else f"{where}: {problem}" for problem in problems))
        self.problems = problems
        self.every = tuple(every) or problems
        """those that the message leaves out included"""


class NotFound(VaeSearchError):
    """No such sweep, trial or model in the store."""

    exit_code = 2


class BadData(VaeSearchError):
    """The images cannot be trained on as they are."""

    exit_code = 3


class CorruptStore(VaeSearchError):
    """A file of the store is damaged; nothing was changed.

    The message is composed of its fields: `path: problem advice`.

    Args:
        problem: one sentence.
        path: of the file in the store.
        advice: what to do.
    """

    exit_code = 3

    def __init__(self, problem: str, *, path: str | None = None, advice: str | None = None) -> None:
        where = "" if path is None else f"{path}: "
        super().__init__(f"{where}{problem}" + ("" if advice is None else f" {advice}"))
        self.path = path
        self.problem = problem
        self.advice = advice


class ClusterTrouble(VaeSearchError):
    """Ray cannot be started, reached, or has no room for a trial."""

    exit_code = 4


class ProcessLost(VaeSearchError):
    """A process that measures a model was lost to memory, time or a signal; nothing is known, so try again."""

    exit_code = 4


class NodeTrouble(ClusterTrouble):
    """One node cannot train: it lacks its GPU, or sees another store. Other nodes may."""


class Conflict(VaeSearchError):
    """Somebody or something else holds what was asked for; nothing was changed."""

    exit_code = 5


class LeaseLost(Conflict):
    """Another driver has taken the sweep over; this one must stop without writing a row."""


class SweepFailed(VaeSearchError):
    """The sweep ended without a usable result."""

    exit_code = 6


class StoreUnavailable(VaeSearchError):
    """The store is full or cannot be reached; what is there stays intact, and the sweep can be resumed."""

    exit_code = 7


class NotPromoted(VaeSearchError):
    """No finalist of the sweep became champion; the log says why."""

    exit_code = 8


class Interrupted(VaeSearchError):
    """A person stopped the sweep; running it again continues it."""

    exit_code = 130


def kinds_of_exit_code(exit_code: int) -> list[type[VaeSearchError]]:
    """The classes of errors with an exit code, the most general one first."""
    return [kind for kind in _with_those_below(VaeSearchError) if kind.exit_code == exit_code]


def kind_of_exit_code(exit_code: int | None, *, otherwise: type[VaeSearchError]) -> type[VaeSearchError]:
    """The most general class of errors with the exit code that another process of this program has ended with.

    Args:
        otherwise: the class for a mistake in the program, and for a process that was lost.
    """
    kinds = [] if exit_code is None else kinds_of_exit_code(exit_code)
    return next((kind for kind in kinds if kind is not VaeSearchError), otherwise)


def _with_those_below(kind: type[VaeSearchError]) -> list[type[VaeSearchError]]:
    below = kind.__subclasses__()
    return [kind, *below, *(each for one in below for each in _with_those_below(one)[1:])]
