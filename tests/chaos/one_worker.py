"""A sweep without Ray in one process: the real driver, and a real worker's loop with TensorFlow.

    python -m tests.chaos.one_worker STORE SPEC

It goes on where the store stands, and prints `epoch TRIAL EPOCH` after each report and `shown TRIAL` after each row.
"""

import math
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from vae_search.data.comparability import comparability_key
from vae_search.data.dataset import load_dataset
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.search.coordinator import SweepCoordinator
from vae_search.search.messages import WorkerConfig
from vae_search.search.running_trial import SweepContext
from vae_search.search.worker.inline import train_trials
from vae_search.search.worker.trial_runner import TrialRunner
from vae_search.spec.sweep_spec import read_spec
from vae_search.store.backends.uri import open_store
from vae_search.store.leases.lease import acquire
from vae_search.store.sweeps import beginning, sweep_record


def main() -> None:
    store, spec_file = open_store(sys.argv[1]), Path(sys.argv[2])
    spec = read_spec(spec_file).spec
    dataset = load_dataset(spec.data, cache=spec_file.parent)
    task = TrainingTask.of(dataset)
    task = replace(task, train=task.train[:640], select=task.select[:100])
    record = sweep_record.SweepRecord(
        spec=spec,
        fingerprint=dataset.fingerprint,
        comparability_key=comparability_key(dataset, likelihood=spec.likelihood),
        versions={},
    )
    lease = acquire(store, spec.name, begin=lambda: {"spec": spec.to_json()})
    try:
        beginning.create_or_check(store, record, text=spec_file.read_text())
        coordinator = SweepCoordinator(
            SweepContext(spec=spec, lease=lease.number, comparability_key=record.comparability_key, versions={}),
            store=store,
            lease=lease,
            now=lambda: datetime.now(UTC),
            seconds_left=lambda: math.inf,
            slots=lambda: 1,
            on_trial_finished=lambda row, verdict: print("shown", row.trial, flush=True),
        )
        config = WorkerConfig(
            spec=spec, store=store.location, lease=lease.number, rungs=coordinator.rungs, log_folder=None
        )
        runner = TrialRunner(config, task, JudgeTask.of(dataset), store, node_id="here")
        for report in train_trials(coordinator, runner):
            print("epoch", int(report.key), report.epoch, flush=True)
        coordinator.finish()
    finally:
        lease.release()


if __name__ == "__main__":
    main()
