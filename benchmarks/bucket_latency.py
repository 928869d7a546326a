"""Trials that a driver can end in a second, where every request to the store takes 40 ms.

A bucket in memory (`delayed_s3.py`, a process of its own) answers late; workers that train nothing always have a trial
that has ended. One trial of ten keeps its weights, as in a sweep with pruning. *one after the other* commits as on a
disk; *aside* as `run` does with a bucket.

    python benchmarks/bucket_latency.py
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from machine import describe_machine
from synthetic import EPOCHS, KEY, VERSIONS, report, spec_of, take_lease

from vae_search.search.coordinator import SweepCoordinator
from vae_search.search.driver_lifecycle import FAR_WRITERS
from vae_search.search.running_trial import SweepContext
from vae_search.store.backends.uri import open_store
from vae_search.store.ledger import artifacts, checkpoints
from vae_search.store.paths import trial_key

HERE = Path(__file__).parent
SLOTS, TARGET_PER_S = 64, 10.0
FILES = {artifacts.WEIGHTS_FILE: b"w" * 500_000, artifacts.MODEL_FILE: b"{}", "state.npz": b"s" * 1_000_000}


def measure(location: str, trials: int, writers: int) -> dict[str, float]:
    """End `trials` trials; the driver's seconds, and what became durable in them."""
    store = open_store(location)
    spec = spec_of(trials + SLOTS, sampler="random", pruning="off")
    kept = range(0, trials, 10)
    lease = take_lease(store, spec)
    with ThreadPoolExecutor(16) as workers:
        for trial in kept:
            workers.submit(checkpoints.save, store, spec.name, trial_key(trial), lease.number, EPOCHS, FILES)
    driver = SweepCoordinator(
        SweepContext(spec=spec, lease=lease.number, comparability_key=KEY, versions=VERSIONS),
        store=store,
        lease=lease,
        now=lambda: datetime.now(UTC),
        seconds_left=lambda: math.inf,
        slots=lambda: SLOTS,
        on_trial_finished=lambda row, end: landed.append(row.trial),
        writers=writers,
    )
    landed: list[int] = []
    rng = np.random.default_rng(2)
    training: deque[int] = deque()
    started = time.perf_counter()
    while len(landed) < trials:
        driver.settle()
        if driver.in_flight < SLOTS and (assignment := driver.next_assignment()) is not None:
            driver.started(assignment.key)
            training.append(assignment.trial)
        if training and (driver.in_flight == SLOTS or not writers):
            trial = training.popleft()
            # Every tenth is the best so far: its weights are kept, and those of the one that it pushes out are dropped.
            end(driver, trial, 200.0 - 0.01 * trial if trial in kept else 240.0 + float(rng.gamma(2.0, 5.0)))
            driver.begin_commit(trial_key(trial))
        elif driver.in_flight == SLOTS:
            time.sleep(0.001)
    wall_s = time.perf_counter() - started
    driver.settle(wait=True)
    driver.close()
    lease.release()
    return {"trials": len(landed), "wall_s": wall_s, "per_s": len(landed) / wall_s}


def end(driver: SweepCoordinator, trial: int, quality: float) -> None:
    """Report the epochs of a trial."""
    for epoch in range(1, EPOCHS + 1):
        driver.record(report(trial, epoch, quality + 30.0 / epoch))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delay-ms", type=float, default=40.0)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "bucket_latency.json")
    arguments = parser.parse_args()
    command = [sys.executable, str(HERE / "delayed_s3.py"), "--delay-ms", str(arguments.delay_ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            os.environ |= {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{int(server.stdout.readline())}",
                "AWS_ALLOW_HTTP": "true",
                "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "a",
                "AWS_SECRET_ACCESS_KEY": "b",
                "NO_PROXY": "127.0.0.1",
            }
            found: dict[str, object] = {"delay_ms": arguments.delay_ms, "target_per_s": TARGET_PER_S}
            found["one after the other"] = measure("s3://bucket/serial", max(30, arguments.trials // 8), 0)
            found["aside"] = measure("s3://bucket/aside", arguments.trials, FAR_WRITERS)
        finally:
            server.terminate()
    found["machine"] = describe_machine()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
