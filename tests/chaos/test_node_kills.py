"""Nodes of a cluster are killed whole, again and again, while it serves sweeps; a new one joins after each kill.

One such kill is in `make test`: tests/integration/test_cluster.py.
"""

import re
import time
from pathlib import Path

import pytest

from tests.chaos.campaign import SHARE, chance, count
from tests.chaos.sweeps import NOTHING, Sweep
from tests.support.cluster_sweeps import active, ray_nodes_of, write_spec
from tests.support.local_cluster import LocalCluster, local_cluster, until
from vae_search.core.trial_state import State
from vae_search.store.ledger.trials import Ledger

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(not SHARE, reason="takes minutes: make chaos"),
]

TRIALS, EPOCHS = 12, 600  # a trial outlives the start of a node, so that most kills hit one in the middle
MORE = "max_retries: 20"


def test_nodes_that_are_killed_cost_no_trial_and_make_no_failure(tmp_path: Path) -> None:
    kills, wanted, sweeps, worst_s, interrupted = 0, count(1, 10), 0, 0.0, 0
    with local_cluster("2") as cluster:
        nodes = ["worker-1", "worker-2"]
        while kills < wanted:
            random = chance("node kill -9", sweeps)
            sweep = Sweep(folder=tmp_path, name=f"nodes-{sweeps}", trials=TRIALS)
            sweeps += 1
            spec = write_spec(tmp_path, sweep.name, "digits", trials=TRIALS, epochs=EPOCHS, more=MORE)
            cluster.vae_search(tmp_path, "submit", spec, "--address", cluster.address, "--store", tmp_path / "store")
            now, had_checkpoints, before = NOTHING, dict[int, int](), kills
            while kills < wanted and all_train(cluster, nodes, sweep):
                time.sleep(random.uniform(0, 8))
                node = random.choice(nodes)
                lost_s = unsaved_s(cluster, node, sweep)

                cluster.kill(node)

                kills += 1
                worst_s = max(worst_s, lost_s)
                saved = sweep.saved_epochs()
                sweep.shown = shown(cluster, sweep)
                now = sweep.check(now, finished=False)
                print(f"kill {kills}, {node}: {len(now.rows)} rows; {lost_s:.1f} s lost; saved: {saved}")
                had_checkpoints |= {trial: sweep.starts[trial] for trial in saved}
                nodes = [*(other for other in nodes if other != node), add_node(cluster)]
            sweep.shown = shown(cluster, sweep, "--follow")
            sweep.check(now, finished=True)
            rows = Ledger(sweep.store, sweep.name).trials()
            assert {row.state for row in rows} == {State.COMPLETE}
            again = {trial: n for trial, n in had_checkpoints.items() if sweep.starts[trial] > n}
            assert not again, f"begun from nothing in spite of a checkpoint: {sorted(again)}"
            assert sorted(sweep.shown) == list(range(TRIALS))
            attempts = {row.trial: row.attempts for row in rows if row.attempts > 1}
            # A node has one CPU, so a kill interrupts one trial, or none when it hits the moment between two.
            assert sum(attempts.values()) - len(attempts) <= kills - before
            interrupted += sum(attempts.values()) - len(attempts)
            print(f"attempts by trial: {attempts}")
    print(
        f"{kills} kills of nodes in {sweeps} sweeps, {interrupted} in mid-trial; at most {worst_s:.1f} s of a trial's "
        "training lost"
    )
    assert interrupted


def all_train(cluster: LocalCluster, nodes: list[str], sweep: Sweep) -> bool:
    """Wait until every node has a worker that has begun with a trial; False if the sweep ends before."""

    def settled() -> bool:
        return training() or not active(cluster, sweep.name)

    def training() -> bool:
        return all(ray_nodes_of(cluster, node, sweep.folder, sweep.name) for node in nodes)

    until(settled, "all nodes to train, or the end of the sweep")
    return training() and active(cluster, sweep.name)


def unsaved_s(cluster: LocalCluster, node: str, sweep: Sweep) -> float:
    """For how long the trial on a node has trained since its newest checkpoint."""
    ids = ray_nodes_of(cluster, node, sweep.folder, sweep.name)
    return max((sweep.unsaved_s(node=ray_node) for ray_node in ids), default=0.0)


def add_node(cluster: LocalCluster) -> str:
    """The name of a node that has joined."""
    before = set((cluster.state / "nodes").iterdir())
    done = cluster.local("add")
    assert done.returncode == 0, done.stderr
    (new,) = set((cluster.state / "nodes").iterdir()) - before
    return new.name


def shown(cluster: LocalCluster, sweep: Sweep, *options: str) -> list[int]:
    """The trials that the driver has reported as finished so far, or until it ends."""
    done = cluster.vae_search(sweep.folder, "logs", sweep.name, "--address", cluster.address, *options)
    return [int(trial) for trial in re.findall(r"^trial (\d+) [A-Z]+: .*\n", done.stdout, re.MULTILINE)]
