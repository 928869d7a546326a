"""The folder that a model server watches: the champion's SavedModel, whole, and nothing else.

It is derived from the log and from `versions/`. Whoever changes the champion brings it up to date after the log has the
change; if a process dies in between, the server goes on with the champion before, and the next promotion, rollback,
`gc` or `verify --repair` finishes it. Only versions that the log has promoted ever come in here. The new champion comes
before the old one goes, so that a server which takes the highest number always has one, also after a rollback.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from vae_search.errors import StoreUnavailable
from vae_search.registry import model_paths
from vae_search.registry.state import ModelState, Status, Version
from vae_search.registry.version_files import read_version
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_json_bytes
from vae_search.store.backends.published_folders import publish_folder, withdraw_folder
from vae_search.store.maintenance.findings import Finding

REPAIR = "`vae-search verify --repair` brings the served folder up to date."
SAVED_MODEL = "saved_model.pb"  # without it a server takes a folder for no model
_SAVED_MODEL_FILES = (SAVED_MODEL, "fingerprint.pb", "variables/", "assets/", "assets.extra/")


def publish_champion(store: Store, model: str, state: Callable[[], ModelState]) -> list[str]:
    """Bring the served folder up to date with the log; doing it again changes nothing.

    Args:
        state: reads the log.

    Returns:
        The folders that were withdrawn.

    Raises:
        CorruptStore: The log or the champion's files are damaged; the folder stays as it is.
        StoreUnavailable: It is not up to date.
    """
    withdrawn = []
    seen = state()
    while seen.champion is not None:
        champion = seen.versions[seen.champion]
        try:
            if not _is_served(store, model, champion):
                files = read_version(store, model, champion.number, sha256=champion.manifest_sha256)
                publish_folder(
                    store, model_paths.served(model, champion.number), _served_files(files), decisive=SAVED_MODEL
                )
            for number in sorted(_served(store, model).keys() - {champion.number}):
                folder = model_paths.served(model, number)
                withdraw_folder(store, folder, decisive=SAVED_MODEL)
                withdrawn.append(folder)
        except StoreUnavailable as error:
            raise StoreUnavailable(
                f"model {model}: version {champion.number} is champion, but is not served yet.\n"
                f"{str(error).splitlines()[0]}\n{REPAIR}"
            ) from error
        seen, before = state(), seen
        if seen.champion == before.champion:
            break  # else somebody has changed it meanwhile, and may have looked at the folder before us
    return withdrawn


def outdated(store: Store, model: str, state: ModelState) -> list[str]:
    """Served folders that are not the champion's, and would go if the folder were brought up to date."""
    champion = state.versions.get(state.champion or 0)
    if champion is None:
        return []
    return [model_paths.served(model, number) for number in sorted(_served(store, model).keys() - {champion.number})]


def serving_findings(store: Store, model: str, state: ModelState) -> list[Finding]:
    """Everything in the served folder that is not as the log says; nothing where no version has been published yet."""
    served = _served(store, model)
    found = []
    for number, paths in served.items():
        folder, version = model_paths.served(model, number), state.versions.get(number)
        if f"{folder}/{SAVED_MODEL}" not in paths:
            finding = Finding(path=folder, problem=f"is not whole, and no model to a server. {REPAIR}", damaged=False)
        elif version is None or version.status is not Status.PROMOTED:
            finding = Finding(path=folder, problem=f"is served, but was never promoted. {REPAIR}", damaged=True)
        elif not _is_served(store, model, version):
            finding = Finding(path=folder, problem=f"is not the version that was promoted. {REPAIR}", damaged=True)
        elif number != state.champion:
            finding = Finding(path=folder, problem=f"is served, but is not the champion. {REPAIR}", damaged=False)
        else:
            continue
        found.append(finding)
    if served and state.champion is not None and state.champion not in served:
        folder = model_paths.served(model, state.champion)
        found.append(Finding(path=folder, problem=f"is champion, but is not served yet. {REPAIR}", damaged=False))
    return found


def _served(store: Store, model: str) -> dict[int, list[str]]:
    """The files of each served folder."""
    found: dict[int, list[str]] = {}
    for path in store.list(model_paths.serving(model)):
        if (number := model_paths.served_version_of(path)) is not None:
            found.setdefault(number, []).append(path)
    return found


def _is_served(store: Store, model: str, version: Version) -> bool:
    """True if the served folder holds the promoted SavedModel, byte for byte."""
    folder = model_paths.served(model, version.number)
    paths = _served(store, model).get(version.number, [])
    where = store_paths.manifest(model_paths.version(model, version.number))
    *contents, manifest = store.read_many([*paths, where])
    if manifest is None or _sha256(manifest) != version.manifest_sha256:
        return False
    promoted: Any = from_json_bytes(manifest, where=where)["files"]
    digests = {
        path.removeprefix(f"{folder}/"): _sha256(content or b"") for path, content in zip(paths, contents, strict=True)
    }
    return digests == {name: entry["sha256"] for name, entry in _served_files(promoted).items()}


def _served_files(files: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a version's files that make up its SavedModel."""
    return {name: content for name, content in files.items() if name.startswith(_SAVED_MODEL_FILES)}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
