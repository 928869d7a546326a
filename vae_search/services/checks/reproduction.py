"""Reproduction of a finished trial from a store: trained once more, and compared with what is kept of it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vae_search.core.references import parse_trial_reference
from vae_search.errors import Conflict, InvalidSpec
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.ledger import artifacts
from vae_search.store.ledger.artifacts import WEIGHTS_FILE
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import beginning, sweep_record
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
    from vae_search.data.comparability import METRIC_VERSION, comparability_key
    from vae_search.data.tasks import TrainingTask
    from vae_search.services.datasets import open_dataset

    beginning.check_metric(record, METRIC_VERSION)
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
