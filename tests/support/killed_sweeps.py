"""Sweeps in one process that die in the middle of a training, and what of their rows must not show it."""

import os
import signal
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
import os, signal, sys
from vae_search.cli.app import main
from vae_search.search.worker.trial_runner import TrialRunner
save, trained = TrialRunner._save_if_due, []
def counted(runner, *given):
    trained.append(given)
    if len(trained) > {epochs}:
        os.kill(os.getpid(), signal.SIGKILL)
    save(runner, *given)
TrialRunner._save_if_due = counted
sys.argv = ["vae-search", "run", {spec!r}, "--store", "store", "--inline", *{arguments!r}]
main()
"""


def killed_after(epochs: int, spec: str, overrides: Sequence[str], *, folder: Path, path: Sequence[Path] = ()) -> None:
    """`vae-search run` from a folder, killed in the epoch after so many: when that is trained, and not saved.

    Args:
        epochs: of this process, over all trials and confirm runs.
        path: folders with installed packages.
    """
    arguments = [part for each in overrides for part in ("--set", each)]
    script = KILL.format(epochs=epochs, spec=spec, arguments=arguments)
    killed = subprocess.run([sys.executable, "-c", script], cwd=folder, env=environment(*path), capture_output=True)
    if killed.returncode != -signal.SIGKILL:
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
