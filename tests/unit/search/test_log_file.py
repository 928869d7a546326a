"""A worker's log: beside the store's rows, or copied there; never a reason to stop."""

import logging
from pathlib import Path

import pytest

from tests.support.sweeps import small_spec
from vae_search.errors import StoreUnavailable
from vae_search.search.driver_lifecycle import LogFileHandler
from vae_search.search.messages import WorkerConfig
from vae_search.search.worker.log_file import WorkerLog
from vae_search.store.paths import SweepPaths

pytestmark = pytest.mark.needs_tensorflow

logger = logging.getLogger("vae_search.search.worker.trial_runner")
PATH = f"{SweepPaths('small').logs}/worker.log"


@pytest.fixture(autouse=True)
def handlers_as_before():
    level, before = logging.getLogger("vae_search").level, list(logging.getLogger().handlers)
    yield
    logging.getLogger("vae_search").setLevel(level)
    for handler in [handler for handler in logging.getLogger().handlers if handler not in before]:
        logging.getLogger().removeHandler(handler)
        handler.close()


def brief(store, folder) -> WorkerConfig:
    return WorkerConfig(
        spec=small_spec(),
        store=store.location,
        lease=1,
        rungs=(2, 4),
        log_folder=None if folder is None else str(folder),
    )


def test_a_log_in_a_folder_is_there_at_once(store, tmp_path):
    log = WorkerLog(brief(store, tmp_path / "new" / "logs"), store, name="worker.log")

    logger.info("run 000007 starts")
    log.copy()

    assert (
        "INFO vae_search.search.worker.trial_runner: run 000007 starts"
        in (tmp_path / "new/logs/worker.log").read_text()
    )
    assert store.list("") == []


def test_a_log_without_one_is_brought_to_the_store_again_and_again_and_leaves_no_file(store, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    log = WorkerLog(brief(store, None), store, name="worker.log")

    logger.info("first")
    log.copy()
    once = store.read(PATH).decode()
    logger.info("second")
    log.copy()

    assert "first" in once
    assert "second" not in once
    assert [line.rpartition(" ")[2] for line in store.read(PATH).decode().splitlines()] == ["first", "second"]
    assert list(temporary.iterdir()) == []


def test_a_log_that_cannot_be_written_stops_nothing(store, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    WorkerLog(brief(store, tmp_path / "file"), store, name="worker.log").copy()

    assert [record.message.partition(":")[0] for record in caplog.records] == ["no log file"]
    assert store.list("") == []


def test_a_store_that_does_not_take_it_stops_nothing(store, monkeypatch, caplog):
    def refuses(path: str, content: bytes) -> None:
        raise StoreUnavailable("out of reach")

    log = WorkerLog(brief(store, None), store, name="worker.log")
    monkeypatch.setattr(store, "replace", refuses)

    log.copy()

    assert "was not copied: out of reach" in caplog.text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_line_that_finds_no_room_is_lost_without_a_word(capfd):
    log = logging.getLogger("full disk")
    handler = LogFileHandler("/dev/full")
    log.addHandler(handler)

    log.warning("this does not fit")
    log.removeHandler(handler)
    handler.close()

    assert capfd.readouterr().err == ""
