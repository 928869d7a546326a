"""A run that goes on with more threads than the machine has cores: on Ray it has a process of its own."""

import os
from collections.abc import Iterator

import pytest

from vae_search.data.comparability import comparability_key
from vae_search.data.dataset import load_dataset
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.runtime import sweep_runner
from vae_search.search.driver_lifecycle import SweepStart
from vae_search.search.planning import continued_run
from vae_search.search.planning.confirm_length import ConfirmLength
from vae_search.search.planning.continuation import Stage
from vae_search.search.progress import Observer
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.backends.json_records import to_json_bytes
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.confirm_runs import ConfirmRuns
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import sweep_record

pytestmark = [pytest.mark.ray, pytest.mark.exhaustive, pytest.mark.timeout(400)]

SPEC = """
name: threads
data: {source: digits}
search_space: {latent_dim: 4, depth: 1, width: 16, batch_size: 64}
budget: {trials: 1, epochs: 2, minutes: 60}
pruning: off
lr_schedule: wsd
confirm: {finalists: 1, seeds: 2, epochs: auto}
max_retries: 0
"""
LENGTH = {"epochs": 5, "turn_epochs": {}, "branch_epoch": 4, "threads": 2}  # as decided on a machine with two cores


@pytest.fixture(autouse=True)
def decisions(monkeypatch):
    """The same lengths on every machine."""

    def decide(length: ConfirmLength, finalists, **told: object) -> None:
        if length.is_open and finalists:
            length._store.create(SweepPaths("threads").confirm_length(length._incarnation), to_json_bytes(LENGTH))
            length._read()

    monkeypatch.setattr(ConfirmLength, "decide", decide)
    monkeypatch.setattr(continued_run, "first_stage", lambda *told, **named: Stage(until=6, decay_epochs=0))
    monkeypatch.setattr(continued_run, "next_stage", lambda *told, **named: Stage(until=8, decay_epochs=2))


@pytest.fixture
def one_core() -> Iterator[None]:
    """As after a resume on a smaller machine."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    yield
    os.sched_setaffinity(0, cores)


@pytest.mark.usefixtures("one_core")
def test_the_worker_of_the_seeds_is_not_handed_on_where_there_is_one_core_alone(tmp_path):
    spec, store = parse_spec(SPEC, base=tmp_path), LocalStore(tmp_path / "store")
    dataset = load_dataset(spec.data, cache=tmp_path)
    key = comparability_key(dataset, likelihood=spec.likelihood)
    record = sweep_record.SweepRecord(spec=spec, fingerprint=dataset.fingerprint, comparability_key=key, versions={})

    sweep_runner.search(
        SweepStart(record=record, text=SPEC, must_exist=False),
        task=TrainingTask.of(dataset),
        judge_task=JudgeTask.of(dataset),
        store=store,
        observer=Observer(),
    )

    found = ConfirmRuns(store, "threads").read()
    assert [row.epochs for row in found.rows] == [5, 5]
    assert [(row.epochs, row.threads, row.attempts) for row in found.continued] == [(8, 2, 1)]
    logs = (tmp_path / "store/sweeps/threads/logs").glob("worker-*.log")
    runs = [log.read_text() for log in logs]
    assert len(runs) >= 2
    assert not [text for text in runs if "run 000000-s" in text and "run 000000-c" in text]
