"""Sweeps in every condition that a report must cope with, as their drivers would have left them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np

from tests.support.candidates import KEY, finalist_row
from tests.support.rows import BEGAN, epoch_rows, trial_row
from vae_search.core.trial_state import Reason, State
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.backends.base import Store
from vae_search.store.ledger.confirm_runs import ConfirmRuns
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import beginning, sweep_record

TEXT = """
name: digits
data: {source: digits}
search_space:
  architecture: {type: categorical, choices: [mlp, conv]}
  latent_dim: {type: int, low: 2, high: 32, log: true}
  beta: {type: float, low: 0.25, high: 4.0, log: true}
  depth: {type: int, low: 1, high: 3, when: {architecture: mlp}}
budget: {trials: 60, epochs: 27}
pruning: {min_epochs: 3, reduction_factor: 3}
promote: {model: digits}
"""
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202egnp.exe" + "x" * 10_000


def put_sweep(store: Store, rows: list[TrialRow], *overrides: str, curve_epochs: int = 3, name: str = "digits") -> None:
    """A sweep with these rows, each with a learning curve, of which the last value is the row's."""
    text = TEXT.replace("name: digits", f"name: {name}")
    spec = parse_spec(text, base=Path(), overrides=overrides)
    record = sweep_record.SweepRecord(spec=spec, fingerprint="f" * 64, comparability_key=KEY, versions={})
    beginning.create_or_check(store, record, text=text)
    for row in rows:
        curve = epoch_rows(row.trial, name, epochs=curve_epochs, cpu_s=1.0)
        lower = 0.0 if row.neg_elbo is None else curve[-1].neg_elbo - row.neg_elbo
        curve = [replace(epoch, neg_elbo=epoch.neg_elbo - lower) for epoch in curve]
        Ledger(store, name).commit(replace(row, sweep=name), curve)


def complete(trial: int, **changes: object) -> TrialRow:
    """A trial that went to the end; every number differs from trial to trial."""
    random = np.random.default_rng(trial)
    rate, distortion, parts = random.uniform(3, 9), random.uniform(14, 20), random.uniform(0, 0.2, 3)
    architecture = ("mlp", "conv")[trial % 2]
    params = {"architecture": architecture, "latent_dim": int(random.integers(2, 33)), "beta": random.uniform(0.25, 4)}
    values = {
        "rate": rate,
        "distortion": distortion,
        "neg_elbo": rate + distortion,
        "objective": rate + distortion + parts.sum(),
        "instability": parts.sum(),
        "instability_regression": parts[0],
        "instability_roughness": parts[1],
        "instability_spikes": parts[2],
        "train_flops": random.uniform(1e8, 1e10),
        "cpu_s": random.uniform(0.5, 3.0),
        "node_id": f"node-{trial % 2}",
        "started_at": BEGAN + timedelta(seconds=10 * (trial // 3)),
        "finished_at": BEGAN + timedelta(seconds=10 * (trial // 3) + 8),
        "params": params | ({"depth": trial % 3 + 1} if architecture == "mlp" else {}),
    }
    return trial_row(trial, **(values | changes))


def pruned(trial: int) -> TrialRow:
    nothing = dict.fromkeys(("objective", "instability", "active_units", "kl_per_dimension"))
    return complete(trial, state=State.PRUNED, reason=Reason.RUNG, **nothing)


def failed(trial: int, error: str = "loss is NaN") -> TrialRow:
    nothing = dict.fromkeys(("objective", "neg_elbo", "distortion", "rate", "instability", "kl_per_dimension"))
    return complete(trial, state=State.FAIL, reason=Reason.RAISED, error=error, **nothing)


def mixed(count: int = 30) -> list[TrialRow]:
    kinds: list[Callable[[int], TrialRow]] = [complete, pruned, complete, failed, complete]
    return [kinds[trial % len(kinds)](trial) for trial in range(count)]


def put_pareto_sweep(store: Store, rows: list[TrialRow], criteria: str) -> None:
    """The same as a Pareto sweep: its rows have no objective."""
    without = [replace(row, objective=None) for row in rows]
    put_sweep(store, without, f"objective={{pareto: [{criteria}]}}")


def put_confirmed(store: Store) -> None:
    """Two finalists, each with the run that they were chosen by; the better one with five seeds that testify."""
    for trial, seeds in ((0, 6), (2, 1)):
        for seed in range(seeds):
            row = finalist_row(trial, seed, iwae=-(19.9 + trial + seed / 10), iwae_k=500)
            ConfirmRuns(store, "digits").commit(row)


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


KINDS = {
    "nothing ended": [],
    "one trial": [complete(0)],
    "one failed": [failed(0)],
    "none complete": [pruned(0), pruned(1), failed(2)],
    "all failed": [failed(trial) for trial in range(4)],
    "mixed": mixed(),
}
ROW = SweepPaths("digits").trial(3)
