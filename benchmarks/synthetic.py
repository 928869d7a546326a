"""Ledgers of many trials that were never trained, as a sweep would have left them, and workers that train nothing."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import numpy as np
from fashion import SPACE

from vae_search.core.measurements import Costs, EpochMeasurement, Instability, Scores
from vae_search.core.trial_state import Reason, State
from vae_search.search.messages import TrialReport
from vae_search.spec.sweep_spec import SweepSpec, parse_spec
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import to_json_bytes
from vae_search.store.backends.local import LocalStore
from vae_search.store.control.present_spec import BegunSpec
from vae_search.store.leases.lease import Lease, acquire
from vae_search.store.leases.records import Purpose
from vae_search.store.ledger.rows import EpochRow, TrialRow, epochs_to_parquet, trial_to_parquet, trials_to_parquet
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import beginning, sweep_record

NAME, EPOCHS, KEY = "synthetic", 27, "k" * 64
ENDS = ((3, 0.6), (9, 0.25), (EPOCHS, 0.15))  # epochs and share of the trials that end there, as rungs at 3 and 9 do
NOW = datetime(2026, 1, 1, tzinfo=UTC)
VERSIONS = {"vae-search": "0", "ray": "0", "tensorflow": "0", "keras": "0", "optuna": "0", "numpy": "0", "python": "0"}


def spec_of(trials: int, **changes: object) -> SweepSpec:
    tree = {"name": NAME, "data": {"source": "digits"}, "search_space": SPACE, "keep": 5, "confirm": {"finalists": 0}}
    tree["budget"] = {"trials": trials, "epochs": EPOCHS}
    return parse_spec(to_json_bytes(tree | changes).decode(), base=Path())


def new_sweep(folder: Path, spec: SweepSpec) -> LocalStore:
    """A store with the record of one sweep, without rows."""
    store = LocalStore(folder)
    record = sweep_record.SweepRecord(spec=spec, fingerprint="f" * 64, comparability_key=KEY, versions=VERSIONS)
    beginning.create_or_check(store, record, text="")
    take_lease(store, spec).release()
    return store


def take_lease(store: Store, spec: SweepSpec) -> Lease:
    """A driver's lease of the sweep."""
    begun = BegunSpec(spec=spec, asked=spec, commands=0)
    return acquire(store, spec.name, purpose=Purpose.TRAIN, begin=begun.to_record)


def trials_of(spec: SweepSpec, count: int) -> Iterator[tuple[TrialRow, list[EpochRow]]]:
    """Rows and curves with all their columns filled: the same in every run."""
    rng = np.random.default_rng(5)
    for trial in range(count):
        epochs = int(rng.choice([epochs for epochs, _ in ENDS], p=[share for _, share in ENDS]))
        quality = float(rng.gamma(2.0, 5.0))
        curve = [_epoch(spec, trial, epoch, 240.0 + quality + 30.0 / epoch) for epoch in range(1, epochs + 1)]
        yield _row(spec, trial, curve, rng), curve


def write_rows(folder: Path, spec: SweepSpec, count: int) -> None:
    """Rows and curves as their own files, without waiting for the disk: only their reading is measured."""
    for row, curve in trials_of(spec, count):
        path, curve_path = SweepPaths(NAME).trial(row.trial), SweepPaths(NAME).trial_epochs(row.trial)
        curve_bytes = epochs_to_parquet(curve, path=curve_path)
        _write(folder / curve_path, curve_bytes)
        _write(folder / path, trial_to_parquet(_with_curve(row, curve_bytes), path=path))


def write_copied_rows(folder: Path, spec: SweepSpec, count: int) -> None:
    """A copy of the rows, and in the place of their own files, which nobody opens as long as it is intact, one byte."""
    path = SweepPaths(NAME).compact_trials(count)
    _write(folder / path, trials_to_parquet([row for row, _ in trials_of(spec, count)], path=path))
    for row_path in SweepPaths(NAME).trial_files(range(count)):
        _write(folder / row_path, b"-")


def report(trial: int, epoch: int, neg_elbo: float) -> TrialReport:
    """Report of a worker after an epoch that took no time."""
    measurement = EpochMeasurement(
        epoch=epoch,
        neg_elbo=neg_elbo,
        distortion=neg_elbo - 20.0,
        rate=20.0,
        train_neg_elbo=neg_elbo,
        beta=1.0,
        learning_rate=1e-3,
        grad_norm_median=1.0,
        grad_norm_max=2.0,
        clip_share=0.0,
        skipped_steps=0,
        clamped_share=0.0,
        spike_excess=0.0,
        cpu_s=1.0,
        wall_s=1.0,
    )
    return TrialReport(
        key=store_paths.trial_key(trial),
        epoch=epoch,
        measurements=(measurement,),
        costs=Costs(
            parameters=10**6,
            train_flops=1e12,
            cpu_s=1.0,
            wall_s=1.0,
            images_per_s=1e4,
            peak_memory_bytes=10**9,
            compiled="graph",
            device="cpu",
        ),
        scores=_scores(neg_elbo) if epoch == EPOCHS else None,
        failure=None,
        node_id="node",
        saved_epoch=epoch,
    )


def _scores(neg_elbo: float) -> Scores:
    return Scores(
        neg_elbo=neg_elbo,
        distortion=neg_elbo - 20.0,
        rate=20.0,
        bits_per_dim=0.4,
        floor_excess=neg_elbo,
        iwae=-neg_elbo,
        iwae_k=16,
        instability=Instability(regression=0.0, roughness=0.1, spikes=0.0),
        active_units=16,
        kl_per_dimension=(0.5,) * 32,
        shuffle_gap=9.0,
        train_neg_elbo=neg_elbo,
        generalisation_gap=0.0,
        logvar_clamp_share=0.0,
        scale_clamp_share=None,
        clip_share=0.0,
        skipped_steps=0,
        neg_bound=neg_elbo,
    )


def _epoch(spec: SweepSpec, trial: int, epoch: int, neg_elbo: float) -> EpochRow:
    values = dict.fromkeys(
        ("train_neg_elbo", "beta", "learning_rate", "grad_norm_median", "grad_norm_max", "cpu_s", "wall_s"), 1.0
    )
    zeros = {"clip_share": 0.0, "skipped_steps": 0, "spike_excess": 0.0}
    scores = {"neg_elbo": neg_elbo, "distortion": neg_elbo - 20.0, "rate": 20.0}
    return EpochRow(sweep=spec.name, trial=trial, epoch=epoch, **scores, **values, **zeros)


def _row(spec: SweepSpec, trial: int, curve: list[EpochRow], rng: np.random.Generator) -> TrialRow:
    last = curve[-1].neg_elbo or 0.0
    complete = len(curve) == EPOCHS
    params = {
        "latent_dim": int(rng.integers(8, 65)),
        "beta": float(np.exp(rng.uniform(np.log(0.25), np.log(4)))),
        "learning_rate": float(np.exp(rng.uniform(np.log(1e-4), np.log(3e-3)))),
        "depth": int(rng.integers(1, 4)),
        "width": int(rng.choice([64, 128])),
        "batch_size": int(rng.choice([128, 256])),
    }
    ended = {"objective": last + 0.1, "instability": 0.1, "kl_per_dimension": (0.5,) * 32} if complete else {}
    return TrialRow(
        sweep=spec.name,
        trial=trial,
        state=State.COMPLETE if complete else State.PRUNED,
        reason=None if complete else Reason.RUNG,
        seed=trial,
        attempts=1,
        lease=1,
        node_id="n" * 56,
        started_at=NOW,
        finished_at=NOW,
        epochs=len(curve),
        neg_elbo=last,
        distortion=last - 20.0,
        rate=20.0,
        parameters=10**6,
        train_flops=1e12,
        cpu_s=30.0,
        wall_s=30.0,
        images_per_s=1e4,
        peak_memory_bytes=10**9,
        compiled="graph",
        params=params,
        comparability_key=KEY,
        spec_sha256=spec.sha256,
        versions_json=to_json_bytes(VERSIONS).decode(),
        **ended,
    )


def _with_curve(row: TrialRow, curve: bytes) -> TrialRow:
    return replace(row, epochs_sha256=sha256(curve).hexdigest())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
