"""Facts of a model's versions, and their files: none but those that a version's manifest names."""

from collections.abc import Mapping
from typing import Any

from vae_search.errors import CorruptStore, NotFound
from vae_search.registry.state import ModelState, Version
from vae_search.registry.version_files import CARD_FILE, read_version
from vae_search.services.browsing.plain_values import plain
from vae_search.services.models.champions import model_state
from vae_search.services.payloads import Facts, model_facts
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_json_bytes
from vae_search.store.sweeps import sweep_record


def model_history(state: ModelState) -> Facts:
    """A model with its versions and its log."""
    return model_facts(state) | {
        "challenger": state.challenger,
        "champions": list(state.champions),
        "versions": [_version_facts(version) for version in state.versions.values()],
        "log": [plain(entry.to_dict()) for entry in state.entries],
    }


def version_facts(store: Store, model: str, number: int) -> Facts:
    """One version: its place in the log, its card, and its files with their sizes.

    Raises:
        NotFound: There is no such model, or no whole version of this number.
        CorruptStore: A file is damaged.
    """
    version, files = _version(store, model, number)
    card: Any = from_json_bytes(files[CARD_FILE], where=CARD_FILE)
    return _version_facts(version) | {
        "model": model,
        "card": card,
        "files": {name: len(content) for name, content in sorted(files.items())},
    }


def version_file(store: Store, model: str, number: int, name: str) -> bytes:
    """One file of a version, every byte checked.

    Raises:
        NotFound: There is no such model or version, or its manifest names no such file.
        CorruptStore: A file is damaged.
    """
    _, files = _version(store, model, number)
    if name not in files:
        raise NotFound(f"model {model}: version {number} has no such file. It has: {', '.join(sorted(files))}.")
    return files[name]


def version_of_trial(store: Store, model: str, sweep: str, trial: int) -> Facts | None:
    """The newest version that was made of a trial, with the names of its files; None if there is none to show."""
    incarnation = sweep_record.read_stored(store, sweep).incarnation
    try:
        versions = model_state(store, model).versions.values()
    except (NotFound, CorruptStore):
        return None
    for version in sorted(versions, key=lambda version: -version.number):
        is_its = version.candidate == f"{sweep}/{trial}" and version.incarnation in (None, incarnation)
        if is_its:
            try:
                files = read_version(store, model, version.number, sha256=version.manifest_sha256)
            except (NotFound, CorruptStore):
                continue
            return {"model": model, "version": version.number, "files": sorted(files)}
    return None


def _version(store: Store, model: str, number: int) -> tuple[Version, Mapping[str, bytes]]:
    version = model_state(store, model).versions.get(number)
    if version is None:
        raise NotFound(f"model {model}: there is no version {number}.")
    return version, read_version(store, model, number, sha256=version.manifest_sha256)


def _version_facts(version: Version) -> Facts:
    return {"version": version.number, "state": version.status.value, "candidate": version.candidate}
