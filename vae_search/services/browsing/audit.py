"""Audit of a store: who did what and why, from the logs of the models and of the queue."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from vae_search.errors import CorruptStore
from vae_search.queue.entries import QueueAction, QueueEntry
from vae_search.queue.sweep_queue import FOLDER
from vae_search.registry.log import ModelLog, model_names
from vae_search.services.payloads import Facts
from vae_search.store.backends.base import Store
from vae_search.store.logs.chained_log import ChainedLog


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Entries, the newest first, and the logs that could not be read."""

    entries: tuple[Facts, ...]
    total: int
    troubles: tuple[str, ...]


def audit(
    store: Store,
    *,
    limit: int,
    skip: int = 0,
    model: str | None = None,
    sweep: str | None = None,
    actor: str | None = None,
) -> Audit:
    """Read the entries of both kinds of logs. The dispatcher's and those of a sweep's driver have no actor.

    Args:
        skip: of the newest.
        model: only its entries.
        sweep: only entries about it, or about its candidates.
        actor: only what this person did.
    """
    troubles: list[str] = []
    found: list[Facts] = []
    names = model_names(store) if model is None else [model]
    logs = [_of_model(store, name) for name in names]
    if model is None:
        logs.append(_of_queue(store))
    for log in logs:
        try:
            found += log
        except CorruptStore as error:
            troubles.append(str(error))
    chosen = [
        entry for entry in found if actor in (None, entry["actor"]) and (sweep is None or entry["sweep"] == sweep)
    ]
    newest = heapq.nlargest(limit + skip, chosen, key=lambda entry: (entry["at"], entry["number"]))
    return Audit(entries=tuple(newest[skip:]), total=len(chosen), troubles=tuple(troubles))


def _of_model(store: Store, model: str) -> Iterator[Facts]:
    for number, entry in enumerate(ModelLog(store, model).entries(), start=1):
        yield {
            "log": "model",
            "model": model,
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


def _of_queue(store: Store) -> Iterator[Facts]:
    log, sweeps = ChainedLog(store, FOLDER), dict[int, str | None]()
    for number, record in enumerate(log.records(), start=1):
        entry = QueueEntry.from_record(record, where=log.path(number))
        if entry.action is QueueAction.SUBMIT:
            sweeps[number] = entry.sweep
        yield {
            "log": "queue",
            "number": number,
            "at": entry.at.isoformat(),
            "actor": entry.actor,
            "action": entry.action.value,
            "item": number if entry.action is QueueAction.SUBMIT else entry.item,
            "sweep": sweeps.get(number if entry.item is None else entry.item),
            "priority": entry.priority,
            "exit_code": entry.exit_code,
            "reasons": [] if entry.reason is None else [entry.reason],
        }
