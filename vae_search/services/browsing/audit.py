"""Audit of a store: who did what and why, from the logs of the models and of the queue. Each entry is read once."""

import heapq
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vae_search.errors import CorruptStore
from vae_search.queue.entries import QueueAction, QueueEntry
from vae_search.queue.sweep_queue import FOLDER
from vae_search.registry.log import ModelLog, model_names
from vae_search.services.payloads import Facts
from vae_search.store.backends.base import Store
from vae_search.store.logs.chained_log import ChainedLog


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """Entries, the newest first, and the logs that could not be read."""

    entries: tuple[Facts, ...]
    total: int
    troubles: tuple[str, ...]


class Audit:
    """Entries of all logs of a store. Logs grow only, so what was read is kept; safe for threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._queue = _QueueFacts(store)
        self._models: dict[str, _ModelFacts] = {}

    def page(
        self,
        *,
        limit: int,
        skip: int = 0,
        model: str | None = None,
        sweep: str | None = None,
        actor: str | None = None,
    ) -> AuditPage:
        """Find entries of both kinds of logs. The dispatcher's and those of a sweep's driver have no actor.

        Args:
            skip: of the newest.
            model: only its entries.
            sweep: only entries about it, or about its candidates.
            actor: only what this person did.
        """
        found, troubles = self._entries(model)
        chosen = [
            entry for entry in found if actor in (None, entry["actor"]) and (sweep is None or entry["sweep"] == sweep)
        ]
        newest = heapq.nlargest(limit + skip, chosen, key=lambda entry: (entry["at"], entry["number"]))
        return AuditPage(entries=tuple(newest[skip:]), total=len(chosen), troubles=tuple(troubles))

    def _entries(self, model: str | None) -> tuple[list[Facts], list[str]]:
        """Entries as they are now, and what could not be read; a damaged log is left out."""
        found: list[Facts] = []
        troubles: list[str] = []
        with self._lock:
            logs: list[_QueueFacts | _ModelFacts] = [] if model is not None else [self._queue]
            for name in model_names(self._store) if model is None else [model]:
                logs.append(self._models.get(name) or _ModelFacts(self._store, name))
            for log in logs:
                try:
                    entries = log.read()
                except CorruptStore as error:
                    troubles.append(str(error))
                    continue
                found += entries
                if isinstance(log, _ModelFacts) and entries:  # what has no log is nothing to keep
                    self._models[log.model] = log
        return found, troubles


class _ModelFacts:
    """The log of one model."""

    def __init__(self, store: Store, model: str) -> None:
        self.model = model
        self._log = ModelLog(store, model)
        self._facts: list[Facts] = []

    def read(self) -> Sequence[Facts]:
        """All entries, those that are new read from the store."""
        for number, entry in enumerate(self._log.entries()[len(self._facts) :], start=len(self._facts) + 1):
            self._facts.append(
                {
                    "log": "model",
                    "model": self.model,
                    "number": number,
                    "at": entry.at.isoformat(),
                    "actor": entry.actor,
                    "action": entry.action.value,
                    "sweep": None if entry.candidate is None else entry.candidate.partition("/")[0],
                    "candidate": entry.candidate,
                    "version": entry.version,
                    "champion_before": entry.champion,
                    "reasons": list(entry.reasons),
                }
            )
        return self._facts


class _QueueFacts:
    """The log of the queue."""

    def __init__(self, store: Store) -> None:
        self._log = ChainedLog(store, FOLDER)
        self._sweeps: dict[int | None, str | None] = {}
        self._facts: list[Facts] = []

    def read(self) -> Sequence[Facts]:
        """All entries, those that are new read from the store."""
        self._log.follow(self._take)
        return self._facts

    def _take(self, first: int, records: Sequence[Mapping[str, object]]) -> None:
        numbered = enumerate(records, start=first)
        entries = [QueueEntry.from_record(record, where=self._log.path(number)) for number, record in numbered]
        for number, entry in enumerate(entries, start=first):
            item = number if entry.action is QueueAction.SUBMIT else entry.item
            if entry.action is QueueAction.SUBMIT:
                self._sweeps[item] = entry.sweep
            self._facts.append(
                {
                    "log": "queue",
                    "number": number,
                    "at": entry.at.isoformat(),
                    "actor": entry.actor,
                    "action": entry.action.value,
                    "item": item,
                    "sweep": self._sweeps.get(item),
                    "priority": entry.priority,
                    "exit_code": entry.exit_code,
                    "reasons": [] if entry.reason is None else [entry.reason],
                }
            )
