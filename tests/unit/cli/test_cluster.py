"""The commands around clusters as a user types them, where there is none; with one they run in tests marked `ray`."""

from pathlib import Path

import pytest

from tests.support import command_line
from tests.unit.cli.test_app import as_text, vae_search
from vae_search.store.backends.uri import open_store
from vae_search.store.paths import SweepPaths

NOBODY = "http://127.0.0.1:9"  # nothing listens there
SPEC = "name: x\ndata: {source: digits}\nsearch_space: {latent_dim: 4}\nbudget: {trials: 1, epochs: 1}\n"
LOG = """\
2026-11-24 22:29:48,123 INFO x: run 000007 starts
2026-11-24 22:29:49,123 INFO x: run 000008 \x1b[2J\rstarts\tnow
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "x.yaml").write_text(SPEC)
    open_store(str(tmp_path / "sweeps")).replace(f"{SweepPaths('x').logs}/driver-000001.log", LOG.encode())
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code", "fragment"),
    [
        (["logs", "nothing"], 2, "sweep nothing: no logs in sweeps"),
        (["logs", "../x"], 2, "'../x'"),
        (["logs", "x", "--trial", "9"], 2, "names trial 9"),
        (["logs", "x", "--follow"], 2, "needs --address"),
        (["logs", "x", "--trial", "7", "--address", NOBODY], 2, "leave --address out"),
        (["logs", "x", "--store", "gopher://x"], 7, "gopher"),
        (["logs", "x", "--address", NOBODY], 4, "no Ray cluster can be reached there"),
        (["logs", "x", "--follow", "--address", NOBODY], 4, "no Ray cluster can be reached there"),
        (["stop", "x", "--address", NOBODY], 4, "no Ray cluster can be reached there"),
        (["stop", "x", "--address", "head:8265"], 4, "head:8265"),
        (["stop", "x", "--address", ""], 4, "--address"),
        (["submit", "x.yaml", "--address", NOBODY, "--store", "/x"], 4, "no Ray cluster can be reached there"),
        (["submit", "x.yaml", "--address", NOBODY, "--set", "resources.gpus_per_trial=1.5"], 2, "must be 0, a share"),
        (["submit", "x.yaml"], 2, "--address"),
        (["run", "x.yaml", "--address", "head"], 4, "--address head"),
        (["run", "x.yaml", "--address", "ray://head:10001"], 4, "vae-search submit SPEC --address ray://head:10001"),
        (["run", "x.yaml", "--wait-for-nodes", "60"], 2, "goes with --address"),
        (["doctor", "--wait-for-nodes", "60"], 2, "goes with --address"),
        (["drive", "--store", "sweeps"], 3, "vae-search submit"),
    ],
    ids=lambda value: "-".join(value)[:40] if isinstance(value, list) else None,
)
def test_a_mistake_is_explained_in_a_few_lines_with_its_exit_code(folder, arguments, code, fragment):
    token = {"RAY_AUTH_TOKEN": "neverToBeSeen"}

    loads_ray = arguments[0] == "drive" or (arguments[0] == "run" and "--address" in arguments)
    start = command_line.in_new_process if loads_ray else command_line.in_this_process

    done = as_text(start(*arguments, folder=folder, VAE_SEARCH_STORE="sweeps", HOME=str(folder), **token))

    assert done.returncode == code, done.stderr
    assert fragment in done.stderr
    assert "Traceback" not in done.stderr
    assert "neverToBeSeen" not in done.stdout + done.stderr
    if "Usage" not in done.stderr:
        assert 1 <= len(done.stderr.splitlines()) <= 3, done.stderr


def test_logs_are_shown_whole_or_of_one_trial_and_move_no_cursor(folder):
    whole = vae_search("logs", "x", "--store", "sweeps", folder=folder)
    of_one = vae_search("logs", "x", "--trial", "7", "--store", "sweeps", folder=folder)

    first, second = LOG.split("\n")[:2]
    shown = second.replace("\x1b", "\ufffd").replace("\r", "\n")  # Python's own lines end at \r
    assert whole.returncode == of_one.returncode == 0
    assert whole.stdout == f"── driver-000001.log\n{first}\n{shown}\n"
    assert of_one.stdout == f"── driver-000001.log\n{first}\n"
