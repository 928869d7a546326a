"""Real sweeps that begin with what earlier ones have found, run in this process."""

from pathlib import Path

import pytest

import vae_search
from vae_search.errors import SweepFailed
from vae_search.services import maintenance
from vae_search.services.sweep_status import status
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.trials import Ledger
from vae_search.store.maintenance.integrity import inspect
from vae_search.store.sweeps import sweep_record

pytestmark = [pytest.mark.needs_tensorflow, pytest.mark.slow]

SPEC = """
name: first
data: {source: digits}
search_space:
  latent_dim: {type: int, low: 2, high: 6}
  learning_rate: {type: float, low: 1e-3, high: 1e-2, log: true}
  depth: 1
  width: 16
  batch_size: 64
budget: {trials: 4, epochs: 2}
pruning: off
confirm: {finalists: 0}
"""


def write(folder: Path, name: str, *changes: tuple[str, str], more: str = "") -> Path:
    text = SPEC.replace("name: first", f"name: {name}")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / f"{name}.yaml"
    path.write_text(text + more)
    return path


def params_of(store: LocalStore, sweep: str) -> dict[int, dict]:
    return {row.trial: dict(row.params) for row in Ledger(store, sweep).trials()}


def test_a_second_sweep_learns_from_the_first_and_repeats_it_when_the_first_is_gone(tmp_path: Path):
    where, spec = tmp_path / "store", write(tmp_path, "second", more="warm_start: {from: auto}\n")
    vae_search.run(write(tmp_path, "first"), store=where, inline=True)
    store = LocalStore(where)

    whole = vae_search.run(spec, store=where, inline=True)

    kept = status(store, "second").warm_started
    assert [(lender.sweep, lender.trials) for lender in kept.borrowed] == [("first", 4)]
    assert kept.configs == ()
    assert (whole.state, whole.trials) == ("finished", 4)
    assert {row.sweep for row in Ledger(store, "second").trials()} == {"second"}
    assert inspect(store, "second").findings == ()
    tried = params_of(store, "second")
    assert not [params for params in tried.values() if params in params_of(store, "first").values()]

    # The same sweep again in a store of its own, stopped in the middle, and its source removed before it goes on.
    maintenance.remove(store, "second")
    vae_search.run(spec, store=where, inline=True, overrides=["budget.trials=2"])
    maintenance.remove(store, "first")
    vae_search.run(spec, store=where, inline=True)

    assert params_of(store, "second") == tried
    assert sweep_record.read(store, "second").warm_started == kept


def test_a_confirmed_config_crosses_to_other_data_clipped_and_survives_kills_and_its_source(tmp_path: Path):
    where, store = tmp_path / "store", LocalStore(tmp_path / "store")
    confirmed = ("confirm: {finalists: 0}", "confirm: {finalists: 1, seeds: 1}")
    other_data = ("data: {source: digits}", "data: {source: digits, validation: 0.3}")
    vae_search.run(write(tmp_path, "other", confirmed, other_data), store=where, inline=True)
    narrow = ("low: 2, high: 6}", "low: 7, high: 9}")
    budget = ("budget: {trials: 4", "budget: {trials: 10")
    spec = write(tmp_path, "narrow", narrow, budget, more="warm_start: {from: [other], configs: 2}\n")

    vae_search.run(spec, store=where, inline=True, overrides=["budget.trials=1"])
    assert status(store, "narrow").warm_started.configs == ()  # a tenth of one trial
    maintenance.remove(store, "narrow")
    with pytest.raises(SweepFailed, match="1 of 10 trials ended"):
        vae_search.run(spec, store=where, inline=True, overrides=["budget.minutes=1e-5"])
    kept = status(store, "narrow").warm_started
    maintenance.remove(store, "other")
    whole = vae_search.run(spec, store=where, inline=True)

    assert whole.trials == 10
    assert (kept.borrowed, len(kept.configs), kept.configs[0].changed) == ((), 1, ("latent_dim",))
    assert params_of(store, "narrow")[0] == dict(kept.configs[0].params)
    assert kept.configs[0].params["latent_dim"] == 7
    assert status(store, "narrow").warm_started == kept
