"""Workers that have served their number of trials make room for fresh ones, and no trial notices."""

import pytest

from vae_search.core.trial_state import State
from vae_search.data.dataset import comparability_key, load_dataset
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.runtime import sweep_runner
from vae_search.search.messages import WorkerConfig
from vae_search.search.progress import Observer
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.backends.uri import open_store
from vae_search.store.ledger import sweep_record
from vae_search.store.ledger.trials import Ledger

pytestmark = [pytest.mark.ray, pytest.mark.exhaustive, pytest.mark.timeout(200)]

SPEC = """
name: retiring
data: {source: digits}
search_space: {latent_dim: {type: int, low: 2, high: 6}, depth: 1, width: 16, batch_size: 64}
budget: {trials: 5, epochs: 2}
confirm: {finalists: 0}
pruning: off
max_retries: 0
resources: {concurrency: 1}
"""


def test_a_worker_retires_between_two_trials_and_none_is_lost_or_counted_as_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_runner, "WorkerConfig", lambda **fields: WorkerConfig(**fields, trials_per_process=2))
    spec = parse_spec(SPEC, base=tmp_path)
    dataset = load_dataset(spec.data, cache=tmp_path)
    record = sweep_record.SweepRecord(
        spec=spec,
        fingerprint=dataset.fingerprint,
        comparability_key=comparability_key(dataset, likelihood=spec.likelihood),
        versions={},
    )
    store = open_store(str(tmp_path / "store"))
    sweep_record.create_or_check(store, record, text=SPEC)

    sweep_runner.search(
        record, task=TrainingTask.of(dataset), judge_task=JudgeTask.of(dataset), store=store, observer=Observer()
    )

    rows = Ledger(store, spec.name).trials()
    logs = list((tmp_path / "store" / "sweeps" / "retiring" / "logs").glob("worker-*.log"))
    assert [(row.trial, row.state) for row in rows] == [(trial, State.COMPLETE) for trial in range(5)]
    assert len(logs) == 3  # two trials each, and the last one
    assert rows[0].attempts == 1
