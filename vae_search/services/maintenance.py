"""Maintenance of a store: verify and repair files, collect garbage, remove a sweep."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from vae_search.errors import Conflict, CorruptStore, NotFound
from vae_search.registry.abandoned_versions import clean_model
from vae_search.registry.log import foreign_folders, model_names
from vae_search.registry.model_integrity import ModelInspection, foreign_folder, inspect_model
from vae_search.registry.registry import Registry
from vae_search.registry.serving import publish_champion
from vae_search.registry.version_table import image_sources
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.leases.heartbeat import read_heartbeat
from vae_search.store.leases.lease import acquire
from vae_search.store.leases.records import Purpose, is_being_removed
from vae_search.store.maintenance.findings import Inspection
from vae_search.store.maintenance.garbage_collection import leftovers, strays
from vae_search.store.maintenance.garbage_collection import remove as remove_leftover
from vae_search.store.maintenance.integrity import inspect
from vae_search.store.maintenance.repair import set_aside
from vae_search.store.maintenance.uploaded_images import UNUSED_FOR, remove_unused, unused_images
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import sweep_record
from vae_search.store.sweeps.folders import left_behind, sweep_folders, sweep_names


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """One sweep's files before and after a repair; the same twice if nothing was repaired."""

    before: Inspection
    after: Inspection


def verify(store: Store, sweep: str | None, *, repair: bool) -> list[Verification]:
    """Check every file of a sweep, or of all sweeps; with `repair`, set damaged files aside.

    Raises:
        NotFound: There is no such sweep.
        Conflict: A driver is at work on a sweep that is to be repaired.
    """
    names = [sweep] if sweep is not None else sweep_names(store)
    found = []
    for name in names:
        before = after = inspect(store, name)
        if repair and before.damaged and before.renamed_from is None:
            lease = acquire(store, name)
            try:
                for finding in before.damaged:
                    set_aside(store, name, finding, lease=lease.number)
            finally:
                lease.release()
            after = inspect(store, name)
        found.append(Verification(before=before, after=after))
    return found


def verify_models(store: Store, *, repair: bool) -> list[ModelInspection]:
    """Check the log, every version and the served folder of all models; with `repair`, bring the folder up to date."""
    if repair:
        for model in model_names(store):
            with suppress(CorruptStore, NotFound):  # what is damaged is told below
                publish_champion(store, model, _registry(store, model).state)
    inspected = [inspect_model(store, model) for model in model_names(store)]
    return inspected + [foreign_folder(path) for path in foreign_folders(store)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaning:
    """Files removed, or to be removed, from one sweep, from a model, or from the store outside of both."""

    sweep: str | None
    removed: Mapping[str, int]
    """bytes by file or folder"""
    skipped: str | None = None
    """why nothing was removed"""


def gc(store: Store, sweep: str | None, *, dry_run: bool, now_s: float) -> list[Cleaning]:
    """Remove what nothing refers to from a sweep, or from the whole store; sweeps at work are then left out.

    Args:
        dry_run: only look.
        now_s: seconds since 1970, by which half-written files are abandoned or not.

    Raises:
        NotFound: There is no such sweep.
        Conflict: A driver is at work on the sweep that was named.
    """
    if sweep is not None:
        return [_clean(store, sweep, dry_run=dry_run, now_s=now_s)]
    done = []
    folders = sweep_folders(store)
    for name in (*folders.sweeps, *folders.half_removed):
        try:
            if name in folders.half_removed:
                done.append(_clean_half_removed(store, name, dry_run=dry_run))
            else:
                done.append(_clean(store, name, dry_run=dry_run, now_s=now_s))
        except NotFound:  # it has been removed meanwhile
            continue
        except (Conflict, CorruptStore) as error:
            done.append(Cleaning(sweep=name, removed={}, skipped=str(error).splitlines()[0]))
    found = strays(store, folders.sweeps, now_s=now_s)
    if not dry_run:
        for path in found:
            remove_leftover(store, path)
    now = datetime.fromtimestamp(now_s, UTC)
    models = _clean_models(store, dry_run=dry_run, now=now)
    return [*done, *models, *_clean_images(store, dry_run=dry_run, now=now), Cleaning(sweep=None, removed=found)]


def _clean_images(store: Store, *, dry_run: bool, now: datetime) -> list[Cleaning]:
    """Remove uploaded images that no sweep and no model has referred to for a week."""
    done = []
    try:
        records = [sweep_record.read(store, sweep) for sweep in sweep_names(store)]
        sources = {record.spec.data.source for record in records}
        sources |= {source for model in model_names(store) for source in image_sources(store, model)}
        for images in unused_images(store, sources=sources, now=now, dry_run=dry_run):
            removed = {images.folder: images.size_bytes}
            if not images.may_go(now):
                until = f"{images.since + UNUSED_FOR:%Y-%m-%d %H:%M} UTC"
                done.append(Cleaning(sweep=None, removed={}, skipped=f"{images.folder}: unused, kept until {until}"))
                continue
            if not dry_run:
                remove_unused(store, images)
            done.append(Cleaning(sweep=None, removed=removed))
    except (CorruptStore, NotFound) as error:  # of what cannot be read nobody knows which images it needs
        done.append(Cleaning(sweep=None, removed={}, skipped=f"images: {str(error).splitlines()[0]}"))
    return done


def _clean_models(store: Store, *, dry_run: bool, now: datetime) -> list[Cleaning]:
    done = []
    for model in model_names(store):
        try:
            removed = clean_model(store, _registry(store, model), now=now, dry_run=dry_run)
        except (CorruptStore, NotFound) as error:
            done.append(Cleaning(sweep=None, removed={}, skipped=f"model {model}: {str(error).splitlines()[0]}"))
        else:
            done.append(Cleaning(sweep=None, removed=removed))
    return done


def _clean(store: Store, sweep: str, *, dry_run: bool, now_s: float) -> Cleaning:
    holder = read_heartbeat(store, sweep)
    if holder is not None and holder.alive:
        raise Conflict(f"sweep {sweep}: {holder.holder} is at work on it. Stop it with `vae-search stop {sweep}`.")
    found = leftovers(store, sweep, now_s=now_s)
    if found and not dry_run:
        lease = acquire(store, sweep)
        try:
            found = leftovers(store, sweep, now_s=now_s)  # a driver may have come and gone meanwhile
            for path in found:
                lease.check()
                remove_leftover(store, path)
        finally:
            lease.release()
    return Cleaning(sweep=sweep, removed=found)


def _registry(store: Store, model: str) -> Registry:
    return Registry(store, model, now=lambda: datetime.now(UTC))


def _clean_half_removed(store: Store, sweep: str, *, dry_run: bool) -> Cleaning:
    """Finish an interrupted removal; what lost its record in another way is somebody's to restore."""
    sizes = store.sizes(SweepPaths(sweep).folder)
    left = {
        part: sum(size for path, size in sizes.items() if f"{path}/".startswith(f"{part}/"))
        for part in _parts_of(left_behind(store, sweep))
    }
    if not is_being_removed(store, sweep):
        return Cleaning(
            sweep=sweep,
            removed={},
            skipped=f"sweep {sweep}: has no {store_paths.RESOLVED}, but nobody removed it. Restore that file from a "
            f"copy, or remove the rest with `vae-search rm {sweep}`.",
        )
    if not dry_run:
        remove(store, sweep)
    return Cleaning(sweep=sweep, removed=left)


def _parts_of(paths: Iterable[str]) -> list[str]:
    """The files and folders, directly in the folder of their sweep, that files lie in, sorted."""
    return sorted({"/".join(path.split("/")[:3]) for path in paths})


def trials_to_remove(store: Store, sweep: str) -> int:
    """Count the finished trials that `remove` would remove.

    Raises:
        NotFound: There is no such sweep.
    """
    _check_removable(store, sweep)
    return sum(path.endswith(".parquet") for path in store.list(SweepPaths(sweep).trials))


def _check_removable(store: Store, sweep: str) -> None:
    paths = store.list(SweepPaths(sweep).folder)
    is_there = SweepPaths(sweep).resolved in paths or any(store_paths.is_of_trials(path) for path in paths)
    if not is_there and not is_being_removed(store, sweep):
        raise NotFound(f"no sweep {sweep!r} in {store.location}. `vae-search status` lists the sweeps.")


def remove(store: Store, sweep: str, *, take_over: bool = False) -> None:
    """Remove a sweep with all its trials and weights, or what an interrupted removal has left of one.

    Its leases stay, so that their numbers never begin again: a driver that slept meanwhile cannot take a new sweep of
    this name for its own.

    Args:
        take_over: begin although a driver on another machine is silent only, and not known to be gone.

    Raises:
        NotFound: There is no such sweep.
        Conflict: A driver is at work on it, or may be.
    """
    _check_removable(store, sweep)
    lease = acquire(store, sweep, purpose=Purpose.REMOVE, take_over=take_over)
    done = False
    try:
        store.remove(SweepPaths(sweep).resolved)  # first: what is left of an interrupted removal is no sweep any more
        lease.begin_anew()  # its driver time is not the next sweep's
        paths = store.list(SweepPaths(sweep).folder)
        for part in sorted({*_parts_of(paths), SweepPaths(sweep).running}):  # which may be an empty folder
            if part in (SweepPaths(sweep).leases, SweepPaths(sweep).heartbeat):
                continue
            lease.check()
            if part in paths:
                store.remove(part)
            else:
                store.remove_tree(part)
        done = True
    finally:
        lease.release(done=done)
