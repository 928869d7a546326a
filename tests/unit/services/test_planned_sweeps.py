"""A sweep that is given minutes alone, in this process: it measures once, and goes on with what it has decided."""

from pathlib import Path

import pytest

from vae_search.data.dataset import load_dataset
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.search.planning import confirm_time, plan
from vae_search.search.progress import Observer
from vae_search.search.worker.speed_probe import probe_speed
from vae_search.services import sweeps
from vae_search.services.payloads import status_facts
from vae_search.services.planning import settling
from vae_search.services.sweep_status import status
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.backends.local import LocalStore
from vae_search.store.sweeps import sweep_record

pytestmark = [pytest.mark.needs_tensorflow, pytest.mark.slow]

SPEC = """
name: planned
data: {source: digits}
search_space: {latent_dim: {type: int, low: 2, high: 6}, depth: 1, width: 16, batch_size: 64}
budget: {minutes: 2}
"""


def run(store: LocalStore, cache: Path, *overrides: str):
    spec = parse_spec(SPEC, base=Path(), overrides=overrides)
    return sweeps.run(spec, text=SPEC, store=store, cache=cache, observer=Observer(), inline=True)


def test_minutes_alone_search_confirm_and_judge_and_are_measured_once(tmp_path, monkeypatch):
    store = LocalStore(tmp_path / "store")
    limits = ((plan, "MOST_TRIALS", 3), (plan, "MOST_SEARCH_EPOCHS", 3), (confirm_time, "MOST_CONFIRM_EPOCHS", 5))
    for module, limit, value in limits:
        monkeypatch.setattr(module, limit, value)  # else it would train for two minutes

    outcome = run(store, tmp_path / "cache")

    record, found = sweep_record.read(store, "planned"), status(store, "planned")
    assert outcome.status.finished
    assert not record.spec.auto
    assert record.plan["plan"]["epochs"] == record.spec.budget.epochs
    assert [row.epochs for row in found.confirm_rows] == [found.confirm_decision.epochs] == [5]
    assert str(found.confirm_decision.epochs) in status_facts(found)["plan"]["words"]

    monkeypatch.setattr(settling, "drawn_configs", lambda spec: pytest.fail("it measures again"))
    assert run(store, tmp_path / "cache").status.finished
    assert run(store, tmp_path / "cache", "budget.minutes=3").status.finished
    assert sweep_record.read(store, "planned").plan == record.plan


def test_conditional_configs_can_be_timed(tmp_path):
    spec = parse_spec(SPEC, base=Path(), overrides=["data.condition=label", "budget={trials: 2, epochs: 2}"])
    dataset = load_dataset(spec.data, cache=tmp_path)
    config = {"latent_dim": 4, "depth": 1, "width": 16, "batch_size": 64}

    found = probe_speed(spec, [config], [config], TrainingTask.of(dataset), JudgeTask.of(dataset), limit_s=0.0)

    assert [timing.epoch_s > 0 and timing.judge_s > 0 for timing in found.timings] == [True]


def test_a_dry_run_tells_a_plan_and_that_nothing_was_measured(tmp_path):
    spec = parse_spec(SPEC, base=Path(), overrides=["budget.minutes=5"])

    found = sweeps.estimate(spec, store=LocalStore(tmp_path / "store"), cache=tmp_path / "cache")

    assert found.plan.timings == ()
    assert found.plan.plan.search_s + found.plan.plan.confirm_s == pytest.approx(300)
    assert found.time_s <= 300
