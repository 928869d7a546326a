"""optuna-dashboard on a sweep's store: what it shows, that it follows, and what it refuses."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.support.reported_sweeps import complete, failed, put_sweep, spoil
from tests.support.rows import epoch_rows
from tests.support.wsgi_client import get
from vae_search.errors import Conflict, StoreUnavailable
from vae_search.search.messages import TrialAssignment
from vae_search.search.pending_trials import PendingTrials
from vae_search.services import exporting
from vae_search.store import paths as store_paths
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import sweep_record

dashboard = pytest.importorskip("vae_search.search.study.dashboard")
PARAMS = {"architecture": "conv", "latent_dim": 4, "beta": 1.0}


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path / "store")
    put_sweep(store, [complete(0), failed(1)])
    return store


def followed(store) -> "dashboard.FollowedSweep":
    return dashboard.FollowedSweep(store, "digits", sweep_record.read(store, "digits").spec.search_space)


def trials(app) -> list[dict]:
    status, body = get(app, "/api/studies/0")
    assert status == "200 OK", body
    return json.loads(body)["trials"]


def test_a_running_sweep_is_followed(store):
    app = followed(store)
    assert [trial["state"] for trial in trials(app)] == ["Complete", "Fail"]

    PendingTrials(store, "digits").record(TrialAssignment(trial=2, params=PARAMS, seed=1))
    assert [trial["state"] for trial in trials(app)] == ["Complete", "Fail", "Running"]

    Ledger(store, "digits").commit(complete(2), epoch_rows(2, epochs=3))
    PendingTrials(store, "digits").forget(store_paths.trial_key(2), lease=1)
    *_, last = trials(app)
    assert last["state"] == "Complete"
    assert last["values"] == [complete(2).objective]
    assert [value["step"] for value in last["intermediate_values"]] == [1, 2, 3]


def test_a_sweep_without_rows_is_shown_and_then_followed(tmp_path):
    store = LocalStore(tmp_path / "store")
    put_sweep(store, [])
    app = followed(store)
    assert trials(app) == []

    Ledger(store, "digits").commit(complete(0), [])

    assert len(trials(app)) == 1


def test_a_damaged_row_stands_there_as_failed_and_is_looked_at_again(store):
    app = followed(store)
    trials(app)
    path = Path(store.location) / SweepPaths("digits").trial(2)
    Ledger(store, "digits").commit(complete(2), [])
    content = path.read_bytes()
    spoil(path)
    Ledger(store, "digits").commit(complete(3), [])
    assert [trial["state"] for trial in trials(app)] == ["Complete", "Fail", "Fail", "Complete"]

    path.write_bytes(content)
    Ledger(store, "digits").commit(complete(4), [])

    assert [trial["state"] for trial in trials(app)] == ["Complete", "Fail", "Complete", "Complete", "Complete"]


def test_the_page_itself_and_the_study_are_there(store):
    app = followed(store)

    page = get(app, "/dashboard/studies/0")
    studies = get(app, "/api/studies")

    assert page[0] == studies[0] == "200 OK"
    assert b"<html" in page[1]
    assert json.loads(studies[1])["study_summaries"][0]["study_name"] == "digits"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_it_is_read_only(store, method):
    app = followed(store)

    status, _ = get(app, "/api/studies/0", method=method)

    assert status.startswith("405")
    assert len(trials(app)) == 2


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example:80", ""])
def test_a_foreign_name_for_this_machine_is_refused(store, host):
    assert get(followed(store), "/api/studies/0", host=host)[0].startswith("403")
    assert get(followed(store), "/api/studies/0", host="localhost:8080")[0] == "200 OK"
    assert get(followed(store), "/api/studies/0", host="127.0.0.1")[0] == "200 OK"


def test_a_store_that_is_away_is_said_and_comes_back(store, monkeypatch):
    app = followed(store)
    with monkeypatch.context() as patched:

        def away(path: str) -> list[str]:
            raise StoreUnavailable("the disk is away.")

        patched.setattr(type(store), "list", lambda self, path: away(path))
        status, body = get(app, "/api/studies/0")
    assert status.startswith("503")
    assert b"the disk is away" in body

    assert len(trials(app)) == 2


def test_the_command_answers_on_this_machine_alone_and_ends_well_on_ctrl_c(store, tmp_path):
    command = [sys.executable, "-m", "vae_search", "dashboard", "digits", "--port", "0"]
    with subprocess.Popen(
        [*command, "--store", store.location],
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored if this is a background job
    ) as server:
        line = server.stdout.readline()
        address = line.split()[4]
        port = int(address.split(":")[2].split("/")[0])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=30) as answer:
            studies = json.loads(answer.read())
        listening = listeners(port)
        server.send_signal(2)
        _, errors = server.communicate(timeout=30)

    assert studies["study_summaries"][0]["study_name"] == "digits"
    assert listening == {"0100007F"}  # 127.0.0.1, as the kernel writes it
    assert (server.returncode, errors) == (0, "")


def listeners(port: int) -> set[str]:
    """The local addresses that anybody listens on at `port`, IPv4 and IPv6, from the kernel."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            if state == "0A" and int(local.split(":")[1], 16) == port:
                found.add(local.split(":")[0])
    return found


def test_a_port_that_is_taken_is_told(store):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(Conflict, match=f"--port {port}: is in use"):
            exporting.dashboard(store, "digits", port=port, on_ready=print)


def test_without_the_package_one_line_says_how_to_get_it(store, tmp_path):
    code = (
        "import sys\nsys.modules['optuna_dashboard'] = None\nfrom vae_search.cli.app import main\n"
        f"sys.argv = ['vae-search', 'dashboard', 'digits', '--store', {store.location!r}]\nmain()\n"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, text=True, capture_output=True)

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "pip install 'vae-search[dashboard]'" in done.stderr
