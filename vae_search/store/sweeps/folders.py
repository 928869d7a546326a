"""Folders below `sweeps/`: sweeps, what is left of removed ones, and what is no sweep at all."""

from collections.abc import Collection
from dataclasses import dataclass

from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.paths import SweepPaths


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepFolders:
    """Folders below `sweeps/`, by what they hold; each sorted."""

    sweeps: tuple[str, ...]
    """names of the sweeps"""
    half_removed: tuple[str, ...]
    """names of sweeps that have files of trials, but no record: their removal was interrupted"""
    odd: tuple[str, ...]
    """folders whose names no sweep can have"""


def sweep_folders(store: Store) -> SweepFolders:
    """List what lies below `sweeps/`; an odd folder takes nothing away from the rest."""
    folders = store.folders(store_paths.SWEEPS)  # of a bucket, without a page for every thousand objects in them
    named = [name for name in folders if store_paths.is_sweep_name(name)]
    records = store.read_many(SweepPaths(name).resolved for name in named)
    without = [name for name, record in zip(named, records, strict=True) if record is None]
    return SweepFolders(
        sweeps=tuple(name for name in named if name not in without),
        half_removed=tuple(name for name in without if left_behind(store, name)),
        odd=tuple(name for name in folders if name not in named),
    )


def sweep_names(store: Store) -> list[str]:
    """The names of all sweeps in the store, sorted."""
    return [*sweep_folders(store).sweeps]


def sweep_names_again(store: Store, before: Collection[str]) -> list[str]:
    """The same for one who has read them before: of the sweeps that he knows only the folders are looked for.

    What is left of a removed sweep counts until the names are read anew.
    """
    folders = store.folders(store_paths.SWEEPS)
    unknown = [name for name in folders if name not in before and store_paths.is_sweep_name(name)]
    records = store.read_many(SweepPaths(name).resolved for name in unknown)
    new = {name for name, record in zip(unknown, records, strict=True) if record is not None}
    return [name for name in folders if name in before or name in new]


def left_behind(store: Store, sweep: str) -> list[str]:
    """List the files of a sweep without a record; none if it has one, or if nothing but its leases is left.

    Leases stay when a sweep is removed, so that their numbers never begin again.
    """
    paths = store.list(SweepPaths(sweep).folder)
    if SweepPaths(sweep).resolved in paths:
        return []
    return [path for path in paths if store_paths.is_of_trials(path)]
