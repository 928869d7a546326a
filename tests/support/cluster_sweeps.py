"""Small sweeps for clusters: their specs, and facts of their stores and logs."""

from pathlib import Path

from tests.support.local_cluster import LocalCluster
from vae_search.runtime.cluster.jobs import Jobs
from vae_search.store.backends.uri import open_store
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths

# Real images where they are to be had, few of them: seeds differ by more than the usual limits allow.
SWEEP = """
name: {name}
data: {{source: {source}, validation: 400, test: 200}}
search_space:
  latent_dim: {{type: int, low: 7, high: 12}}
  learning_rate: {{type: float, low: 2e-3, high: 4e-3}}
  depth: 1
  width: 64
  batch_size: 32
budget: {{trials: {trials}, epochs: {epochs}}}
pruning: off
confirm: {{finalists: {finalists}, seeds: 3}}
checkpoint_s: 0.5
{more}
"""


def write_spec(folder: Path, name: str, source: object, **changes: object) -> Path:
    values = {"trials": 6, "epochs": 6, "finalists": 0, "more": ""} | changes
    spec = folder / f"{name}.yaml"
    spec.write_text(SWEEP.format(name=name, source=source, **values))
    return spec


def rows(folder: Path, name: str) -> dict[int, TrialRow]:
    return {row.trial: row for row in Ledger(open_store(str(folder / "store")), name).trials()}


def nodes_in_use(folder: Path, name: str) -> set[str]:
    """The first digits of the nodes whose workers have written a log."""
    logs = folder / "store" / SweepPaths(name).logs
    return {file.name.split("-")[1] for file in logs.glob("worker-*.log")}


def saved(folder: Path, name: str) -> int:
    """Number of running trials that have a checkpoint."""
    running = folder / "store" / SweepPaths(name).running
    return len({file.parts[-4] for file in running.glob("*/*/checkpoint-*/manifest.json")})


def active(cluster: LocalCluster, name: str) -> bool:
    return Jobs(cluster.address, token=cluster.token).newest(name).active


def ray_nodes_of(cluster: LocalCluster, node: str, folder: Path, name: str) -> set[str]:
    """The first digits of the Ray node that a node of local.sh is, by the processes that have logged."""
    pids = {str(pid) for pid in cluster.processes(node)}
    logs = folder / "store" / SweepPaths(name).logs
    return {file.name.split("-")[1] for file in logs.glob("worker-*.log") if file.stem.split("-")[2] in pids}
