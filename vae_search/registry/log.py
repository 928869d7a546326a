"""The log of a model: numbered entries, each created by exactly one writer and chained by hash to the one before."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

from vae_search.errors import CorruptStore
from vae_search.registry import model_paths
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.backends.json_records import from_json_bytes, to_json_bytes

NO_ENTRY = "0" * 64  # what the first entry is chained to


class Action(StrEnum):
    """Action that an entry records."""

    REGISTER = "register"  # a version number is reserved; its files come next
    PROMOTE = "promote"  # the version is the champion from here on
    REJECT = "reject"  # a candidate was refused; a number that it may have reserved is given up
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
        rules_sha256: of the limits that it was held to.
        champion: the version that was champion before this entry.
        manifest_sha256: of the version's files.
        reasons: why, one sentence each.
        verdicts: of gates and contest, in plain values.
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

    @property
    def judged(self) -> bool:
        """True if a candidate was judged: not where a number is only given up."""
        return self.action in (Action.PROMOTE, Action.REJECT) and bool(self.verdicts)

    @property
    def contested(self) -> bool:
        """True if a candidate passed the gates and was held against the champion of that time."""
        return self.judged and self.verdicts.get("contest") is not None

    @property
    def led(self) -> bool:
        """True if the candidate looked better than the champion in their contest, enough or not."""
        contest: Any = self.verdicts.get("contest")
        return self.contested and contest["over_seeds"]["estimate"] > 0

    def to_dict(self) -> dict[str, object]:
        """The entry's fields; `incarnation` only if it is known, as older logs have none."""
        return {name: value for name, value in asdict(self).items() if name != "incarnation" or value is not None}

    def to_json(self, *, number: int, previous_sha256: str) -> bytes:
        """The entry as the file `number`, sealed with the SHA-256 of its own content."""
        record = self.to_dict() | {"at": self.at.isoformat(), "number": number, "previous_sha256": previous_sha256}
        return to_json_bytes(record | {"sha256": _sha256(to_json_bytes(record))})

    @classmethod
    def from_json(cls, content: bytes, *, number: int, previous_sha256: str, where: str) -> "Entry":
        """The entry of `to_json`.

        Raises:
            CorruptStore: A byte is changed, or the entry belongs to another place in the chain.
        """
        record = from_json_bytes(content, where=where)
        sealed = record.pop("sha256", None)
        if sealed != _sha256(to_json_bytes(record)) or content != to_json_bytes(record | {"sha256": sealed}):
            raise CorruptStore(
                "damaged: its bytes do not match its digest.", path=where, advice="Restore it from a copy."
            )
        if (record.pop("number", None), record.pop("previous_sha256", None)) != (number, previous_sha256):
            raise CorruptStore(
                "does not follow the entry before it.", path=where, advice="Restore the log from a copy."
            )
        try:
            unknown = set(record) - {each.name for each in fields(cls)}
            if unknown:
                raise ValueError(f"unknown fields {', '.join(sorted(unknown))}")
            known: dict[str, object] = record | {
                "action": Action(str(record["action"])),
                "at": datetime.fromisoformat(str(record["at"])),
                "reasons": tuple(record["reasons"]),  # type: ignore[arg-type]
            }
            return cls(**known)  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptStore(
                f"is no entry of this program: {error}.", path=where, advice="Install a newer vae-search."
            ) from error


class ModelLog:
    """The entries of one model. They never change, so each is read and checked once."""

    def __init__(self, store: Store, model: str) -> None:
        self._store = store
        self._model = model
        self._entries: list[Entry] = []
        self._last_sha256 = NO_ENTRY
        model_paths.model(model)  # says what is wrong with the name

    def entries(self) -> tuple[Entry, ...]:
        """All entries in their order.

        Raises:
            CorruptStore: An entry is damaged or missing.
        """
        paths = self._store.list(model_paths.model_log(self._model))
        present = {number for path in paths if (number := store_paths.number_of(path))}
        for number in range(len(self._entries) + 1, max(present, default=0) + 1):
            path = model_paths.model_entry(self._model, number)
            if number not in present:
                raise CorruptStore(
                    "is missing, but later entries are there.", path=path, advice="Restore it from a copy."
                )
            content = self._store.read(path)
            self._entries.append(Entry.from_json(content, number=number, previous_sha256=self._last_sha256, where=path))
            self._last_sha256 = _sha256(content)
        return tuple(self._entries)

    def append(self, entry: Entry, *, after: int) -> bool:
        """Write `entry` as the next one, if `after` is still the number of entries.

        Returns:
            False if another writer was first: read on and decide again.

        Raises:
            StoreUnavailable: It is not written; or it is, which `entries` tells.
        """
        if after != len(self._entries):
            return False
        content = entry.to_json(number=after + 1, previous_sha256=self._last_sha256)
        path = model_paths.model_entry(self._model, after + 1)
        try:
            self._store.create(path, content)
        except AlreadyThere:
            # A remote store may have applied the create and lost its answer; the nonce makes the entry ours alone.
            return self._store.read(path) == content
        return True


def model_names(store: Store) -> list[str]:
    """The names of all models in the store, sorted; a folder of another name is somebody else's."""
    return [name for name in _folders(store) if model_paths.is_name(name)]


def foreign_folders(store: Store) -> list[str]:
    """Folders beside the models that cannot be a model's."""
    return [f"{model_paths.MODELS}/{name}" for name in _folders(store) if not model_paths.is_name(name)]


def _folders(store: Store) -> list[str]:
    return sorted({path.split("/")[1] for path in store.list(model_paths.MODELS) if path.count("/") > 1})


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
