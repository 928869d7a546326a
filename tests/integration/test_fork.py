"""A fork of a real sweep, run in this process: its own trials alone are numbered, and it stops and goes on as any."""

from pathlib import Path

import pytest

import vae_search
from vae_search.services import maintenance
from vae_search.services.sweep_status import status
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.trials import Ledger
from vae_search.store.maintenance.integrity import inspect

pytestmark = [pytest.mark.needs_tensorflow, pytest.mark.slow]

SPEC = """
name: small
data: {source: digits}
search_space:
  latent_dim: {type: int, low: 2, high: 6}
  depth: 1
  width: 16
  batch_size: 64
budget: {trials: 3, epochs: 2}
pruning: off
confirm: {finalists: 0}
"""


def test_a_fork_searches_its_own_budget_beside_what_it_has_borrowed(tmp_path: Path):
    (tmp_path / "small.yaml").write_text(SPEC)
    where = tmp_path / "store"
    vae_search.run(tmp_path / "small.yaml", store=where, inline=True)

    wider = ["search_space.latent_dim={type: int, low: 2, high: 12}", "budget.trials=2"]
    result = vae_search.fork("small", "wider", overrides=wider, store=where, inline=True)

    store = LocalStore(where)
    assert (result.state, result.trials, [*result.best["trial"].sort_values()]) == ("finished", 2, [0, 1])
    assert status(store, "wider").borrowing.trials == 3
    assert {row.sweep for row in Ledger(store, "wider").trials()} == {"wider"}
    assert inspect(store, "wider").findings == ()

    maintenance.remove(store, "small")
    again = vae_search.resume("wider", overrides=["budget.trials=3"], store=where, inline=True)
    assert again.trials == 3
    assert vae_search.query("SELECT count(*) AS n FROM trials", store=where)["n"][0] == 3
