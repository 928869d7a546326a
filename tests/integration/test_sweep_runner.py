"""A sweep on a Ray of its own, in a process that goes on: its workers retire, and the process is as before."""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray.air.execution._internal.actor_manager import RayActorManager

from tests.support.hostile_folder import put_hostile_modules
from tests.support.made_up_worker import MadeUpWorker
from vae_search.core.trial_state import State
from vae_search.data.comparability import comparability_key
from vae_search.data.dataset import load_dataset
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.errors import Conflict
from vae_search.runtime import sweep_runner
from vae_search.runtime.process_state import driver_process
from vae_search.runtime.tune import adapters as tune_adapters
from vae_search.search.driver_lifecycle import SweepStart
from vae_search.search.progress import Observer
from vae_search.spec.sweep_spec import SweepSpec, parse_spec
from vae_search.store.backends.base import Store
from vae_search.store.backends.uri import open_store
from vae_search.store.ledger.trials import Ledger
from vae_search.store.sweeps import sweep_record

pytestmark = [pytest.mark.ray, pytest.mark.timeout(200)]

SPEC = """
name: retiring
data: {source: digits}
search_space: {latent_dim: {type: int, low: 2, high: 6}, depth: 1, width: 16, batch_size: 64}
budget: {trials: 3, epochs: 2}
confirm: {finalists: 0}
pruning: off
max_retries: 0
resources: {concurrency: 1}
"""


def process_state() -> dict[str, object]:
    """All of this process that Ray, Tune or we might change."""
    loggers = [logging.getLogger(name) for name in (None, "ray", "ray.tune", "vae_search")]
    return {
        "environment": dict(os.environ),
        "folder": Path.cwd(),
        "loggers": [(logger.level, logger.propagate, list(logger.handlers)) for logger in loggers],
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
        "patched": {name: entry for name, entry in vars(RayActorManager).items() if callable(entry)},
    }


def run(spec: SweepSpec, store: Store, folder: Path, *, trials_per_process: int) -> None:
    """A new sweep, from its record to its last trial."""
    dataset = load_dataset(spec.data, cache=folder)
    record = sweep_record.SweepRecord(
        spec=spec,
        fingerprint=dataset.fingerprint,
        comparability_key=comparability_key(dataset, likelihood=spec.likelihood),
        versions={},
    )
    sweep_runner.search(
        SweepStart(record=record, text=SPEC, must_exist=False),
        task=TrainingTask.of(dataset),
        judge_task=JudgeTask.of(dataset),
        store=store,
        observer=Observer(),
        trials_per_process=trials_per_process,
    )


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, object], dict[str, object]]]:
    """The folder of a sweep whose workers serve two trials each; the process before and after it."""
    folder = tmp_path_factory.mktemp("swept")
    with pytest.MonkeyPatch.context() as environment:
        put_hostile_modules(folder, package=True)
        environment.chdir(folder)
        environment.setenv("HOME", str(folder))  # no token of the user's, and no place for a new one
        environment.setenv("RAY_ADDRESS", "192.0.2.1:6379")  # of the user's own cluster
        for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
            environment.delenv(name, raising=False)
        spec = parse_spec(SPEC, base=folder)
        store = open_store(str(folder / "store"))
        load_dataset(spec.data, cache=folder)  # its libraries set variables of their own
        before = process_state()
        run(spec, store, folder, trials_per_process=2)
        yield folder, before, process_state()


def test_a_worker_retires_between_two_trials_and_none_is_lost_or_counted_as_a_failure(swept):
    folder, _, _ = swept

    rows = Ledger(open_store(str(folder / "store")), "retiring").trials()
    logs = list((folder / "store" / "sweeps" / "retiring" / "logs").glob("worker-*.log"))

    assert [(row.trial, row.state) for row in rows] == [(trial, State.COMPLETE) for trial in range(3)]
    assert len(logs) == 2  # two trials, and the last one
    assert rows[0].attempts == 1


def test_the_process_is_as_it_was(swept):
    _, before, after = swept

    assert after == before


def test_a_process_that_is_connected_to_a_ray_is_told_so_before_anything_begins(monkeypatch, tmp_path):
    monkeypatch.setattr(ray, "is_initialized", lambda: True)

    with pytest.raises(Conflict, match=r"(?s)connected to a Ray already.*ray\.shutdown\(\) first.*address="):
        run(parse_spec(SPEC, base=tmp_path), open_store(str(tmp_path / "store")), tmp_path, trials_per_process=2)


def test_a_ray_of_the_users_own_starts_afterwards(swept, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS")
    with driver_process():  # for the tests that follow
        ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        try:
            answer = ray.get(ray.put("an object"))
        finally:
            ray.shutdown()

    assert answer == "an object"


@pytest.mark.exhaustive
def test_workers_that_retire_in_step_cost_no_retry(tmp_path, monkeypatch):
    monkeypatch.setattr(tune_adapters, "Worker", MadeUpWorker)
    monkeypatch.setattr("vae_search.core.machine._offered_cores", lambda: 4)
    in_step = SPEC.replace("trials: 3", "trials: 20").replace("concurrency: 1", "concurrency: 4")
    spec = parse_spec(in_step.replace("retiring", "in-step"), base=tmp_path)
    store = open_store(str(tmp_path / "store"))

    run(spec, store, tmp_path, trials_per_process=3)

    rows = Ledger(store, "in-step").trials()
    assert [row.trial for row in rows] == list(range(20))
    assert {row.attempts for row in rows} == {1}
