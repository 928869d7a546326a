"""A whole sweep in a bucket, without Ray: cut in the middle, resumed, and asked about from the command line."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.faulty_http import Fault, FaultyProxy, faulty_proxy
from tests.support.s3_server import S3_SECRET
from vae_search.errors import StoreUnavailable
from vae_search.search.driver_lifecycle import log_folder_of
from vae_search.services.models import galleries
from vae_search.store.backends.base import Store
from vae_search.store.backends.uri import open_store
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import beginning, sweep_record

pytest.importorskip("obstore")


@pytest.fixture
def network(s3_endpoint: str) -> Iterator[FaultyProxy]:
    """Fails every tenth request."""
    with faulty_proxy(s3_endpoint, seed=7, rate=0.1) as proxy:
        yield proxy


@pytest.fixture
def store(network: FaultyProxy, s3_location: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """In the place of a folder: a bucket behind that network."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", network.endpoint)
    return open_store(s3_location)


def cli(*arguments: str, store: Store, folder: Path, expected: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vae_search", *arguments, "--store", store.location]
    done = subprocess.run(command, cwd=folder, env=os.environ, text=True, capture_output=True)
    assert done.returncode == expected, done.stderr
    assert S3_SECRET not in done.stdout + done.stderr
    return done


def test_a_sweep_lives_in_a_bucket_from_its_first_trial_to_its_removal(
    open_session, store, network, tmp_path, caplog, s3_endpoint, monkeypatch
):
    first = open_session()
    record = sweep_record.SweepRecord(spec=first.spec, fingerprint="f" * 64, comparability_key="k" * 64, versions={})
    beginning.create_or_check(store, record, text="name: small\n")
    reports = iter(range(1000))
    first.run(until=lambda report: next(reports) == 25)
    cut_at = len(first.landed)
    second = open_session()
    second.run()
    second.coordinator.finish()
    second.lease.release()

    rows = Ledger(store, "small").trials()
    assert sum(network.met[fault] for fault in Fault) > 10
    assert 0 < cut_at < 7
    assert [row.trial for row in rows] == list(range(7))
    assert sorted((*first.landed, *second.landed), key=lambda row: row.trial) == rows
    assert {row.lease for row in rows} == {1, 2}
    assert store.list(SweepPaths("small").running) == []

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)  # what is asked now, and how often, is not for chance
    files = store.list("")
    before = {path: store.read(path) for path in files}
    status = json.loads(cli("status", "small", "--json", store=store, folder=tmp_path).stdout)
    best = json.loads(cli("best", "small", "-n", "1", "--json", store=store, folder=tmp_path).stdout)
    sql = "SELECT count(*) AS n, count(DISTINCT trial) AS trials, (SELECT count(*) FROM epochs) AS epochs FROM trials"
    asked = json.loads(cli("query", sql, "--json", store=store, folder=tmp_path).stdout)
    verified = cli("verify", "small", store=store, folder=tmp_path)

    complete = [row for row in rows if row.objective is not None and row.state == "COMPLETE"]
    assert best[0]["trial"] == min(complete, key=lambda row: row.objective).trial
    assert [(found["sweep"], found["finished"]) for found in status] == [("small", 7)]
    assert asked == [{"n": 7, "trials": 7, "epochs": sum(row.epochs for row in rows)}]
    assert "7 rows, 7 learning curves, 2 kept models, all intact" in verified.stdout
    assert {path: store.read(path) for path in store.list("")} == before  # who only asks leaves no trace
    secret = S3_SECRET.encode()
    assert not any(secret in content for content in before.values())
    assert S3_SECRET not in caplog.text

    picture = galleries.sample(store, "small", count=4, seed=0, output=tmp_path / "small.png").path
    assert picture.read_bytes().startswith(b"\x89PNG")
    cli("rm", "small", "--yes", store=store, folder=tmp_path)
    left = [path for path in store.list("") if not path.startswith(SweepPaths("small").leases)]
    assert left == ["store.json", SweepPaths("small").heartbeat]
    cli("best", "small", store=store, folder=tmp_path, expected=2)


def test_a_damaged_row_is_named_and_set_aside(open_session, store, tmp_path):
    session = open_session("budget.trials=2", "pruning=off")
    record = sweep_record.SweepRecord(spec=session.spec, fingerprint="f" * 64, comparability_key="k" * 64, versions={})
    beginning.create_or_check(store, record, text="name: small\n")
    session.run()
    session.lease.release()
    path = SweepPaths("small").trial(1)
    store.replace(path, store.read(path)[:-7])

    cli("verify", "small", store=store, folder=tmp_path, expected=3)
    cli("query", "FROM trials", store=store, folder=tmp_path, expected=3)
    cli("verify", "small", "--repair", store=store, folder=tmp_path)

    assert SweepPaths("small").tombstone(1) in store.list("")
    assert SweepPaths("small").set_aside(path) in store.list("")
    assert open_session("budget.trials=3", "pruning=off").coordinator.next_assignment().trial == 2


def test_log_files_come_into_the_bucket_when_the_driver_ends(store):
    with log_folder_of(store, "small") as folder:
        (folder / "driver-000001.log").write_text("began\n")
        (folder / "worker-a-1.log").write_text("")

    assert store.list(SweepPaths("small").logs) == [f"{SweepPaths('small').logs}/{name}" for name in
                                                ("driver-000001.log", "worker-a-1.log")]  # fmt: skip
    assert store.read(f"{SweepPaths('small').logs}/driver-000001.log") == b"began\n"
    assert not folder.exists()


def test_log_files_that_cannot_be_kept_stay_where_they_are_and_hide_no_error(store, monkeypatch, caplog):
    def refuse(path: str, content: bytes) -> None:
        raise StoreUnavailable(f"{path}: cannot be written")

    monkeypatch.setattr(store, "replace", refuse)

    with pytest.raises(KeyError, match="the cause"), log_folder_of(store, "small") as folder:  # noqa: PT012
        (folder / "driver-000001.log").write_text("began\n")
        raise KeyError("the cause")

    assert (folder / "driver-000001.log").read_text() == "began\n"
    assert str(folder) in caplog.text
    shutil.rmtree(folder)
