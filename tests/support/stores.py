"""A store with one sweep that has ended: rows, curves and confirm runs, none of them trained."""

from dataclasses import replace
from pathlib import Path

from tests.support.candidates import failed_row, finalist_row
from tests.support.rows import epoch_rows, trial_row
from vae_search.core.trial_state import Reason, State
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.confirm_runs import ConfirmRuns
from vae_search.store.ledger.trials import Ledger
from vae_search.store.sweeps import beginning, sweep_record

KEY = "c" * 64
SPEC = """
name: digits
data: {source: ./images}
search_space:
  architecture: mlp
  latent_dim: {type: int, low: 2, high: 32}
  beta: {type: float, low: 0.25, high: 4.0}
  depth: {type: int, low: 1, high: 3}
enqueue: [{latent_dim: 4}]
budget: {trials: 8, epochs: 27}
promote: {model: digits}
"""
HOSTILE = (
    "<script>alert(1)</script>",
    "\u202egnihton",
    "\x1b[31mred\x1b[0m\x9b2J",
    "=1+1",
    'a,"b"\r\nc',
    "",
    "x" * 10_000,
)


def filled_store(folder: Path) -> LocalStore:
    """Eight trials: 0 … 4 COMPLETE, the search's best first, then two PRUNED and one FAIL with a hostile error.

    Confirm runs: trial 2 with three seeds, trial 1 with one, trial 0 with one that failed.
    """
    store = LocalStore(folder)
    spec = parse_spec(SPEC, base=folder)
    record = sweep_record.SweepRecord(spec=spec, fingerprint="f" * 64, comparability_key=KEY, versions={})
    beginning.create_or_check(store, record, text=SPEC)
    ledger, finalists = Ledger(store, "digits"), ConfirmRuns(store, "digits")
    ends = [(State.COMPLETE, None)] * 5 + [(State.PRUNED, Reason.RUNG)] * 2 + [(State.FAIL, Reason.RAISED)]
    for trial, (state, reason) in enumerate(ends):
        params = {
            "architecture": "mlp",
            "latent_dim": 4 * (trial + 1),
            "beta": 0.1 + 0.2 * (trial + 1),
            "depth": 1 + trial % 3,
        }
        row = trial_row(trial, state=state, reason=reason, params=params, cpu_s=10.0, train_flops=1e9 * (9 - trial))
        row = replace(
            row,
            instability=0.1 * trial if state is State.COMPLETE else None,
            error=HOSTILE[2] if reason is Reason.RAISED else None,
        )
        ledger.commit(row, epoch_rows(trial, epochs=2 + trial % 2))
    for seed, iwae in enumerate((-95.0, -96.0, -97.0), start=1):
        finalists.commit(finalist_row(2, seed, iwae=iwae, iwae_k=500))
    finalists.commit(finalist_row(1, 1, iwae=-97.0, iwae_k=500))
    finalists.commit(finalist_row(0, 1, iwae=-50.0, iwae_k=500))
    finalists.commit(failed_row(0, 2))
    return store
