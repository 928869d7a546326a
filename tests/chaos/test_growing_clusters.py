"""A cluster that Ray's autoscaler grows from nothing to four nodes and back, again and again, with drivers killed.

One such growth, to two nodes, is in `make test`: tests/integration/test_growing_cluster.py.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.campaign import SHARE, chance, count
from tests.chaos.invariants import Seen, check_invariants, seen
from tests.support.autoscaled_cluster import autoscaled_cluster
from tests.support.cluster_sweeps import rows, write_spec
from tests.support.local_cluster import LocalCluster, until
from vae_search.core.trial_state import State
from vae_search.runtime.cluster.connectivity import cluster_nodes
from vae_search.store.backends.uri import open_store

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(not SHARE, reason="takes minutes: make chaos"),
]

NODES, TRIALS, EPOCHS = 4, 12, 120


@pytest.mark.parametrize("version", [1, 2])
def test_a_cluster_grows_for_a_sweep_and_shrinks_whether_its_driver_ends_or_dies(version: int, tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    killed = 0
    with autoscaled_cluster(max_workers=NODES, version=version) as cluster:
        for number in range(count(2, 6)):
            random = chance(f"growth, autoscaler {version}", number)
            name = f"grown-{number}"
            spec = write_spec(tmp_path, name, "digits", trials=TRIALS, epochs=EPOCHS)
            run = ("run", spec, "--address", cluster.gcs_address, "--store", tmp_path / "store")
            before = Seen(rows={})
            if number % 2:
                driver = cluster.client(tmp_path, *run)
                wanted = random.randint(1, NODES)
                until(lambda wanted=wanted: workers(cluster) >= wanted, f"{wanted} nodes")
                time.sleep(random.uniform(0, 5))
                driver.kill()
                driver.communicate()
                killed += 1
                before = seen(store, name)
                print(f"driver killed with {workers(cluster)} nodes and {len(before.rows)} rows; ", end="")
                gone_s = seconds_until(lambda: workers(cluster) == 0, "the nodes to go without a driver")
                print(f"no node after {gone_s:.0f} s")

            driver = cluster.client(tmp_path, *run)
            grown_s = seconds_until(lambda: workers(cluster) >= NODES, f"{NODES} nodes")
            printed, _ = driver.communicate()
            assert driver.returncode == 0, printed
            gone_s = seconds_until(lambda: workers(cluster) == 0, "the nodes to go")

            print(f"{NODES} nodes after {grown_s:.0f} s, none {gone_s:.0f} s after the end")
            assert "the largest node has" not in printed
            check_invariants(store, name, before, shown=[], trials=TRIALS, finished=True)
            found = rows(tmp_path, name).values()
            assert {row.state for row in found} == {State.COMPLETE}
            assert len({row.node_id for row in found}) >= NODES
    print(f"autoscaler {version}: {count(2, 6)} sweeps from nothing to {NODES} nodes and back; {killed} drivers killed")


def workers(cluster: LocalCluster) -> int:
    return sum(not node.head for node in cluster_nodes(cluster.address, token=cluster.token))


def seconds_until(happened: Callable[[], bool], what: str) -> float:
    """How long something takes to become true."""
    begun_s = time.monotonic()
    until(happened, what)
    return time.monotonic() - begun_s
