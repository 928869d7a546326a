"""Sweeps on a real Ray cluster with a token: submitted, followed, stopped, continued; and what happens to its nodes.

The cluster is cluster/local.sh's: a head without trials and two worker nodes on this machine.
"""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.cluster_sweeps import active, nodes_in_use, ray_nodes_of, rows, saved, write_spec
from tests.support.local_cluster import LocalCluster, command, facts, local_cluster, until
from vae_search.data.formats.published.idx import read_idx_folder
from vae_search.runtime.cluster.job_package import store_digest
from vae_search.store import paths as store_paths
from vae_search.store.paths import SweepPaths

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

# Few images and epochs: seeds differ by more than the usual limits allow.
LIMITS = "{seed_spread: 100, generalisation: 1.0, shuffle_gap: 0.0, regression: 500, learned: 0.01}"


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with local_cluster("2") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, fashion_mnist_path: Path) -> Path:
    """A slice of Fashion-MNIST that only the client has."""
    train = read_idx_folder(fashion_mnist_path).train
    file = tmp_path_factory.mktemp("images") / "slice.npy"
    np.save(file, train[:2000])
    return file


def test_a_sweep_outlives_its_client_is_stopped_and_continues(cluster: LocalCluster, images: Path, tmp_path: Path):
    spec = write_spec(
        tmp_path,
        "fashion",
        images,
        trials=8,
        epochs=40,
        finalists=1,
        more=f"promote: {{model: slice, limits: {LIMITS}}}",
    )
    to = ("--address", cluster.address, "--store", tmp_path / "store")
    client = cluster.client(tmp_path, "submit", spec, *to, "--upload-data", "--follow")
    for line in client.stdout:
        if line.startswith("trial"):
            break
    client.send_signal(signal.SIGKILL)
    client.communicate()

    status = facts(cluster.vae_search(tmp_path, "status", "fashion", "--store", tmp_path / "store", "--json"))
    again = cluster.vae_search(tmp_path, "submit", spec, *to, "--upload-data", "--json")
    cluster.vae_search(tmp_path, "stop", "fashion", "--address", cluster.address)
    stopped = cluster.vae_search(tmp_path, "logs", "fashion", "--address", cluster.address, "--follow", code=None)
    before = rows(tmp_path, "fashion")
    done = cluster.vae_search(tmp_path, "submit", spec, *to, "--upload-data", "--follow")

    assert status[0]["state"] == "running"
    name = f"fashion-{store_digest(str(tmp_path / 'store'))}"
    assert json.loads(again.stdout)["submission_id"] == f"{name}-l1-a1"
    jobs = facts(cluster.vae_search(tmp_path, "status", "fashion", "--address", cluster.address, "--json"))
    assert [job["submission_id"] for job in jobs] == [f"{name}-l2-a1", f"{name}-l1-a1"]
    assert [job["status"] == "SUCCEEDED" for job in jobs] == [True, False]
    assert stopped.returncode == 130
    assert "nothing is lost" in stopped.stdout
    assert before  # all eight where the stop fell among the confirm runs
    after = rows(tmp_path, "fashion")
    assert sorted(after) == list(range(8))
    assert all(after[trial] == row for trial, row in before.items())
    assert len({row.node_id for row in after.values()}) == 2
    assert "is now slice:1, the champion of slice" in done.stdout
    best = facts(cluster.vae_search(tmp_path, "best", "fashion", "--store", tmp_path / "store", "--json"))
    assert best[0]["confirmed"]["seeds"] == 3


ELSEWHERE = """
import sys
import numpy as np, ray
from vae_search.errors import CorruptStore
from vae_search.runtime.remote_object import on_worker_node
from vae_search.spec.sections import Resources

class Probe:
    def __init__(self, images):
        self.images = images
    def where(self, text):
        return ray.get_runtime_context().get_node_id(), text + str(self.images.sum())
    def damaged(self):
        raise CorruptStore("is damaged.", path="a/b.json")

with on_worker_node(Probe, np.ones(2_000_000, np.uint8), address=sys.argv[1], resources=Resources()) as call:
    node, text = call("where", "sum ")
    (head,) = [each["NodeID"] for each in ray.nodes() if not each["Resources"].get("CPU")]
    try:
        call("damaged")
    except CorruptStore as error:
        print(node != head, text, error.path, error)
"""


def test_what_takes_long_is_computed_on_a_worker_node_and_not_on_the_head(cluster: LocalCluster, tmp_path: Path):
    done = subprocess.run(
        [*command()[:1], "-c", ELSEWHERE, cluster.gcs_address],
        env=cluster.environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert done.stdout == "True sum 2000000 a/b.json a/b.json: is damaged.\n", done.stderr


def test_a_trial_goes_on_where_its_node_was_lost_and_a_new_node_trains(cluster: LocalCluster, tmp_path: Path):
    spec = write_spec(tmp_path, "nodes", "digits", trials=8, epochs=800)  # long enough for a node to join
    to = ("--address", cluster.address, "--store", tmp_path / "store")
    cluster.vae_search(tmp_path, "submit", spec, *to)
    until(lambda: len(nodes_in_use(tmp_path, "nodes")) == 2 and saved(tmp_path, "nodes") == 2, "both nodes to train")
    lost = ray_nodes_of(cluster, "worker-1", tmp_path, "nodes")

    cluster.kill("worker-1")
    assert cluster.local("add").returncode == 0
    until(lambda: len(nodes_in_use(tmp_path, "nodes")) == 3, "the new node to train")
    until(lambda: not active(cluster, "nodes"), "the end of the sweep", patience_s=400)

    after = rows(tmp_path, "nodes")
    assert sorted(after) == list(range(8))
    moved = [row for row in after.values() if row.attempts > 1]
    assert len(moved) == 1
    assert moved[0].node_id[:8] not in lost
    log = "".join(file.read_text() for file in (tmp_path / "store" / SweepPaths("nodes").logs).glob("worker-*.log"))
    assert f"run {store_paths.trial_key(moved[0].trial)} continues after epoch" in log


@pytest.mark.exhaustive
def test_a_sweep_that_waits_for_anothers_slots_has_its_time_and_asks_for_nothing_blindly(
    cluster: LocalCluster, tmp_path: Path
):
    to = ("--address", cluster.address, "--store", tmp_path / "store")
    first = write_spec(tmp_path, "first", "digits", trials=8, epochs=20_000)
    second = write_spec(tmp_path, "second", "digits", trials=3, epochs=3)
    cluster.vae_search(tmp_path, "submit", first, *to)
    until(lambda: saved(tmp_path, "first") == 2, "the first sweep to hold both slots")

    cluster.vae_search(tmp_path, "submit", second, *to, "--set", "budget.minutes=0.5")
    waiting_since_s = time.monotonic()
    until(lambda: time.monotonic() - waiting_since_s > 35, "the budget's half minute to pass")
    suggested = len(list((tmp_path / "store" / SweepPaths("second").running).iterdir()))
    cluster.vae_search(tmp_path, "stop", "first", "--address", cluster.address)
    done = cluster.vae_search(tmp_path, "logs", "second", "--address", cluster.address, "--follow")

    assert suggested == 1
    assert "trial 2 COMPLETE" in done.stdout
    assert sorted(rows(tmp_path, "second")) == [0, 1, 2]


@pytest.mark.exhaustive
def test_a_driver_that_starts_before_its_workers_waits_for_them(tmp_path: Path):
    with local_cluster("0") as empty:
        spec = write_spec(tmp_path, "early", "digits", trials=1)
        run = ("run", spec, "--address", empty.gcs_address, "--store", tmp_path / "store")

        refused = empty.vae_search(tmp_path, *run, code=4)
        driver = empty.client(tmp_path, *run, "--wait-for-nodes", 120)
        for line in driver.stdout:
            if line.startswith("waiting up to 120 s for a node"):
                break
        assert empty.local("add").returncode == 0
        driver.communicate()

    assert "the largest node has 0 CPUs" in refused.stderr
    assert driver.returncode == 0
    assert sorted(rows(tmp_path, "early")) == [0]


@pytest.mark.exhaustive
def test_a_planned_sweep_waits_for_the_first_worker_before_it_measures_the_speed(tmp_path: Path):
    with local_cluster("0") as empty:
        spec = write_spec(tmp_path, "planned", "digits")
        run = ("run", spec, "--address", empty.gcs_address, "--store", tmp_path / "store")
        driver = empty.client(tmp_path, *run, "--set", "budget={minutes: 0.5}", "--wait-for-nodes", 120)
        for line in driver.stdout:
            if line.startswith("waiting up to 120 s for a node"):
                break
        assert not rows(tmp_path, "planned")
        assert empty.local("add").returncode == 0
        said, _ = driver.communicate()

    assert driver.returncode == 0, said
    assert rows(tmp_path, "planned")


def test_what_cannot_work_is_said_at_once(cluster: LocalCluster, tmp_path: Path):
    spec = write_spec(tmp_path, "never", "digits")
    to = ("submit", spec, "--store", tmp_path / "store", "--address")
    cases = [
        ((*to, cluster.address, "--set", "resources.cpus_per_trial=2"), 4, "the largest node has 1 CPU, a trial needs"),
        ((*to, "http://127.0.0.1:1"), 4, "no Ray cluster can be reached there"),
        (("submit", spec, "--store", "store", "--address", cluster.address), 2, "a folder that all nodes share"),
        (("submit", spec, "--store", "/proc/none", "--address", cluster.address), 7, "/proc/none"),
        (("stop", "nothing", "--address", cluster.address), 2, "knows no job of sweep 'nothing'"),
        (("stop", "never", "--address", cluster.address), 2, "has ended: FAILED"),
    ]
    for words, code, said in cases:
        done = cluster.vae_search(tmp_path, *words, code=code)
        assert said in done.stderr, done.stderr
        assert len(done.stderr.strip().splitlines()) <= 3, done.stderr
    assert not (tmp_path / "store").exists()
