"""Maintenance of a store: reproduce a trial, verify and repair files, collect garbage, remove a sweep."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vae_search.core.references import parse_trial_reference
from vae_search.errors import Conflict, CorruptStore, InvalidSpec, NotFound
from vae_search.registry.log import foreign_folders, model_names
from vae_search.registry.model_integrity import ModelInspection, foreign_folder, inspect_model
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.leases.lease import acquire, read_heartbeat
from vae_search.store.ledger import artifacts, sweep_record
from vae_search.store.ledger.artifacts import WEIGHTS_FILE
from vae_search.store.ledger.trials import Ledger, sweep_names
from vae_search.store.maintenance.findings import Inspection
from vae_search.store.maintenance.garbage_collection import leftovers, strays
from vae_search.store.maintenance.garbage_collection import remove as remove_leftover
from vae_search.store.maintenance.integrity import inspect, set_aside
from vae_search.store.paths import SweepPaths
from vae_search.vae.quiet_import import native_remarks_hidden

if TYPE_CHECKING:
    from vae_search.core.measurements import EpochMeasurement
    from vae_search.search.worker.reproduce import Reproduction


def reproduce(
    store: Store, address: str, *, cache: Path, on_epoch: "Callable[[EpochMeasurement], None]"
) -> "Reproduction":
    """Train a finished trial once more and compare it with its row, its learning curve and its kept weights.

    Args:
        address: `SWEEP/42`.

    Raises:
        NotFound: No such trial.
        Conflict: It does not come out again.
        CorruptStore: Its row, curve or weights are damaged.
    """
    sweep, trial = parse_trial_reference(address)
    if trial is None:
        raise InvalidSpec(f"{address}: name one trial, such as {sweep}/42.")
    record, ledger = sweep_record.read(store, sweep), Ledger(store, sweep)
    row, curve = ledger.trial(trial), ledger.epochs(trial)
    from vae_search.data.dataset import comparability_key
    from vae_search.data.tasks import TrainingTask
    from vae_search.services.datasets import open_dataset

    dataset = open_dataset(store, record.spec.data, cache=cache)
    if comparability_key(dataset, likelihood=record.spec.likelihood) != row.comparability_key:
        raise Conflict(f"trial {address}: was trained on other images than {record.spec.data.source} holds now.")
    with native_remarks_hidden():
        from vae_search.search.worker.reproduce import reproduce as train_again
        from vae_search.vae.inference.npz import arrays_of

    kept = store.list(SweepPaths(sweep).artifact(store_paths.trial_key(trial)))
    files = artifacts.load(store, sweep, store_paths.trial_key(trial), sha256=row.artifact_sha256) if kept else None
    found = train_again(
        row,
        curve,
        None if files is None else arrays_of(files[WEIGHTS_FILE]),
        spec=record.spec,
        task=TrainingTask.of(dataset),
        on_epoch=on_epoch,
    )
    if found.difference is not None:
        raise Conflict(
            f"trial {address}: {found.difference}.\nBits come out again on the same type of machine and with the same "
            f"versions only; they were {row.versions_json}."
        )
    return found


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


def verify_models(store: Store) -> list[ModelInspection]:
    """Check the log and every version of all models."""
    inspected = [inspect_model(store, model) for model in model_names(store)]
    return inspected + [foreign_folder(path) for path in foreign_folders(store)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaning:
    """Files removed, or to be removed, from one sweep, or from the store outside of its sweeps."""

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
    for name in sweep_names(store):
        try:
            done.append(_clean(store, name, dry_run=dry_run, now_s=now_s))
        except (Conflict, CorruptStore) as error:
            done.append(Cleaning(sweep=name, removed={}, skipped=str(error).splitlines()[0]))
    found = strays(store, now_s=now_s)
    if not dry_run:
        for path in found:
            remove_leftover(store, path)
    return [*done, Cleaning(sweep=None, removed=found)]


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


def remove(store: Store, sweep: str) -> None:
    """Remove a sweep with all its trials and weights.

    Raises:
        NotFound: There is no such sweep.
        Conflict: A driver is at work on it.
    """
    if not store.list(SweepPaths(sweep).folder):
        raise NotFound(f"no sweep {sweep!r} in {store.location}. `vae-search status` lists the sweeps.")
    lease = acquire(store, sweep)
    try:
        store.remove(SweepPaths(sweep).resolved)  # first: what is left of an interrupted removal is no sweep any more
        store.remove_tree(SweepPaths(sweep).folder)
    finally:
        lease.release()
    store.remove_tree(SweepPaths(sweep).folder)  # the lease's own last records
