"""Rows to test with."""

from datetime import UTC, datetime, timedelta

from vae_search.core.trial_state import State
from vae_search.store.ledger.rows import EpochRow, TrialRow

BEGAN = datetime(2026, 3, 1, 12, 30, 0, 123456, tzinfo=UTC)


def trial_row(trial: int = 0, sweep: str = "digits", **changes: object) -> TrialRow:
    values = {
        "state": State.COMPLETE,
        "seed": 2**62 + trial,
        "attempts": 1,
        "lease": 1,
        "node_id": "node-a",
        "started_at": BEGAN,
        "finished_at": BEGAN + timedelta(seconds=90),
        "epochs": 2,
        "objective": 100.25 + trial,
        "neg_elbo": 100.0 + trial,
        "distortion": 80.0 + trial,
        "rate": 20.0,
        "active_units": 3,
        "kl_per_dimension": (0.5, 1.5, 2.5),
        "peak_memory_bytes": 5 * 2**30,
        "params": {"architecture": "mlp", "latent_dim": 16, "beta": 0.5},
        "comparability_key": "c" * 64,
        "spec_sha256": "d" * 64,
    }
    return TrialRow(sweep=sweep, trial=trial, **(values | changes))


def epoch_rows(trial: int = 0, sweep: str = "digits", *, epochs: int = 2, **changes: object) -> list[EpochRow]:
    return [
        EpochRow(sweep=sweep, trial=trial, epoch=epoch, **({"neg_elbo": 110.0 - epoch, "rate": 20.0} | changes))
        for epoch in range(1, epochs + 1)
    ]
