"""The log of a model: numbered entries, each created by exactly one writer and chained by hash to the one before."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from vae_search.registry import model_paths
from vae_search.store.backends.base import Store
from vae_search.store.logs.chained_log import ChainedLog
from vae_search.store.logs.log_records import parsed


class Action(StrEnum):
    """Action that an entry records."""

    REGISTER = "register"  # a version number is reserved; its files come next
    PROMOTE = "promote"  # the version is the champion from here on
    WAIT = "wait"  # the version has passed gates and contest, and waits until somebody approves or rejects it
    APPROVE = "approve"  # somebody approved a version that waited, which is the champion from here on
    REJECT = (
        "reject"  # a candidate was refused by its verdicts, or a version that waited by somebody; numbers are given up
    )
    ROLLBACK = "rollback"  # an older version is the champion again
    RETIRE = "retire"  # the version is never to be champion again; no longer written, old logs may hold it


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a model's history.

    Args:
        at: UTC.
        nonce: random, so that two writers never write equal entries.
        candidate: what it is about, as people write it: `fashion-mlp/42`.
        candidate_sha256: of its content.
        incarnation: of the candidate's sweep, which tells it from a later one of that name; None if not known.
        actor: who gave the order; None if a sweep's driver did, or if not known.
        rules_sha256: of the limits that it was held to.
        champion: the version that was champion before this entry.
        manifest_sha256: of the version's files.
        reasons: why, one sentence each; of somebody who approves, rejects or rolls back, in his own words.
        verdicts: of gates and contest, in plain values.
        approval: `required` if the candidate's spec asks for somebody's approval; from this entry on the model does.
    """

    action: Action
    at: datetime
    nonce: str
    version: int | None = None
    candidate: str | None = None
    candidate_sha256: str | None = None
    rules_sha256: str | None = None
    champion: int | None = None
    manifest_sha256: str | None = None
    reasons: tuple[str, ...] = ()
    verdicts: Mapping[str, object] = field(default_factory=dict)
    incarnation: str | None = None
    actor: str | None = None
    approval: str | None = None

    @property
    def judged(self) -> bool:
        """True if a candidate was judged by gates and contest: not where a number is given up, or a person decides."""
        return self.action in (Action.PROMOTE, Action.WAIT, Action.REJECT) and bool(self.verdicts)

    @property
    def contested(self) -> bool:
        """True if a candidate passed the gates and was held against the champion of that time."""
        return self.judged and self.verdicts.get("contest") is not None

    @property
    def gain(self) -> float | None:
        """Nats by which the candidate was better in its contest: over seeds, or where these are the same the weights.

        None if there was no contest.
        """
        contest: Any = self.verdicts.get("contest")
        if contest is None:
            return None
        return float(contest["of_artifact" if contest.get("same_seeds") else "over_seeds"]["estimate"])

    @property
    def led(self) -> bool:
        """True if the candidate looked better than the champion in their contest, enough or not."""
        return self.contested and (self.gain or 0.0) > 0

    def to_dict(self) -> dict[str, object]:
        """The entry's fields; those that older logs have not, only if they are known."""
        late = ("incarnation", "actor", "approval")
        return {name: value for name, value in asdict(self).items() if name not in late or value is not None}

    def to_record(self) -> dict[str, object]:
        """The entry as a record of the log."""
        return self.to_dict() | {"at": self.at.isoformat()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any], *, where: str) -> "Entry":
        """The entry of `to_record`.

        Raises:
            CorruptStore: It is none that this program knows.
        """
        return parsed(cls, record, actions=Action, what="entry", where=where, convert={"reasons": tuple})


class ModelLog:
    """The entries of one model. They never change, so each is read and checked once."""

    def __init__(self, store: Store, model: str) -> None:
        self._log = ChainedLog(store, model_paths.model_log(model))  # says what is wrong with the name
        self._entries: list[Entry] = []

    def entries(self) -> tuple[Entry, ...]:
        """All entries in their order.

        Raises:
            CorruptStore: An entry is damaged or missing.
        """
        records = self._log.records()
        for number, record in enumerate(records[len(self._entries) :], start=len(self._entries) + 1):
            self._entries.append(Entry.from_record(record, where=self._log.path(number)))
        return tuple(self._entries)

    def append(self, entry: Entry, *, after: int) -> bool:
        """Write `entry` as the next one, if `after` is still the number of entries; see `ChainedLog.append`."""
        return self._log.append(entry.to_record(), after=after)


def model_names(store: Store) -> list[str]:
    """The names of all models in the store, sorted; a folder of another name is somebody else's."""
    return [name for name in _folders(store) if model_paths.is_name(name)]


def foreign_folders(store: Store) -> list[str]:
    """Folders beside the models that cannot be a model's."""
    return [f"{model_paths.MODELS}/{name}" for name in _folders(store) if not model_paths.is_name(name)]


def _folders(store: Store) -> list[str]:
    return sorted({path.split("/")[1] for path in store.list(model_paths.MODELS) if path.count("/") > 1})
