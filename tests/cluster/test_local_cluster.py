"""cluster/local.sh for real: who gets in, what the doctor finds, and that nothing is left."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from vae_search.errors import ClusterTrouble
from vae_search.search.reach import cluster_nodes, reach

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.ray


def local(state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "cluster" / "local.sh"), *words],
        env=environment(VAE_SEARCH_LOCAL_CLUSTER=str(state), PYTHON=sys.executable),
        capture_output=True,
        text=True,
        check=False,
    )


def environment(**more: str) -> dict[str, str]:
    """This process's, without what it knows of other clusters."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "VAE_SEARCH_"))}
    return kept | {"PYTHONPATH": str(ROOT)} | more


def processes_of(state: Path) -> list[str]:
    mark = f"VAE_SEARCH_LOCAL_NODE={state}/".encode()
    found = []
    for file in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in file.read_bytes():
                found.append(file.parent.name)
        except OSError:
            continue  # it has ended meanwhile, or is somebody else's
    return found


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="vlc-"))
    done = local(folder, "up", "2")
    assert done.returncode == 0, done.stderr
    try:
        yield folder
    finally:
        local(folder, "down")
        shutil.rmtree(folder, ignore_errors=True)


def test_a_client_with_the_token_gets_in_and_no_other(state: Path):
    address = (state / "dashboard-address").read_text().strip()
    token = (state / "token").read_text()

    assert (state / "token").stat().st_mode & 0o777 == 0o600
    assert reach(address, token=token).auth == "token"
    assert [(node.head, node.cpus) for node in cluster_nodes(address, token=token)] == [(True, 0)] + [(False, 1)] * 2
    with pytest.raises(ClusterTrouble, match="wants a token"):
        reach(address, token=None)
    with pytest.raises(ClusterTrouble, match="refuses the token"):
        reach(address, token=token[::-1])
    gcs = (state / "gcs-address").read_text().strip()
    with pytest.raises(ClusterTrouble, match="not in HTTP"):
        reach(f"http://{gcs}", token=token)


def test_rays_own_client_sees_three_nodes(state: Path):
    code = f"import ray; ray.init({(state / 'gcs-address').read_text().strip()!r}); print(len(ray.nodes()))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(state / "token")),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[-1] == "3"


def test_the_doctor_asks_every_node(state: Path, tmp_path: Path):
    cluster = ("--address", (state / "dashboard-address").read_text().strip())
    done = subprocess.run(
        [sys.executable, "-m", "vae_search.cli", "doctor", "--json", "--store", str(tmp_path / "store"), *cluster],
        env=environment(RAY_AUTH_TOKEN_PATH=str(state / "token")),
        capture_output=True,
        text=True,
        check=False,
    )
    checks = {check["name"]: check for check in json.loads(done.stdout)}

    assert done.returncode == 0, done.stdout
    assert checks["room"]["found"] == "2 nodes × 1 CPU: 2 trials of 1 CPU at once"
    assert checks["nodes"]["found"] == "3 answer"
    assert checks["store of the nodes"]["found"] == "the same, and writable, on 3 of 3 nodes"


def test_up_twice_is_refused_and_down_leaves_nothing(state: Path):
    assert "is up already" in local(state, "up").stderr
    ray_folder = Path((state / "ray-folder").read_text().strip())
    assert processes_of(state)

    done = local(state, "down")

    assert done.returncode == 0, done.stderr
    assert processes_of(state) == []
    assert not state.exists()
    assert not ray_folder.exists()
    assert "no cluster is up" in local(state, "down").stderr
