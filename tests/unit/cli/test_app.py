"""The commands as a user types them, without Ray."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import typer

from tests.support import command_line
from tests.support.paths import ROOT
from vae_search.version import VERSION


def vae_search(*arguments: object, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return as_text(command_line.vae_search(*arguments, folder=folder, **environment))


def as_text(done: subprocess.CompletedProcess[bytes]) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def test_init_writes_a_spec_that_validates(tmp_path):
    written = as_text(command_line.in_new_process("init", "mine.yaml", folder=tmp_path))
    checked = as_text(command_line.in_new_process("validate", "mine.yaml", "--json", folder=tmp_path))

    assert written.returncode == checked.returncode == 0, written.stderr + checked.stderr
    assert json.loads(checked.stdout)["name"] == "mine"


def test_init_looks_at_images_and_writes_a_spec_that_a_sweep_would_begin_with(tmp_path):
    np.save(tmp_path / "grey.npy", np.random.default_rng(0).integers(0, 256, (200, 16, 16), np.uint8))

    written = vae_search("init", "mine.yaml", "--data", "grey.npy", folder=tmp_path)

    assert written.returncode == 0, written.stderr
    assert "source: ./grey.npy" in (tmp_path / "mine.yaml").read_text()
    tried = vae_search("run", "mine.yaml", "--dry-run", "--json", folder=tmp_path)
    assert tried.returncode == 0, tried.stderr
    assert json.loads(tried.stdout)["trials"] > 1


def test_init_leaves_an_existing_file_alone(tmp_path):
    (tmp_path / "mine.yaml").write_text("precious")

    done = vae_search("init", "mine.yaml", folder=tmp_path)

    assert done.returncode == 5
    assert (tmp_path / "mine.yaml").read_text() == "precious"


def test_the_schema_is_json(tmp_path):
    done = vae_search("schema", folder=tmp_path)

    assert "search_space" in json.loads(done.stdout)["properties"]


@pytest.mark.parametrize(
    ("arguments", "code", "fragment"),
    [
        (["validate", "missing.yaml"], 2, "missing.yaml"),
        (["best", "nothing"], 2, "no sweep 'nothing'"),
        (["stop", "nothing"], 2, "no sweep 'nothing'"),
        (["resume", "nothing"], 2, "no sweep 'nothing'"),
        (["verify", "nothing"], 2, "no sweep 'nothing'"),
        (["rm", "nothing", "--yes"], 2, "no sweep 'nothing'"),
        (["sample", "nothing/1"], 2, "no sweep 'nothing'"),
        (["sample", "nothing/x"], 2, "is no number"),
        (["best", "../escape"], 2, "'../escape'"),
        (["query", "SELEC 1"], 2, "query:"),
        (["run", "broken.yaml"], 2, "broken.yaml:2"),
        (["run", "missing-data.yaml"], 3, "nowhere"),
        (["--store", "x"], 2, "--store"),
        (["status", "--store", "gopher://x"], 7, "gopher"),
        (["status", "--store", ""], 7, "--store"),
        (["status", "--store", "file://"], 7, "file://"),
        (["status", "--store", "x" * 300], 7, "xxx"),
        (["status", "--store", "~nobody-of-this-name/x"], 7, "nobody"),
        (["run", "digits.yaml", "--dry-run", "--set", "search_space.batch_size=4096"], 2, "4,096"),
        (["run", "digits.yaml", "--dry-run", "--set", "resources.cpus_per_trial=1000"], 4, "1000 cores"),
        (["run", "digits.yaml", "--set", "resources.cpus_per_trial=1000"], 4, "1000 cores"),
        (["query", "SELECT DATE '290000-01-01' AS d"], 2, "query:"),
        (["init", "ok.yaml", "--name", "x: [y"], 2, "--name"),
        (["init", "ok.yaml", "--set", "seed=1"], 2, "goes with --data"),
        (["init", "ok.yaml", "--data", "./nowhere"], 3, "nowhere"),
        (["init", "ok.yaml", "--data", "mnits"], 2, "Did you mean mnist?"),
    ],
    ids=lambda value: "-".join(value)[:30] if isinstance(value, list) else None,
)
def test_a_mistake_is_explained_in_a_few_lines_with_its_exit_code(tmp_path, arguments, code, fragment):
    (tmp_path / "broken.yaml").write_text("name: [\n")
    (tmp_path / "digits.yaml").write_text((ROOT / "search_spaces" / "digits.yaml").read_text())
    (tmp_path / "missing-data.yaml").write_text(
        "name: x\ndata: {source: ./nowhere}\nsearch_space: {latent_dim: 4}\nbudget: {trials: 1, epochs: 1}\n"
    )

    done = as_text(command_line.in_this_process(*arguments, folder=tmp_path))

    assert done.returncode == code, done.stderr
    assert fragment in done.stderr
    assert "Traceback" not in done.stderr
    if arguments[0] not in ("--store",):  # usage errors are the command line library's, with its own frame
        assert 1 <= len(done.stderr.strip().splitlines()) <= 3


def test_the_version_is_told(tmp_path):
    done = vae_search("--version", folder=tmp_path)

    assert (done.returncode, done.stdout) == (0, f"vae-search {VERSION}\n")


def test_debug_shows_the_traceback(tmp_path):
    done = as_text(command_line.in_new_process("--debug", "validate", "missing.yaml", folder=tmp_path))

    assert "Traceback" in done.stderr


def test_an_empty_store_says_how_to_begin(tmp_path):
    done = vae_search("status", folder=tmp_path)

    assert done.returncode == 0
    assert "vae-search init" in done.stdout


def all_commands():
    """Those of all files, by name."""
    from vae_search.cli.app import app

    commands = typer.main.get_command(app).commands
    assert {"run", "best", "watch", "promote", "verify", "report"} <= set(commands)
    return commands


def test_every_command_has_an_example(tmp_path):
    for name, command in all_commands().items():
        assert f"Example: vae-search {name}" in (command.help or ""), name


def test_a_dry_run_says_what_it_would_cost_and_leaves_no_store(tmp_path):
    done = vae_search("run", ROOT / "search_spaces" / "digits.yaml", "--dry-run", "--json", folder=tmp_path)

    facts = json.loads(done.stdout)
    assert facts["trials"] >= 20
    assert facts["time_s"] > 0
    assert facts["memory_bytes"] > 10**8
    assert not (tmp_path / "vae-store").exists()
