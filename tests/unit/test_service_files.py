"""Files of cluster/ that run the service, against those who read them and against our command line."""

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import typer
from ruamel.yaml import YAML

from tests.support.paths import ROOT
from vae_search.cli.app import app
from vae_search.server.http_server import trusted_names

CLUSTER = ROOT / "cluster"
UNIT = CLUSTER / "systemd" / "vae-search.service"
COMPOSE = CLUSTER / "compose.yaml"
KUBERNETES = CLUSTER / "kubernetes" / "service.yaml"
SCHEMAS = ROOT / "tests" / "fixtures" / "schemas"


def served(words: list[str]) -> dict[str, Any]:
    """Parameters of `vae-search serve`, as our command line takes them."""
    assert words[0].rpartition("/")[2] == "vae-search"
    assert words[1] == "serve"
    group = typer.main.get_command(app)
    command = group.get_command(click.Context(group), "serve")
    return command.make_context("serve", words[2:]).params


def may_listen(params: dict[str, Any]) -> frozenset[str]:
    return trusted_names(params["host"], trusted=params["trusted"] or (), has_tokens=params["tokens"] is not None)


def documents() -> tuple[dict, dict]:
    deployment, service = YAML(typ="safe", pure=True).load_all(KUBERNETES.read_text())
    return deployment, service


@pytest.fixture
def settings() -> dict[str, str]:
    lines = [line for line in UNIT.read_text().splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_the_unit_starts_what_our_command_line_takes(settings):
    params = served(shlex.split(settings["ExecStart"].replace("%h", "/home/ada")))

    assert "localhost" in may_listen(params)
    assert str(params["tokens"]) == "/home/ada/.config/vae-search/tokens.json"
    assert settings["KillMode"] == "mixed", "drivers must not get the signal twice"
    assert int(settings["TimeoutStopSec"]) > 60
    assert (settings["NoNewPrivileges"], settings["UMask"]) == ("yes", "0077")


def test_systemd_takes_the_unit(tmp_path: Path, settings):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    program = tmp_path / "vae-search"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("%h/.venv/bin/vae-search", str(program)))

    done = subprocess.run(
        [analyze, "verify", "--user", "--man=no", str(unit)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )

    said = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert said == []
    assert done.returncode == 0, done.stderr


def test_the_pods_serve_what_our_command_line_takes_and_probes_ask_by_a_trusted_name():
    deployment, service = documents()
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    names = may_listen(served(container["command"]))

    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        request = container[probe]["httpGet"]
        (host,) = [header["value"] for header in request["httpHeaders"] if header["name"] == "Host"]
        assert host in names
        assert request["path"] == ("/readyz" if probe == "readinessProbe" else "/healthz")
    assert service["metadata"]["name"] in names
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert service["spec"]["selector"].items() <= labels.items()
    assert service["spec"]["ports"][0]["targetPort"] in [port["name"] for port in container["ports"]]


def test_the_pods_run_without_rights_and_on_a_file_system_that_is_read_only():
    pod = documents()[0]["spec"]["template"]["spec"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    for container in (*pod["containers"], *pod["initContainers"]):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= container["resources"]["limits"].keys()
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted <= {volume["name"] for volume in pod["volumes"]}
    assert "tokens.json" not in json.dumps([container.get("env") for container in pod["containers"]])


def test_the_composed_service_is_what_our_command_line_takes_and_is_reached_from_this_machine_alone():
    composed = YAML(typ="safe", pure=True).load(COMPOSE.read_text())
    service = composed["services"]["service"]
    params = served(service["command"])

    assert {"127.0.0.1", "localhost"} <= may_listen(params)
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert (COMPOSE.parent / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    assert "web" in service["build"]["args"]["EXTRAS"].split(",")
    assert service["read_only"] is True
    assert {volume.partition(":")[0] for volume in service["volumes"]} == composed["volumes"].keys()
    code = service["healthcheck"]["test"][-1]
    compile(code, "healthcheck", "exec")
    assert f"127.0.0.1:{params['port']}/healthz" in code


def test_compose_takes_the_file():
    composed = YAML(typ="safe", pure=True).load(COMPOSE.read_text())
    schema = json.loads((SCHEMAS / "compose.json").read_text())

    jsonschema.validate(composed, schema)
    composed["services"]["service"]["stop_grace"] = composed["services"]["service"].pop("stop_grace_period")
    with pytest.raises(jsonschema.ValidationError, match="stop_grace"):
        jsonschema.validate(composed, schema)


def test_kubernetes_takes_the_deployment_and_its_service():
    definitions = json.loads((SCHEMAS / "kubernetes.json").read_text())
    deployment, service = documents()

    for document, kind in ((deployment, "apps.v1.Deployment"), (service, "core.v1.Service")):
        schema = {**definitions, "$ref": f"#/$defs/io.k8s.api.{kind}"}
        jsonschema.validate(document, schema)
        document["spec"]["selectors"] = document["spec"].pop("selector")
        with pytest.raises(jsonschema.ValidationError, match="selector"):
            jsonschema.validate(document, schema)


def test_kubernetes_would_refuse_a_misspelt_field_of_a_container():
    definitions = json.loads((SCHEMAS / "kubernetes.json").read_text())
    deployment = documents()[0]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["readynessProbe"] = container.pop("readinessProbe")

    with pytest.raises(jsonschema.ValidationError, match="readynessProbe"):
        jsonschema.validate(deployment, {**definitions, "$ref": "#/$defs/io.k8s.api.apps.v1.Deployment"})
