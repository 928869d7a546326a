"""Sweeps in one process that die in the middle of a training, and what of their rows must not show it."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import vae_search
from tests.support.paths import ROOT
from vae_search.store.ledger.rows import TrialRow

# So short a training learns next to nothing; what is asked of it is whether its results travel.
LENIENT_LIMITS = """{seed_spread: 1000, learned: -10, rate: 0, active_units: 0, shuffle_gap: -100, regression: 1.0e+6,
  generalisation: 100}"""
COSTS = {"cpu_s", "wall_s", "images_per_s", "peak_memory_bytes", "started_at", "finished_at", "lease", "attempts"}
COSTS |= {"incarnation", "epochs_sha256", "spec_sha256", "node_id"}
KILL = """
import os, sys, vae_search
from vae_search.search.worker.trial_runner import TrialRunner
step, steps = TrialRunner.step, []
def counted(runner):
    steps.append(step(runner))
    if len(steps) == {epochs}:
        os._exit(9)
    return steps[-1]
TrialRunner.step = counted
vae_search.run({spec!r}, store="store", inline=True, overrides={overrides!r})
"""


def killed_after(epochs: int, spec: str, overrides: Sequence[str], *, folder: Path, path: Sequence[Path] = ()) -> None:
    """Run a sweep from a folder, in a process that ends at once after so many epochs, as if it were killed.

    Args:
        path: folders with installed packages.
    """
    script = KILL.format(epochs=epochs, spec=spec, overrides=[*overrides])
    killed = subprocess.run([sys.executable, "-c", script], cwd=folder, env=environment(*path), capture_output=True)
    if killed.returncode != 9:
        raise RuntimeError(killed.stderr.decode())


def promoted(folder: Path, spec: str) -> str | None:
    """Run a sweep in a folder to its end, `sweep.yaml` in its `store`; the model that is champion then."""
    (folder / "sweep.yaml").write_text(spec)
    return vae_search.run(folder / "sweep.yaml", store=folder / "store", inline=True).champion


def searched_again(folder: Path) -> None:
    """Go on with the search of a sweep that was killed in a folder; nothing is confirmed or promoted."""
    only_search = ["promote=null", "confirm.finalists=0"]
    vae_search.run(folder / "sweep.yaml", store=folder / "store", inline=True, overrides=only_search)


def results(rows: Sequence[TrialRow]) -> list[dict[str, object]]:
    """All of the rows that does not depend on when and how fast they were trained."""
    return [{name: getattr(row, name) for name in row.__dataclass_fields__ if name not in COSTS} for row in rows]


def environment(*path: Path) -> dict[str, str]:
    """Environment of a process that finds this package, and those in `path`."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [ROOT, *path]))}
