"""Watching and submitting through a service: its restarts, the end of a queue's item, and what a light client loads."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import in_new_process, in_this_process
from tests.support.paths import ROOT
from tests.support.rows import trial_row
from tests.support.stores import KEY, filled_store
from tests.support.web_service import app_of, serving
from vae_search.access.connection import Connection
from vae_search.access.remote import RemoteAccess
from vae_search.access.submission import raise_if_unfinished
from vae_search.errors import BadData, Interrupted
from vae_search.store.backends.local import LocalStore
from vae_search.store.leases.lease import acquire
from vae_search.store.leases.records import Purpose
from vae_search.store.ledger.trials import Ledger

SPEC = "name: new\ndata: {source: digits}\nsearch_space: {latent_dim: 4}\nbudget: {trials: 2, epochs: 3}\n"


def test_a_watch_outlives_a_restart_of_the_service(tmp_path: Path) -> None:
    store = filled_store(tmp_path / "vae-store")
    lease = acquire(store, "digits", purpose=Purpose.TRAIN)
    with serving(app_of(store)) as port:
        access = RemoteAccess(
            Connection(f"http://127.0.0.1:{port}", token=None, sleep=lambda _: None), sleep=lambda _: None
        )
        events = access.events("digits")
        kind, first = next(events)
    Ledger(store, "digits").commit(trial_row(8, comparability_key=KEY), [])
    lease.release()

    with serving(app_of(store), port=port):
        rest = [*events]

    assert (kind, first["runs"], first["finished"]) == ("progress", True, 8)
    assert (rest[-1][0], rest[-1][1]["runs"], rest[-1][1]["finished"]) == ("progress", False, 9)


def test_a_spec_is_queued_and_mistakes_are_told_before_anything_is_sent(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "vae-store")
    (tmp_path / "new.yaml").write_text(SPEC)
    (tmp_path / "wrong.yaml").write_text(SPEC.replace("trials: 2", "trials: 0"))
    (tmp_path / "own.yaml").write_text(SPEC.replace("source: digits", "source: ./images"))

    with serving(app_of(store)) as port:
        server = f"http://127.0.0.1:{port}"
        done = in_new_process("--server", server, "submit", "new.yaml", folder=tmp_path)
        again = in_this_process("--server", server, "submit", "new.yaml", folder=tmp_path)
        other = in_this_process(
            "--server", server, "submit", "new.yaml", "--set", "name=other", "--json", folder=tmp_path
        )
        wrong = in_this_process("--server", server, "submit", "wrong.yaml", folder=tmp_path)
        own = in_this_process("--server", server, "submit", "own.yaml", folder=tmp_path)
        nowhere = in_this_process("submit", "new.yaml", folder=tmp_path)
        item = RemoteAccess(Connection(server, token=None)).item(1)

    assert done.returncode == 0
    assert done.stdout.decode() == (
        f"Sweep new is item 1 of the queue on {server} (waiting).\n"
        f"Watch it, once it runs: vae-search --server {server} watch new\n"
    )
    assert item["spec"] == SPEC
    assert (again.returncode, b"is in the queue already, as item 1" in again.stderr) == (5, True)
    assert json.loads(other.stdout)["sweep"] == "other"
    assert (wrong.returncode, b"wrong.yaml:4: budget.trials" in wrong.stderr) == (2, True)
    assert (own.returncode, b"data roots" in own.stderr) == (2, True)
    assert (nowhere.returncode, b"needs --address" in nowhere.stderr) == (2, True)


def test_a_followed_item_ends_as_its_driver_did() -> None:
    item = {"item": 1, "sweep": "new", "state": "done", "parked": None, "last_attempt": {"exit_code": 0}}
    parked = item | {"state": "parked", "parked": "images: empty.", "last_attempt": {"exit_code": 3}}

    raise_if_unfinished(item)
    with pytest.raises(BadData, match=r"^images: empty\.$"):
        raise_if_unfinished(parked)
    with pytest.raises(Interrupted, match="item 1 of the queue is held"):
        raise_if_unfinished(item | {"state": "held"})


def test_a_client_loads_nothing_heavy(tmp_path: Path) -> None:
    commands = [["status"], ["best", "digits"], ["query", "SELECT 1"], ["models"]]
    code = (
        "import sys\n"
        "from vae_search.cli.app import main\n"
        f"for command in {commands!r}:\n"
        "    sys.argv = ['vae-search', *command]\n"
        "    try:\n        main()\n    except SystemExit as end:\n        assert not end.code, end.code\n"
        # Typer itself loads pydantic where it is there; our specs must not be what needs it.
        "heavy = {'ray', 'tensorflow', 'keras', 'optuna', 'sklearn', 'obstore', 'plotly', 'jinja2', 'pandas',\n"
        "         'scipy', 'fastapi', 'uvicorn', 'duckdb', 'requests', 'vae_search.spec.sweep_spec'}\n"
        "print('loaded:', *sorted(heavy & set(sys.modules)))\n"
    )
    with serving(app_of(filled_store(tmp_path / "vae-store"))) as port:
        environment = {"PATH": "", "HOME": str(tmp_path), "VAE_SEARCH_SERVER": f"http://127.0.0.1:{port}"}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, text=True, capture_output=True, check=True
        )

    assert done.stdout.splitlines()[-1] == "loaded:"
