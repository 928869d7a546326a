"""Cost of crash safety: commits, checkpoints, restarts, and the driver beside many workers.

create   one durable file, of a row's size
share    a small sweep on 10,000 images of Fashion-MNIST, without Ray: time inside the store over its wall time
restart  a new process until the driver of a sweep of 10,000 finished trials hands out its next order
best     the command `vae-search best`, process start included
driver   64 running trials and 10,000 finished ones: a trial's share of the driver, and what it grows by
no-op    trials that train nothing, from the first on; beside them Ray Tune's own, first in first out

Each part is written to the JSON as soon as it is known, with the load of the machine before it: where others work as
well, CPU seconds say more than wall seconds. Ledgers are synthetic (`synthetic.py`).

    python benchmarks/durability.py
    python benchmarks/durability.py --only restart best
"""

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from machine import describe_machine
from synthetic import KEY, NAME, VERSIONS, new_sweep, report, spec_of, take_lease, write_copied_rows, write_rows

from vae_search.search.coordinator import SweepCoordinator
from vae_search.search.running_trial import SweepContext
from vae_search.store.backends.base import Store
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.trials import Ledger

HERE = Path(__file__).parent
ROWS, SLOTS, TRIAL_S = 10_000, 64, 10.0

T = TypeVar("T")


class TimedStore:
    """Another store, and the seconds that were spent in its calls."""

    def __init__(self, store: Store) -> None:
        self.location = store.location
        self.seconds: dict[str, float] = {}
        self._store = store

    def create(self, path: str, content: bytes) -> None:
        self._timed("create", lambda: self._store.create(path, content))

    def replace(self, path: str, content: bytes) -> None:
        self._timed("replace", lambda: self._store.replace(path, content))

    def read(self, path: str) -> bytes:
        return self._timed("read", lambda: self._store.read(path))

    def read_many(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        return iter(self._timed("read", lambda: [*self._store.read_many(paths)]))

    def list(self, prefix: str) -> list[str]:
        return self._timed("list", lambda: self._store.list(prefix))

    def folders(self, prefix: str) -> Sequence[str]:
        return self._timed("list", lambda: self._store.folders(prefix))

    def sizes(self, prefix: str) -> dict[str, int]:
        return self._timed("sizes", lambda: self._store.sizes(prefix))

    def remove(self, path: str) -> None:
        self._timed("remove", lambda: self._store.remove(path))

    def remove_tree(self, prefix: str) -> None:
        self._timed("remove", lambda: self._store.remove_tree(prefix))

    def local_path(self, path: str) -> Path | None:
        return self._store.local_path(path)

    def _timed(self, name: str, call: Callable[[], T]) -> T:
        started = time.perf_counter()
        try:
            return call()
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def driver_of(store: Store, trials: int, **changes: object) -> SweepCoordinator:
    """The driver of the synthetic sweep; its lease ends with the process."""
    spec = spec_of(trials, **changes)
    lease = take_lease(store, spec)
    return SweepCoordinator(
        SweepContext(spec=spec, lease=lease.number, comparability_key=KEY, versions=VERSIONS),
        store=store,
        lease=lease,
        now=lambda: datetime.now(UTC),
        seconds_left=lambda: math.inf,
        slots=lambda: SLOTS,
        on_trial_finished=lambda row, verdict: None,
    )


def in_a_new_process(function: Callable[..., T], *arguments: object) -> tuple[dict[str, float], T]:
    """Seconds from the start of a process to the function's return, its imports included, and what it returned."""
    started, cpu_s = time.perf_counter(), children_cpu_s()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(function, *arguments).result()
        wall_s = time.perf_counter() - started
    return {"total_s": wall_s, "total_cpu_s": children_cpu_s() - cpu_s}, found


def children_cpu_s() -> float:
    """CPU seconds of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def percentiles_ms(seconds: list[float]) -> dict[str, float]:
    return {f"p{rank}_ms": float(1e3 * np.percentile(seconds, rank)) for rank in (50, 95)}


def create(folder: Path) -> dict[str, object]:
    store, content, seconds = LocalStore(folder), b"r" * 7000, []
    for number in range(300):
        started = time.perf_counter()
        store.create(f"files/{number:06d}", content)
        seconds.append(time.perf_counter() - started)
    return {**percentiles_ms(seconds[1:]), "target_p50_ms": 15.0}


def share(folder: Path) -> dict[str, object]:
    """Orders, epochs, checkpoints, rows and weights of 12 trials; driver and worker take turns in one process."""
    from fashion import slice_task

    from vae_search.data.tasks import JudgeTask
    from vae_search.search.messages import WorkerConfig
    from vae_search.search.worker.inline import train_trials
    from vae_search.search.worker.trial_runner import TrialRunner

    spec = spec_of(12)
    store = TimedStore(new_sweep(folder, spec))
    task = slice_task()
    coordinator = driver_of(store, 12)
    config = WorkerConfig(spec=spec, store=store.location, lease=2, rungs=coordinator.rungs, log_folder=None)
    judge_task = JudgeTask(images=task.select, pixels=task.pixels)  # never asked for: nothing is confirmed
    runner = TrialRunner(config, task, judge_task, store, node_id="here")
    started = time.perf_counter()
    store.seconds.clear()
    epochs = sum(1 for _ in train_trials(coordinator, runner))
    wall_s = time.perf_counter() - started
    spent = dict(store.seconds)  # the lease's heartbeat goes on
    return {"epochs": epochs, "wall_s": wall_s, "store_s": spent, "share": sum(spent.values()) / wall_s, "target": 0.02}


def first_order(folder: str) -> dict[str, float]:
    started = time.perf_counter()
    driver = driver_of(LocalStore(Path(folder)), ROWS + 1)
    rebuilt = time.perf_counter()
    driver.next_assignment()
    return {"rebuild_s": rebuilt - started, "ask_s": time.perf_counter() - rebuilt}


def restart(folder: Path) -> dict[str, object]:
    spec = spec_of(ROWS)
    store = new_sweep(folder, spec)
    write_rows(folder, spec, ROWS)
    found: dict[str, object] = {"rows": ROWS, "target_s": 20.0}
    for name in ("without_copies", "with_copies"):
        total, parts = in_a_new_process(first_order, str(folder))
        found[name] = {**total, **parts}
        store.remove_tree(f"sweeps/{NAME}/running")
        if name == "without_copies":
            started = time.perf_counter()
            Ledger(store, NAME).compact()
            found["compaction_s"] = time.perf_counter() - started
    return found


def best(folder: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, write, rows, target_s in (
        ("raw", write_rows, 2000, 1.0),
        ("compacted", write_copied_rows, 100_000, 0.3),
    ):
        spec = spec_of(rows)
        new_sweep(folder / name, spec)
        write(folder / name, spec, rows)
        command = [sys.executable, "-m", "vae_search", "best", NAME, "--store", str(folder / name)]
        found[name] = {"rows": rows, **_medians(command), "target_s": target_s}
    loads = "import vae_search.cli.app, vae_search.services.queries, vae_search.display.leaderboard"
    found["imports"] = _medians([sys.executable, "-c", loads])
    found["python"] = _medians([sys.executable, "-c", "pass"])
    return found


def _medians(command: list[str], *, repeats: int = 7) -> dict[str, float]:
    wall_s, cpu_s = [], []
    for _ in range(repeats + 1):
        started, before_s = time.perf_counter(), children_cpu_s()
        subprocess.run(command, capture_output=True, check=True)
        wall_s.append(time.perf_counter() - started)
        cpu_s.append(children_cpu_s() - before_s)
    # The first one warms the file system's cache.
    return {
        "median_s": statistics.median(wall_s[1:]),
        "min_s": min(wall_s[1:]),
        "median_cpu_s": statistics.median(cpu_s[1:]),
        "min_cpu_s": min(cpu_s[1:]),
    }


def beside_workers(folder: Path) -> dict[str, object]:
    spec = spec_of(ROWS)
    store = new_sweep(folder, spec)
    write_rows(folder, spec, ROWS)
    Ledger(store, NAME).compact()
    return in_a_new_process(busy, str(folder), ROWS, 400)[1]


def busy(folder: str, finished: int, trials: int, sampler: str = "tpe") -> dict[str, object]:
    """Serve `SLOTS` workers until `trials` are committed; seconds of each trial's ask, records and commit."""
    driver = driver_of(LocalStore(Path(folder)), finished + trials + SLOTS, sampler=sampler)
    rng = np.random.default_rng(2)
    spent: dict[str, list[float]] = {"ask": [], "record": [], "land": []}

    def timed(name: str, call: Callable[[], T]) -> T:
        started = time.perf_counter()
        result = call()
        spent[name].append(time.perf_counter() - started)
        return result

    flights, memory_bytes, cpu_s = [], 0, time.process_time()
    for number in range(trials + SLOTS):
        flights.append(timed("ask", driver.next_assignment))
        driver.started(flights[-1].key)
        if len(flights) == SLOTS:
            order, quality = flights.pop(0), float(rng.gamma(2.0, 5.0))
            verdict, epoch, took_s = None, 0, 0.0
            while verdict is None:
                epoch += 1
                told = report(order.trial, epoch, 240.0 + quality + 30.0 / epoch)
                verdict = timed("record", lambda told=told: driver.record(told))
                took_s += spent["record"].pop()
            spent["record"].append(took_s)
            timed("land", lambda key=order.key: driver.commit_trial(key))
        if number == SLOTS + trials // 4:  # after the first, when caches and pools are filled
            memory_bytes = resident_bytes()
    used_s = (time.process_time() - cpu_s) / (trials + SLOTS)
    grown = (resident_bytes() - memory_bytes) / (trials - trials // 4)
    medians_ms = {f"{name}_ms": 1e3 * statistics.median(values) for name, values in spent.items()}
    per_trial_s = sum(statistics.fmean(values) for values in spent.values())
    return {
        "finished_before": finished,
        "trials": trials,
        **medians_ms,
        "busy_ms_per_trial": 1e3 * per_trial_s,
        "busy_share": per_trial_s / (TRIAL_S / SLOTS),
        "cpu_ms_per_trial": 1e3 * used_s,
        "cpu_share": used_s / (TRIAL_S / SLOTS),
        "target_busy_share": 0.05,
        "bytes_per_trial": grown,
        "target_bytes_per_trial": 20_000,
    }


def resident_bytes() -> int:
    """Resident memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def noop(folder: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for sampler in ("random", "tpe"):
        new_sweep(folder / sampler, spec_of(1, sampler=sampler))
        found[sampler] = in_a_new_process(busy, str(folder / sampler), 0, 2000, sampler)[1]
    found["tune"] = in_a_new_process(bare_tune, str(folder / "tune"), 30)[1]
    return found


def bare_tune(folder: str, trials: int) -> dict[str, float]:
    """Ray Tune on a function that reports once: its defaults, two at a time."""
    import ray
    from ray import tune

    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False, logging_level="ERROR")
    try:
        started = time.perf_counter()
        tune.Tuner(
            lambda config: {"value": config["x"]},
            param_space={"x": tune.uniform(0, 1)},
            tune_config=tune.TuneConfig(num_samples=trials),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        ).fit()
        return {"trials": trials, "ms_per_trial": 1e3 * (time.perf_counter() - started) / trials}
    finally:
        ray.shutdown()


PARTS: dict[str, Callable[[Path], dict[str, object]]] = {
    "create": create,
    "share": share,
    "restart": restart,
    "best": best,
    "driver": beside_workers,
    "no-op": noop,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument("--folder", type=Path, help="where to write; default: the system's temporary folder")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "durability.json")
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    found = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    for name in arguments.only:
        with tempfile.TemporaryDirectory(prefix="durability-", dir=arguments.folder) as folder:
            load = os.getloadavg()[0]
            found[name] = {"load_before": load, **PARTS[name](Path(folder))}
        found["machine"] = describe_machine()
        print(name, json.dumps(found[name], indent=1), flush=True)
        arguments.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
