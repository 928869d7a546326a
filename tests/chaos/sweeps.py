"""Real sweeps in processes of their own, through the command line, and ways to end these."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.chaos.invariants import Seen, check_invariants
from tests.support.marked_processes import end_marked, marked, marked_processes
from tests.support.paths import ROOT
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.backends.uri import open_store
from vae_search.store.ledger import checkpoints
from vae_search.store.paths import SweepPaths

PATIENCE_S = 300  # for what must happen soon; only a hanging test waits so long

NOTHING = Seen(rows={})
QUICK = """
name: quick
data: {source: digits}
search_space:
  latent_dim: {type: int, low: 2, high: 8}
  learning_rate: {type: float, low: 1e-3, high: 1e-2, log: true}
  depth: 1
  width: {type: categorical, choices: [16, 32]}
  batch_size: 32
budget: {trials: 16, epochs: 72}
confirm: {finalists: 0}
pruning: {min_epochs: 9, reduction_factor: 3}
checkpoint_s: 0.5
max_retries: 20
"""
# Epochs of more than a second, and no checkpoint before the last one unless somebody asks for it.
SLOW = """
name: slow
data: {source: digits}
search_space: {latent_dim: 8, depth: 2, width: 1024, batch_size: 8, learning_rate: 1e-4}
budget: {trials: 2, epochs: 8}
confirm: {finalists: 0}
pruning: off
checkpoint_s: 10000
"""


@dataclass
class Sweep:
    """A sweep in a folder of its own, and every process that was ever started for it.

    Args:
        folder: short, because Ray puts sockets below it.
    """

    folder: Path
    name: str
    trials: int
    shown: list[int] = field(default_factory=list)
    """trials that drivers have reported as finished, in order, of all drivers"""

    @property
    def store(self) -> Store:
        return open_store(str(self.folder / "store"))

    @property
    def logs(self) -> Path:
        return self.folder / "store" / SweepPaths(self.name).logs

    def start(self, *arguments: str, **environment: str) -> "RunningDriver":
        """A driver that runs the sweep on, from wherever it stands."""
        command = [sys.executable, "-m", "vae_search", "run", "spec.yaml", "--store", "store", *arguments]
        return RunningDriver(self, command, environment)

    def processes(self) -> dict[int, str]:
        """Title by id of all processes that descend from this sweep's drivers."""
        return marked_processes(self.folder)

    def workers(self) -> list[int]:
        """The ids of processes that train now, by the names of their log files."""
        logged = {int(path.stem.rsplit("-", 1)[1]) for path in self.logs.glob("worker-*.log")}
        return sorted(logged & set(self.processes()))

    def logged(self, pattern: str, *, node: str = "*") -> list[Any]:
        """All that matches in the logs of all workers, or of those on the node whose id begins so."""
        files = sorted(self.logs.glob(f"worker-{node}-*.log"))
        return [found for path in files for found in re.findall(pattern, path.read_text())]

    @property
    def begun(self) -> int:
        """How often workers have begun with a trial, anew or from a checkpoint."""
        return len(self.logged(r"run \d+ (?:starts|continues)"))

    @property
    def starts(self) -> Counter[int]:
        """How often each trial was begun from nothing."""
        return Counter(int(trial) for trial in self.logged(r"run (\d+) starts: "))

    def saved_epochs(self) -> dict[int, int]:
        """The epoch of the newest intact checkpoint of each trial in flight that has one."""
        newest = {
            trial: checkpoints.newest_intact(self.store, self.name, store_paths.trial_key(trial))
            for trial in self.in_flight()
        }
        return {trial: checkpoint.epoch for trial, checkpoint in newest.items() if checkpoint is not None}

    def check(self, before: Seen, *, finished: bool) -> Seen:
        """Hold the store to its invariants; see there."""
        return check_invariants(self.store, self.name, before, shown=self.shown, trials=self.trials, finished=finished)

    def in_flight(self) -> set[int]:
        """The trials that were issued and have no row yet."""
        running = (path.split("/") for path in self.store.list(SweepPaths(self.name).running))
        return {int(parts[3]) for parts in running if parts[-1] == "suggestion.json"}

    def saved_at(self, trial: int) -> float:
        """When the newest whole checkpoint of a trial in flight was written, as time.time(); 0 if there is none."""
        folder = self.folder / "store" / SweepPaths(self.name).run(store_paths.trial_key(trial))
        return max((_changed_at(path) for path in folder.glob("*/*/manifest.json")), default=0.0)

    def unsaved_s(self, *, since: float = 0.0, node: str = "*") -> float:
        """What a kill costs now: the longest that a trial in flight has trained since its newest checkpoint.

        Args:
            since: when the present driver was started; what was begun earlier is lost already.
            node: how the id of the only node that is killed begins.
        """
        begun = {}
        pattern = r"(?m)^(\S+ \S+),(\d+) .*: run (\d+) (?:starts|continues)"
        for day, milliseconds, trial in self.logged(pattern, node=node):
            at = datetime.fromisoformat(day).timestamp() + int(milliseconds) / 1000
            begun[int(trial)] = max(at, begun.get(int(trial), 0.0))
        return max(
            (time.time() - max(begun[trial], self.saved_at(trial)) for trial in self.in_flight() & set(begun)
             if begun[trial] >= since), default=0.0,
        )  # fmt: skip


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # a newer one has just taken its place
        return 0.0


class RunningDriver:
    """One driver's process; its reports of finished trials go to the sweep's list."""

    def __init__(self, sweep: Sweep, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._sweep = sweep
        self.started_at = time.time()
        self._printed = sweep.folder / f"out-{time.monotonic_ns()}.txt"  # two drivers may live at a time
        self._out = self._printed.open("wb")
        self._errors = self._printed.with_suffix(".errors").open("w+b")
        own = {**marked(sweep.folder), "TMPDIR": str(sweep.folder), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            command,
            cwd=sweep.folder,
            env=os.environ | own | environment,
            stdout=self._out,
            stderr=self._errors,
            start_new_session=True,
        )

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """Its exit code; what it has shown is noted."""
        code = self.process.wait(timeout_s)
        self._out.close()
        self.output = self._printed.read_text()
        # A line that the kill has cut short was not shown.
        self._sweep.shown += [
            int(trial) for trial in re.findall(r"^trial (\d+) [A-Z]+: .*\n", self.output, re.MULTILINE)
        ]
        self._errors.seek(0)
        self.errors = self._errors.read().decode()
        self._errors.close()
        return code

    def lines(self, start: str) -> list[str]:
        """What it has printed so far: the rest of each line that begins with `start`."""
        return [line.removeprefix(start) for line in self._printed.read_text().splitlines() if line.startswith(start)]

    def kill(self) -> None:
        self.process.kill()
        self.wait()

    def until_or_over(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds, or the driver has ended."""
        while self.process.poll() is None and not condition():
            time.sleep(0.02)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds, but not longer than the driver lives."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if self.process.poll() is not None:
                raise AssertionError(f"the driver ended too soon: {self.wait()}: {self.errors}")
            if time.monotonic() > deadline:
                raise AssertionError("nothing has happened for too long")
            time.sleep(0.02)


@contextmanager
def sweep_of(spec: str) -> Iterator[Sweep]:
    """A new sweep; in the end none of its processes is left, and none of its files."""
    name, trials = re.search(r"name: (\S+)", spec), re.search(r"trials: (\d+)", spec)
    assert name is not None
    assert trials is not None
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    (folder / "spec.yaml").write_text(spec)
    sweep = Sweep(folder=folder, name=name[1], trials=int(trials[1]))
    try:
        yield sweep
    finally:
        end_marked(sweep.folder)
        shutil.rmtree(folder, ignore_errors=True)
