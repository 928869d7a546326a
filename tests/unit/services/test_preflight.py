"""What the doctor says about facts, and how the command ends. The doctor of a real cluster: test_local_cluster.py."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.support.command_line import vae_search
from tests.support.dashboards import http_server
from tests.support.paths import ROOT
from vae_search.errors import ClusterTrouble
from vae_search.runtime.cluster.connectivity import MODE, VERSION, ClusterFacts
from vae_search.runtime.cluster.node_check import JOBS, NodeReport, ask_nodes
from vae_search.runtime.cluster.node_check_script import look_around
from vae_search.runtime.cluster.preflight_checks import (
    Area,
    check_auth_mode,
    check_capacity,
    check_clock,
    check_cluster,
    check_gpus,
    check_nodes,
    check_space,
    check_store_of_nodes,
    check_token,
    check_versions,
)
from vae_search.runtime.cluster.token import Token
from vae_search.search.capacity import NodeCapacity
from vae_search.spec.sections import Resources

HERE = {"vae-search": "0.1.0", "ray": "2.60.0", "tensorflow": "2.21.0"}


def node(cpus: int, gpus: int = 0) -> NodeCapacity:
    return NodeCapacity(node_id="n", resources={"CPU": float(cpus), "GPU": float(gpus)})


def report(**changed: object) -> NodeReport:
    facts = {"trouble": None, "python": "3.11.7", "versions": HERE, "clock_off_s": 0.0, "store_trouble": None}
    return NodeReport(node_id="0123456789", **(facts | changed))


@pytest.mark.parametrize(
    ("nodes", "cpus", "gpus", "found"),
    [
        ([node(0), node(1), node(1)], 1, 0, "2 nodes × 1 CPU: 2 trials of 1 CPU at once"),
        ([node(3), node(3)], 2, 0, "2 nodes × 3 CPUs: 2 trials of 2 CPUs at once"),  # six CPUs, but not on one node
        ([node(8, 2), node(4)], 1, 1, "1 node × 4 CPUs + 1 node × 8 CPUs, 2 GPUs: 2 trials of 1 CPU, 1 GPU at once"),
        ([node(1)], 2, 0, "1 node × 1 CPU: 0 trials of 2 CPUs at once"),
        ([node(0)], 1, 0, "no node with CPUs for trials: 0 trials of 1 CPU at once"),
    ],
)
def test_room_is_counted_node_by_node(nodes, cpus, gpus, found):
    check = check_capacity(nodes, Resources(cpus_per_trial=cpus, gpus_per_trial=gpus))

    assert check.found == found
    assert check.ok == (": 0 trials" not in found)
    assert check.ok == (check.remedy == "")


def test_a_node_that_an_autoscaler_did_not_bring_is_trouble_with_where_to_look():
    check = check_capacity([node(0)], Resources(), waited_s=1200)

    assert not check.ok
    assert "None came within 1200 s: `ray status` on the head says" in check.remedy


def test_a_token_that_others_can_read_is_trouble():
    token = Token(value="t", came_from="/home/me/token", path=Path("/home/me/token"))

    assert check_token(token, file_mode=0o100600).ok
    for mode in (0o100640, 0o100604, 0o100620):
        assert check_token(token, file_mode=mode).remedy == "chmod 600 /home/me/token"


def test_ray_told_to_show_no_token_is_trouble_where_one_is_wanted():
    facts = ClusterFacts(address="http://h:1", ray_version="2.60.0", auth="token", ahead_s=None)

    assert not check_auth_mode(facts, mode="disabled").ok
    assert check_auth_mode(facts, mode="token").ok
    assert check_auth_mode(facts, mode=None).ok


@pytest.mark.parametrize(
    ("address", "auth", "warned"),
    [
        ("http://10.0.0.5:8265", "token", True),
        ("http://head:8265", "token", True),
        ("https://head:8265", "token", False),
        ("http://127.0.0.1:8265", "token", False),
        ("http://localhost:8265", "token", False),
        ("http://127.0.0.1:8265", "disabled", False),
    ],
)
def test_a_token_that_goes_unencrypted_to_another_machine_is_warned_of(address, auth, warned):
    check = check_cluster(ClusterFacts(address=address, ray_version="2.60.0", auth=auth, ahead_s=None))

    assert check.ok
    assert ("plain http" in check.found) is warned
    assert ("ssh -L" in check.remedy) is warned


def test_nodes_that_differ_are_named():
    other = report(versions=HERE | {"tensorflow": "2.20.0"})
    without = report(versions=HERE | {"vae-search": None})

    assert [check.ok for check in check_nodes([report(), report()], here=HERE)] == [True, True]
    assert check_nodes([report(), other], here=HERE)[1].found == "tensorflow 2.20.0 on node 01234567"
    assert check_nodes([without], here=HERE)[1].found == "vae-search missing on node 01234567"
    assert not check_nodes([report(trouble="no answer for 40 s")], here=HERE)[0].ok
    assert not check_nodes([report(clock_off_s=31.0)], here=HERE)[2].ok
    assert not check_nodes([], here=HERE)[0].ok


@pytest.mark.parametrize(
    ("seen", "wanted", "ok", "found"),
    [
        (("NVIDIA L4",), 0.25, True, "1 × NVIDIA L4"),
        ((), 0.25, False, "node 01234567 has 1 for Ray, and none for its TensorFlow"),
        ((), 0, True, "node 01234567 has 1 for Ray, and none for its TensorFlow"),  # no trial will miss it
    ],
)
def test_every_node_is_asked_whether_its_tensorflow_sees_the_gpus_that_ray_counts(seen, wanted, ok, found):
    (check,) = check_gpus([report(), report(gpus=1.0, gpus_seen=seen)], Resources(gpus_per_trial=wanted))

    assert (check.ok, check.found) == (ok, found)
    assert check.ok == (check.remedy == "")


def test_a_cluster_without_gpus_is_not_asked_for_them():
    assert check_gpus([report()], Resources()) == []


@pytest.mark.needs_tensorflow
def test_a_node_whose_tensorflow_sees_no_gpu_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")

    found = look_around(None, None, 1.0)

    assert found["gpus"] == 1.0
    if shutil.which("nvidia-smi") is None:
        assert found["gpus_seen"] == []


def test_a_store_that_a_node_does_not_see_is_the_stores_trouble():
    assert check_store_of_nodes([report(), report()]).found == "the same, and writable, on 2 of 2 nodes"
    check = check_store_of_nodes([report(), report(store_trouble="is another one here")])
    assert (check.ok, check.area, check.found) == (False, Area.STORE, "on node 01234567: is another one here")


def test_thresholds():
    assert check_space(3e9, 50e9, where="x", area=Area.STORE).ok
    assert not check_space(1e9, 2e9, where="x", area=Area.STORE).ok
    assert not check_space(10e9, 1000e9, where="x", area=Area.CLUSTER).ok  # more than 95 % used: Ray refuses
    assert check_clock(-29.0, whose="cluster", area=Area.CLUSTER).ok
    assert not check_clock(-31.0, whose="cluster", area=Area.CLUSTER).ok
    assert not check_versions({"ray": None}, python="3.11").ok


@pytest.mark.parametrize(
    ("log", "says"),
    [
        ("python: No module named vae_search", "has no vae-search"),
        ("Traceback\nOSError: something else\n", "OSError: something else"),
        ("vae-search-nodes: {broken", "does not understand"),
        ("", "said nothing"),
    ],
)
def test_a_probe_that_fails_is_explained(log, says, monkeypatch):
    monkeypatch.setattr("vae_search.runtime.cluster.node_check.secrets.token_hex", lambda _: "0")
    job = f"{JOBS}vae-search-doctor-0"
    with (
        http_server({JOBS: {}, job: {"status": "FAILED"}, f"{job}/logs": {"logs": log}}) as port,
        pytest.raises(ClusterTrouble, match=says),
    ):
        ask_nodes(f"http://127.0.0.1:{port}", token=None, store=None, note=None, resources=Resources())


def doctor(*arguments: str, home: Path, **environment: str) -> tuple[int, list[dict[str, object]]]:
    done = vae_search("doctor", "--json", *arguments, folder=home, HOME=str(home), **environment)
    assert b"Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)


def test_the_command_ends_with_what_is_in_trouble(tmp_path: Path):
    code, checks = doctor("--store", str(tmp_path / "store"), home=tmp_path)
    assert (code, {check["ok"] for check in checks}) == (0, {True})
    assert not list((tmp_path / "store").glob("probes/*"))

    (tmp_path / "file").touch()
    code, checks = doctor("--store", str(tmp_path / "file"), home=tmp_path)
    assert (code, [check["name"] for check in checks if not check["ok"]]) == (7, ["store"])

    code, checks = doctor("--store", str(tmp_path / "file"), "--address", "http://127.0.0.1:1", home=tmp_path)
    assert (code, [check["name"] for check in checks if not check["ok"]]) == (4, ["store", "cluster"])


def test_a_token_file_open_to_all_is_found(tmp_path: Path):
    token = tmp_path / "token"
    token.write_text("t")
    token.chmod(0o644)

    code, checks = doctor(home=tmp_path, RAY_AUTH_TOKEN_PATH=str(token))

    assert (code, [check["remedy"] for check in checks if not check["ok"]]) == (4, [f"chmod 600 {token}"])


def test_a_store_in_a_bucket_is_tried_out(s3_location: str, tmp_path: Path):
    environment = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "NO_PROXY"))}
    assert doctor("--store", s3_location, home=tmp_path, **environment)[0] == 0
    assert doctor("--store", s3_location.replace("s3://", "s3://no-"), home=tmp_path, **environment)[0] == 7


def test_hostile_words_of_a_cluster_are_shown_as_text(tmp_path: Path):
    version = {"ray_version": "2.9\x1b[31m[red]"}
    with http_server({MODE: {"authentication_mode": "disabled"}, VERSION: version}) as port:
        done = vae_search("doctor", "--address", f"http://127.0.0.1:{port}", folder=tmp_path, HOME=str(tmp_path))
    assert done.returncode == 4
    assert b"[red]" in done.stdout
    assert b"\x1b" not in done.stdout + done.stderr
