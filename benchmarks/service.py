"""The service over large stores, asked by many readers at once while rows come in.

Two stores, on a folder and on an S3 in memory (moto, a process of its own): one sweep of 10,000 trials that a driver
works on, and 500 sweeps that are over. The rows were never trained (`synthetic.py`). `vae-search serve` is a process of
its own; readers ask again as soon as they have their answer. The server's memory is read before and during the load.

    python benchmarks/service.py
"""

import argparse
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from machine import describe_machine
from synthetic import KEY, VERSIONS, spec_of, take_lease, trials_of

from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.backends.base import Store
from vae_search.store.backends.local import LocalStore
from vae_search.store.backends.uri import open_store
from vae_search.store.ledger.rows import EpochRow, TrialRow, epochs_to_parquet, trial_to_parquet, trials_to_parquet
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import beginning, sweep_record

HERE = Path(__file__).parent
UNCOPIED = 250  # of the large sweep's rows, which a reader opens one by one
TARGET_S = 0.5
S3 = """
import threading, time
from tests.support.s3_server import s3_server
with s3_server() as endpoint:
    print(endpoint, flush=True)
    threading.Event().wait()
"""


def put_sweep(store: Store, spec: SweepSpec, trials: int, *, uncopied: int = 0) -> None:
    """A sweep of `trials` rows, the last `uncopied` of them in no copy. Rows that are copied are one byte: nobody opens
    them as long as the copy is intact."""
    record = sweep_record.SweepRecord(spec=spec, fingerprint="f" * 64, comparability_key=KEY, versions=VERSIONS)
    beginning.create_or_check(store, record, text="")
    take_lease(store, spec).release()
    mark = sweep_record.read_stored(store, spec.name).incarnation
    rows, curves = [], []
    for row, curve in trials_of(spec, trials):
        content = epochs_to_parquet(curve, path=SweepPaths(spec.name).trial_epochs(row.trial))
        rows.append(replace(row, incarnation=mark, epochs_sha256=sha256(content).hexdigest()))
        curves.append((curve, content))
    copied, paths = trials - uncopied, SweepPaths(spec.name)
    files: dict[str, bytes] = {}
    if copied:
        epochs = [epoch for curve, _ in curves[:copied] for epoch in curve]
        path = paths.compact_epochs(copied)
        files[path] = epochs_to_parquet(epochs, path=path)
        path = paths.compact_trials(copied)
        files[path] = trials_to_parquet(rows[:copied], path=path)
    for row, (_, curve) in zip(rows, curves, strict=True):
        path = paths.trial(row.trial)
        files[path] = b"-" if row.trial < copied else trial_to_parquet(row, path=path)
        if row.trial >= copied:
            files[paths.trial_epochs(row.trial)] = curve
    _write(store, files)


def _write(store: Store, files: Mapping[str, bytes]) -> None:
    """Without waiting for the disk: only reading is measured."""
    if isinstance(store, LocalStore):
        for path, content in files.items():
            place = store.local_path(path)
            if place is not None:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
        return
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store.replace, files, files.values()))


class Driver:
    """What a driver does to a store while it works: a lease, its heartbeat, and rows, so many each second."""

    def __init__(self, store: Store, spec: SweepSpec, *, first: int, per_s: float) -> None:
        self._store = store
        self._spec = spec
        self._lease = take_lease(store, spec)
        self._mark = sweep_record.read_stored(store, spec.name).incarnation
        self._first = first
        self._per_s = per_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.landed = 0

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()
        self._lease.release()

    def _work(self) -> None:
        ledger = Ledger(self._store, self._spec.name)
        rows: list[tuple[TrialRow, list[EpochRow]]] = [*trials_of(self._spec, 50)]
        while not self._ended.wait(1.0 / self._per_s):
            row, curve = rows[self.landed % len(rows)]
            number = self._first + self.landed
            curve = [replace(epoch, trial=number) for epoch in curve]
            ledger.commit(replace(row, trial=number, incarnation=self._mark, lease=self._lease.number), curve)
            self.landed += 1


@contextmanager
def serving(location: str, environment: Mapping[str, str]) -> Iterator[tuple[int, int]]:
    """Process id and port of a server over the store."""
    command = [sys.executable, "-m", "vae_search", "serve", "--store", location, "--port", "0"]
    with subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True) as server:
        try:
            line = (server.stdout or sys.stdin).readline()
            yield server.pid, int(line.split("http://127.0.0.1:")[1].split(".")[0])
        finally:
            server.terminate()
            server.wait(60)


def resident_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def ask(connection: http.client.HTTPConnection, path: str) -> float:
    """Seconds until the whole answer is there."""
    began_s = time.perf_counter()
    connection.request("GET", path, headers={"Accept": "text/html" if path == "/" else "*/*"})
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status}")
    return time.perf_counter() - began_s


def measure(pid: int, port: int, paths: list[str], *, readers: int, seconds: float) -> dict[str, object]:
    """Ask every path once alone, then by all readers at once for a while, each path after the other."""
    alone = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    before_mb, first_s, again_s = resident_mb(pid), {}, {}
    for path in paths:
        first_s[path] = ask(alone, path)
        again_s[path] = min(ask(alone, path) for _ in range(3))
    times: dict[str, list[float]] = defaultdict(list)
    memory_mb = [resident_mb(pid)]
    ends_at_s = time.perf_counter() + seconds

    def read(number: int) -> None:
        rng = np.random.default_rng(number)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        while time.perf_counter() < ends_at_s:
            path = paths[rng.integers(len(paths))]
            times[path].append(ask(connection, path))

    with ThreadPoolExecutor(readers) as pool:
        done = [pool.submit(read, number) for number in range(readers)]
        while time.perf_counter() < ends_at_s:
            time.sleep(0.5)
            memory_mb.append(resident_mb(pid))
        for each in done:
            each.result()
    routes = {
        path: {
            "first_s": first_s[path],
            "alone_s": again_s[path],
            "median_s": statistics.median(taken),
            "p95_s": float(np.quantile(taken, 0.95)),
            "requests": len(taken),
        }
        for path, taken in sorted(times.items())
    }
    half = len(memory_mb) // 2
    return {
        "routes": routes,
        "memory_mb": {
            "before": before_mb,
            "most in the first half": max(memory_mb[:half]),
            "most in the second half": max(memory_mb[half:]),
        },
    }


@contextmanager
def place_of(kind: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Location of an empty store, and the environment that it needs."""
    if kind == "folder":
        folder = tempfile.mkdtemp(prefix="bench-service-")
        try:
            yield folder, {}
        finally:
            shutil.rmtree(folder)
        return
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", S3]
    with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, text=True) as server:
        try:
            endpoint = (server.stdout or sys.stdin).readline().strip()
            environment = {
                "AWS_ENDPOINT_URL": endpoint,
                "AWS_ALLOW_HTTP": "true",
                "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "bench",
                "AWS_SECRET_ACCESS_KEY": "bench",
            }
            os.environ.update(environment)
            yield "s3://bucket/store", environment
        finally:
            server.kill()


def large_sweep(kind: str, options: argparse.Namespace) -> dict[str, object]:
    spec = spec_of(2 * options.trials)
    with place_of(kind) as (location, environment):
        store = open_store(location)
        put_sweep(store, spec, options.trials, uncopied=min(UNCOPIED, options.trials))
        driver = Driver(store, spec, first=options.trials, per_s=options.rows_per_s)
        driver.start()
        try:
            with serving(location, environment) as (pid, port):
                sweep = f"/api/v1/sweeps/{spec.name}"
                paths = [
                    "/",
                    f"/sweeps/{spec.name}",
                    "/api/v1/sweeps",
                    sweep,
                    f"{sweep}/trials",
                    f"{sweep}/trials?order=objective&state=COMPLETE",
                    f"{sweep}/best",
                ]
                found = measure(pid, port, paths, readers=options.readers, seconds=options.seconds)
        finally:
            driver.end()
        return found | {"trials": options.trials, "rows that came in": driver.landed}


def many_sweeps(kind: str, options: argparse.Namespace) -> dict[str, object]:
    with place_of(kind) as (location, environment):
        store = open_store(location)
        for number in range(options.sweeps):
            put_sweep(store, spec_of(4, name=f"sweep-{number:03d}"), 4)
        with serving(location, environment) as (pid, port):
            paths = ["/", "/api/v1/sweeps", "/api/v1/sweeps?limit=500", "/api/v1/sweeps/sweep-007", "/metrics"]
            found = measure(pid, port, paths, readers=options.readers, seconds=options.seconds)
        return found | {"sweeps": options.sweeps}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--sweeps", type=int, default=500)
    parser.add_argument("--readers", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rows-per-s", type=float, default=2.0)
    parser.add_argument("--stores", nargs="+", default=["folder", "s3"])
    parser.add_argument("--only", choices=["large_sweep", "many_sweeps"])
    parser.add_argument("--out", type=Path, default=HERE / "results" / "service.json")
    options = parser.parse_args()
    found: dict[str, object] = {"machine": describe_machine(), "readers": options.readers, "target_s": TARGET_S}
    found["load when it began"] = os.getloadavg()
    for kind in options.stores:
        for case in (large_sweep, many_sweeps):
            if options.only in (None, case.__name__):
                found[f"{case.__name__}, {kind}"] = measured = case(kind, options)
                print(f"{case.__name__} on {kind}: {json.dumps(measured, indent=1)}", flush=True)
                options.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
