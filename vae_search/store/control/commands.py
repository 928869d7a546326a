"""Commands to a sweep while it runs: durable in the store, numbered, and each carried out exactly once.

Nothing marks a command as done. A config to be tried is done once a trial has its number, which suggestions and rows
hold; the others say how things are to be, so that carrying one out again changes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from vae_search.errors import Conflict
from vae_search.store.logs.log_records import parsed


class CommandAction(StrEnum):
    """Action that a command asks for."""

    ENQUEUE = "enqueue"  # a config is to be tried next
    STOP_TRIAL = "stop_trial"  # a trial is to end as it stands
    SET = "set"  # settings that may change while the sweep runs


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepCommand:
    """One command.

    Args:
        at: UTC.
        nonce: random, so that two writers never write equal commands.
        actor: who gave it.
        incarnation: of the sweep, which tells it from a later one of its name.
        idempotency_key: the sender's own mark; the same one again, by the same actor, is the same command.
        params: of an `ENQUEUE`: values by parameter; the others are drawn.
        trial: of a `STOP_TRIAL`.
        settings: of a `SET`: values by key of the spec, such as `resources.concurrency` or `budget.trials`.

    Raises:
        ValueError: What the action needs is missing, or there is more.
    """

    action: CommandAction
    at: datetime
    nonce: str
    actor: str | None = None
    incarnation: str | None = None
    idempotency_key: str | None = None
    params: Mapping[str, int | float | str] | None = None
    trial: int | None = None
    settings: Mapping[str, int | float | str | None] | None = None

    def __post_init__(self) -> None:
        needed = {CommandAction.ENQUEUE: "params", CommandAction.STOP_TRIAL: "trial", CommandAction.SET: "settings"}
        for action, name in needed.items():
            if (getattr(self, name) is not None) != (action is self.action):
                raise ValueError(f"{self.action}: `{name}` goes with {action} alone")

    def to_record(self) -> dict[str, object]:
        """The command as a record of the log, without the fields that it does not have."""
        return {name: value for name, value in asdict(self).items() if value is not None} | {"at": self.at.isoformat()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any], *, where: str) -> "SweepCommand":
        """The command of `to_record`.

        Raises:
            CorruptStore: It is none that this program knows.
        """
        return parsed(cls, record, actions=CommandAction, what="command", where=where)


def given_before(commands: Iterable[SweepCommand], again: SweepCommand) -> int | None:
    """Number of the command that is given again, by its idempotency key; None if it is new.

    Raises:
        Conflict: The key was used for another one.
    """
    if again.idempotency_key is None:
        return None
    mark = (again.actor, again.incarnation, again.idempotency_key)
    for number, earlier in enumerate(commands, start=1):
        if (earlier.actor, earlier.incarnation, earlier.idempotency_key) == mark:
            if replace(earlier, at=again.at, nonce=again.nonce) != again:
                raise Conflict(f"idempotency key {again.idempotency_key}: was used for another command.")
            return number
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnqueuedConfig:
    """A config that somebody wants to be tried."""

    command: int
    """its number"""
    params: Mapping[str, int | float | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepControl:
    """State that all commands of a sweep amount to."""

    enqueued: tuple[EnqueuedConfig, ...] = ()
    """in the order in which they were given, those included that have become trials"""
    stopped_trials: Mapping[int, int] = field(default_factory=dict)
    """number of the first command that stops a trial, by trial"""
    settings: Mapping[str, int | float | str | None] = field(default_factory=dict)
    """that were set, the last one of each key"""
    commands: int = 0
    """how many there are"""


def fold(commands: Iterable[SweepCommand], *, incarnation: str | None, since: int = 0) -> SweepControl:
    """The commands to the sweep of an incarnation.

    Args:
        since: number of the last command whose settings are in the spec already that they are laid over.
    """
    enqueued: list[EnqueuedConfig] = []
    stopped: dict[int, int] = {}
    settings: dict[str, int | float | str | None] = {}
    number = 0
    for number, command in enumerate(commands, start=1):
        if command.incarnation != incarnation:
            continue
        if command.params is not None:
            enqueued.append(EnqueuedConfig(command=number, params=command.params))
        if command.trial is not None:
            stopped.setdefault(command.trial, number)
        if command.settings is not None and number > since:
            settings |= command.settings
    return SweepControl(enqueued=tuple(enqueued), stopped_trials=stopped, settings=settings, commands=number)
