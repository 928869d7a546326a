"""Repair of a sweep: damaged files are set aside, where they harm nobody."""

from contextlib import suppress

from vae_search.errors import CorruptStore, NotFound
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.backends.json_records import to_json_bytes
from vae_search.store.control.enqueued_trials import EnqueuedTrials
from vae_search.store.ledger.compaction import read_compact
from vae_search.store.ledger.rows import TrialRow, trial_from_parquet
from vae_search.store.maintenance.findings import Finding
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps.identity import SweepIdentity, identity_of


def set_aside(store: Store, sweep: str, finding: Finding, *, lease: int) -> bool:
    """Move a damaged file out of the way; a row leaves a tombstone, so that its number is never used again.

    May be interrupted and called again. The caller holds the sweep's lease.

    Returns:
        Whether there was a way to do it; records of sweeps and leases, and commands, need a copy.
    """
    folder = SweepPaths(sweep).folder
    part = finding.path.removeprefix(f"{folder}/").split("/")[0]
    if part not in ("trials", "epochs", "finalists", "artifacts", "running"):
        return False
    if part == "trials":
        number = store_paths.number_of(finding.path)
        if number is not None:
            _note_command(store, sweep, number, path=finding.path)
            record = to_json_bytes({"trial": number, "lease": lease, "problem": finding.problem})
            with suppress(AlreadyThere):
                store.create(SweepPaths(sweep).tombstone(number), record)
    for path in [finding.path] if part != "artifacts" else store.list(finding.path.rsplit("/", 1)[0]):
        try:
            store.replace(SweepPaths(sweep).set_aside(path), store.read(path))
        except NotFound:
            continue
        store.remove(path)
    return True


def _note_command(store: Store, sweep: str, number: int, *, path: str) -> None:
    """Note the command that a row of an older version tells, or its copy for readers, before it is gone."""
    identity = identity_of(store, sweep)
    if identity is None:
        return
    row = _row(store, sweep, number, identity, path=path)
    if row is not None and identity.problem_of(row.incarnation) is None:
        enqueued = EnqueuedTrials(store, sweep, incarnation=identity.incarnation)
        enqueued.note_missing({number: row.command})


def _row(store: Store, sweep: str, number: int, identity: SweepIdentity, *, path: str) -> TrialRow | None:
    try:
        return trial_from_parquet(store.read(path), path=path)
    except (CorruptStore, NotFound):
        return read_compact(store, sweep, identity).get(number)
