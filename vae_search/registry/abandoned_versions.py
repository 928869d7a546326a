"""Removal of version files that can never be promoted: of refused candidates, and of promotions that were cut off.

Only the log says that a number is given up, and a number that is given up can never be promoted: a promotion that is
still at work under it finds that out when it wants its entry, and reserves another number. So files go after the log
has it, never before. The score on the test images stays: for a candidate that asks again they must not be looked at
twice.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from vae_search.registry import model_paths
from vae_search.registry.log import Action
from vae_search.registry.registry import Registry
from vae_search.registry.serving import outdated, publish_champion
from vae_search.registry.state import ModelState, Status, Version
from vae_search.registry.version_files import TEST_FILE
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.backends.published_folders import hidden_folders, remove_hidden

ABANDONED_AFTER = timedelta(days=7)  # a promotion takes minutes; scoring a large test set on a small machine, hours
HIDDEN_FOR_S = 3600.0  # a folder is published in seconds


def clean_model(store: Store, registry: Registry, *, now: datetime, dry_run: bool) -> dict[str, int]:
    """Remove the files of a model that nothing refers to, and bring its served folder up to date.

    Args:
        now: UTC; a number that still has no verdict a week after it was reserved is given up.
        dry_run: only look.

    Returns:
        What was or would be removed, with the sizes in bytes.

    Raises:
        CorruptStore: The log or the champion is damaged.
    """
    model = registry.model
    if not dry_run:
        _give_up(registry, now)
    state = registry.state()
    sizes = store.sizes(model_paths.model(model))
    hidden = hidden_folders(store, model_paths.serving(model), older_than_s=HIDDEN_FOR_S, now_s=now.timestamp())
    useless = [
        version.number
        for version in state.versions.values()
        if version.status is Status.GIVEN_UP or version in _abandoned(state, now)
    ]
    files = {number: _files(sizes, model_paths.version(model, number)) for number in useless}
    served = {folder: sum(_files(sizes, folder).values()) for folder in outdated(store, model, state)}
    if not dry_run:
        publish_champion(store, model, registry.state)
        for path in hidden:
            remove_hidden(store, path)
        for number, paths in files.items():
            store.remove(store_paths.manifest(model_paths.version(model, number)))  # first: the rest is whole no more
            for path in paths:
                store.remove(path)
    versions = {model_paths.version(model, number): sum(found.values()) for number, found in files.items() if found}
    return versions | served | hidden


def _give_up(registry: Registry, now: datetime) -> None:
    """Enter into the log that numbers are given up whose promotion was cut off."""
    while abandoned := _abandoned(state := registry.state(), now):
        version = abandoned[0]
        registry.add(
            Action.REJECT,
            seen=state,
            version=version.number,
            candidate=version.candidate,
            candidate_sha256=version.candidate_sha256,
            incarnation=version.incarnation,
            reasons=(f"given up: without a verdict {ABANDONED_AFTER.days} days after it was reserved",),
        )


def _abandoned(state: ModelState, now: datetime) -> list[Version]:
    """Numbers that were reserved so long ago that nobody is at work under them any more."""
    reserved_at = {entry.version: entry.at for entry in state.entries if entry.action is Action.REGISTER}
    return [
        version
        for version in state.versions.values()
        if version.status is Status.RESERVED and now - reserved_at[version.number] > ABANDONED_AFTER
    ]


def _files(sizes: Mapping[str, int], folder: str) -> dict[str, int]:
    """The files below a folder that may go."""
    kept = f"{folder}/{TEST_FILE}"
    return {path: size for path, size in sizes.items() if path.startswith(f"{folder}/") and path != kept}
