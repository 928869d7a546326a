"""Scaling of a sweep over 1, 2, 4 and 8 nodes, and the number of workers that one driver can feed.

This machine has no eight idle cores, so the workers sleep instead of computing: what is measured is everything else. A
This machine has no eight idle cores, so the workers sleep instead of computing: what is measured is all the rest. A
for `EPOCHS` epochs of `EPOCH_S` seconds. Efficiency = the ideal time, trials · length / nodes, over the time from the
first trial's start to the last row. The driver's CPU seconds per result and per trial give the estimate.

    python benchmarks/scaling.py
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import synthetic
from machine import describe_machine
from ray import tune
from synthetic import NAME, VERSIONS, new_sweep, spec_of

from vae_search.data.image_checks import Images
from vae_search.data.pixel_statistics import BINARY, PixelStatistics
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.runtime.tune import adapters as tune_adapters
from vae_search.search.messages import TrialAssignment, TrialReport, WorkerConfig
from vae_search.store.ledger.trials import Ledger

HERE = Path(__file__).parent
LOCAL = HERE.parent / "cluster" / "local.sh"
NODES = (1, 2, 4, 8)
TRIALS_PER_NODE, EPOCHS, EPOCH_S = 6, 8, 1.0
TARGET = 1.15


class SleepingWorker(tune.Trainable):  # type: ignore[misc]  # Ray ships no types for it
    """The worker's place in Tune, without TensorFlow."""

    def setup(
        self, config: dict[str, Any], worker_config: WorkerConfig, task: TrainingTask, judge_task: JudgeTask
    ) -> None:
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._order, self._epoch = TrialAssignment(**new_config), 0
        return True

    def step(self) -> dict[str, TrialReport]:
        time.sleep(EPOCH_S)
        self._epoch += 1
        synthetic.EPOCHS = EPOCHS
        return {"report": synthetic.report(self._order.trial, self._epoch, 100.0 + self._order.trial / self._epoch)}


def sweep(nodes: int, gcs_address: str, folder: Path) -> dict[str, float]:
    """One sweep on a cluster that is up."""
    import numpy as np

    from vae_search.runtime.sweep_runner import search
    from vae_search.search.progress import Observer
    from vae_search.store.sweeps.sweep_record import SweepRecord

    tune_adapters.Worker = SleepingWorker  # type: ignore[misc,assignment]
    trials = TRIALS_PER_NODE * nodes
    spec = spec_of(trials, budget={"trials": trials, "epochs": EPOCHS}, pruning="off", keep=1)
    store = new_sweep(folder, spec)
    pixels = np.zeros((8, 8, 8, 1), np.uint8)
    known = PixelStatistics.of(Images(pixels=pixels, scale=1.0), levels=BINARY)
    task = TrainingTask(train=pixels, select=pixels, scale=1.0, dynamic=False, floor=0.0, pixels=known)
    record = SweepRecord(spec=spec, fingerprint="f" * 64, comparability_key="k" * 64, versions=VERSIONS)
    started, cpu_s = time.perf_counter(), time.process_time()
    search(
        record,
        task=task,
        judge_task=JudgeTask(images=pixels, pixels=known),
        store=store,
        observer=Observer(),
        address=gcs_address,
    )
    whole_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu_s
    rows = Ledger(store, NAME).trials()
    wall_s = (max(row.finished_at for row in rows) - min(row.started_at for row in rows)).total_seconds()
    ideal_s = TRIALS_PER_NODE * EPOCHS * EPOCH_S
    return {
        "nodes": nodes,
        "trials": len(rows),
        "ideal_s": ideal_s,
        "wall_s": wall_s,
        "whole_s": whole_s,
        "ratio": wall_s / ideal_s,
        "driver_cpu_s": cpu_s,
        "driver_cpu_ms_per_result": 1e3 * cpu_s / (trials * EPOCHS),
    }


def on_cluster(nodes: int) -> dict[str, float]:
    """Start a cluster, measure in a process of its own, stop it."""
    with tempfile.TemporaryDirectory(prefix="scaling-") as folder:
        state = Path(folder) / "cluster"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        local = kept | {"VAE_SEARCH_LOCAL_CLUSTER": str(state), "PYTHON": sys.executable}
        local["PYTHONPATH"] = os.pathsep.join([str(HERE), str(HERE.parent)])
        subprocess.run([LOCAL, "up", str(nodes)], env=local, check=True, stdout=subprocess.DEVNULL)
        try:
            token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(state / "token")}
            address = (state / "gcs-address").read_text().strip()
            command = [sys.executable, __file__, "--nodes", str(nodes), "--address", address, "--folder", folder]
            done = subprocess.run(command, env=local | token, check=True, stdout=subprocess.PIPE, text=True)
        finally:
            subprocess.run([LOCAL, "down"], env=local, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{nodes} nodes: {found['wall_s']:.1f} s, ideal {found['ideal_s']:.0f} s, ratio {found['ratio']:.2f}",
        flush=True,
    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "scaling.json")
    parser.add_argument("--nodes", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.nodes:
        print(json.dumps(sweep(arguments.nodes, arguments.address, arguments.folder / "store")))
        return
    found = [on_cluster(nodes) for nodes in NODES]
    per_result_s = found[-1]["driver_cpu_ms_per_result"] / 1e3
    print(f"driver: {1e3 * per_result_s:.1f} CPU ms per result; full at {1 / per_result_s:.0f} results a second")
    facts = {"machine": describe_machine(), "target_ratio": TARGET, "runs": found}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(facts, indent=2) + "\n")


if __name__ == "__main__":
    main()
