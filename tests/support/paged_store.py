"""A store for pages: a finished sweep, one that runs with trials in flight, a Pareto sweep, and a queue."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from tests.support.reported_sweeps import HOSTILE, TEXT, complete, failed, mixed, put_confirmed, put_sweep
from vae_search.data.comparability import METRIC_VERSION
from vae_search.queue.sweep_queue import SweepQueue
from vae_search.search.messages import MEASUREMENTS_FILE, TrialAssignment
from vae_search.search.pending_trials import PendingTrials
from vae_search.store.backends.base import Store
from vae_search.store.leases.lease import acquire
from vae_search.store.leases.records import DriverProgress
from vae_search.store.ledger import checkpoints
from vae_search.store.paths import SweepPaths

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def fill(store: Store) -> None:
    """Sweep `digits`: trials of all kinds, two finalists, one error that is hostile; `front`: a Pareto sweep.

    Both are as older versions left them, but that `digits` can be forked.
    """
    put_sweep(store, [*mixed(), failed(30, HOSTILE)], curve_epochs=27)
    record = SweepPaths("digits").resolved
    store.replace(record, json.dumps(json.loads(store.read(record)) | {"metric_version": METRIC_VERSION}).encode())
    put_confirmed(store)
    front = [complete(trial, objective=None) for trial in range(12)]
    put_sweep(store, front, "objective={pareto: [neg_elbo, train_flops]}", "promote=null", name="front")
    queue = SweepQueue(store, now=lambda: NOW)
    text = TEXT.replace("name: digits", "name: waiting")
    queue.submit(text, sweep="waiting", actor="ada", priority=3)


@contextmanager
def running(store: Store, *, owner: str = "submitter") -> Iterator[None]:
    """Let sweep `live`, which the queue holds, run for the length of the block: nine trials ended, two in flight.

    Trial 9 has saved 5 epochs, trial 10 none.
    """
    put_sweep(store, [complete(trial) for trial in range(9)], name="live")
    text = TEXT.replace("name: digits", "name: live")
    SweepQueue(store, now=lambda: NOW).submit(text, sweep="live", actor=owner, priority=0)
    for trial in (9, 10):
        params = {"architecture": "conv", "latent_dim": 4 + trial, "beta": 1.0}
        PendingTrials(store, "live").record(TrialAssignment(trial=trial, params=params, seed=trial))
    checkpoint(store, trial=9, epochs=5)
    lease = acquire(store, "live", progress=lambda: DriverProgress(driver_s=90.0))
    try:
        yield
    finally:
        lease.release(done=False)


def checkpoint(store: Store, *, trial: int, epochs: int, sweep: str = "live") -> None:
    """Save the measurements of a trial in flight, as its worker does; its neg_elbo falls to 20 + 30 / epochs."""
    measured = [{"epoch": epoch, "neg_elbo": 20.0 + 30.0 / epoch} for epoch in range(1, epochs + 1)]
    files = {MEASUREMENTS_FILE: json.dumps(measured).encode(), "state.npz": b"weights"}
    checkpoints.save(store, sweep, f"{trial:06d}", lease=1, epoch=epochs, files=files)
