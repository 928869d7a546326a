"""The versions of all models as records of one table, for queries: from the logs, and from the cards for the scores."""

import hashlib
import statistics
from datetime import datetime
from typing import Any

from vae_search.errors import CorruptStore, NotFound
from vae_search.registry import model_paths
from vae_search.registry.log import Action, ModelLog, model_names
from vae_search.registry.state import CHALLENGER, CHAMPION, CROWNING, ModelState, Status, Version, fold
from vae_search.registry.version_files import CARD_FILE
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_json_bytes


def version_records(store: Store) -> tuple[list[dict[str, object]], list[str]]:
    """One record for each version that was ever registered, by model and number; and what could not be read.

    A model whose log is damaged is left out and named by its log's folder. A version whose card is damaged keeps what
    the log knows of it, without the scores.
    """
    records: list[dict[str, object]] = []
    damaged: list[str] = []
    for name in model_names(store):
        try:
            state = fold(name, ModelLog(store, name).entries())
        except (CorruptStore, NotFound):  # or a folder that cannot be a model's
            damaged.append(f"{model_paths.MODELS}/{name}/log")
            continue
        for version in state.versions.values():
            record = _from_log(state, version)
            try:
                record |= _scores(store, name, version)
            except CorruptStore:
                damaged.append(f"{model_paths.version(name, version.number)}/{CARD_FILE}")
            records.append(record)
    return records, damaged


def image_sources(store: Store, model: str) -> set[str]:
    """Sources of the images that a model's promoted versions were made for, and may be judged on again.

    Raises:
        CorruptStore: A log or a card is damaged.
    """
    state = fold(model, ModelLog(store, model).entries())
    cards = [recorded_card(store, model, version)[0] for version in state.versions.values() if version.manifest_sha256]
    return {str(card["data"]["source"]) for card in cards}


def _from_log(state: ModelState, version: Version) -> dict[str, object]:
    sweep, _, trial = version.candidate.rpartition("/")
    entries = [
        entry
        for entry in state.entries
        if entry.version == version.number
        or (entry.action is Action.REJECT and entry.candidate_sha256 == version.candidate_sha256)
    ]

    def at(*actions: Action) -> datetime | None:
        return next((entry.at for entry in entries if entry.action in actions), None)

    judged = next((entry for entry in reversed(entries) if entry.verdicts), None)
    gates: Any = None if judged is None else judged.verdicts.get("gates")
    aliases = {state.champion: CHAMPION, state.challenger: CHALLENGER}
    return {
        "model": state.model,
        "version": version.number,
        "alias": aliases.get(version.number),
        "state": version.status.value,
        "sweep": sweep or None,
        "trial": int(trial) if trial.isdecimal() else None,
        "gates": None if gates is None else len(gates),
        "gates_passed": None if gates is None else sum(gate["passed"] for gate in gates),
        "gain": None if judged is None else judged.gain,
        "registered_at": at(Action.REGISTER),
        "promoted_at": at(*CROWNING),
        "reasons": "; ".join(reason for entry in entries for reason in entry.reasons) or None,
    }


def _scores(store: Store, model: str, version: Version) -> dict[str, object]:
    """Columns from the card, if it is the one that the log knows.

    Raises:
        CorruptStore: It is not.
    """
    if version.manifest_sha256 is None:
        return {}
    card, _ = recorded_card(store, model, version)
    seeds = [of["neg_iwae"] for of in card["seeds"] if of["neg_iwae"] is not None and of.get("testifies", True)]
    return {
        "neg_iwae": statistics.fmean(seeds),
        "neg_iwae_sd": statistics.stdev(seeds) if len(seeds) > 1 else None,
        "iwae_k": card["scores"]["iwae_k"],
        "prior": card.get("prior"),
        "seeds": len(seeds),
        # Whoever is to approve must not choose by the test images.
        "test_neg_iwae": None if version.status is Status.WAITING else card["test"]["neg_iwae"],
    }


def recorded_card(store: Store, model: str, version: Version) -> tuple[Any, list[str]]:
    """The card of a version that was promoted or waits, and the names of all its files.

    Raises:
        CorruptStore: It is not the one that the log knows.
    """
    folder = model_paths.version(model, version.number)
    manifest: Any = from_json_bytes(
        _checked(store, store_paths.manifest(folder), version.manifest_sha256 or ""), where=folder
    )
    path = f"{folder}/{CARD_FILE}"
    card: Any = from_json_bytes(_checked(store, path, manifest["files"][CARD_FILE]["sha256"]), where=path)
    return card, sorted(manifest["files"])


def _checked(store: Store, path: str, sha256: str) -> bytes:
    try:
        content = store.read(path)
    except NotFound:
        raise CorruptStore("is missing.", path=path, advice="Restore it from a copy.") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise CorruptStore("is not the one that the log knows.", path=path, advice="Restore it from a copy.")
    return content
