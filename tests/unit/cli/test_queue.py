"""`queue` as a user types it: orders stand in the log with who gave them, and refusals say what to do."""

import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.command_line import vae_search
from tests.support.paths import ROOT
from tests.support.stores import SPEC as STORED_SPEC
from tests.support.stores import filled_store
from vae_search.core.machine import system_user
from vae_search.data.comparability import METRIC_VERSION
from vae_search.queue.entries import QueueAction
from vae_search.queue.state import ItemState
from vae_search.queue.sweep_queue import SweepQueue
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.backends.local import LocalStore
from vae_search.store.leases.processes import this_process
from vae_search.store.paths import SweepPaths

SPEC = """
name: {name}
data: {{source: digits}}  # a comment
search_space: {{latent_dim: {{type: int, low: 2, high: 6}}}}
budget: {{trials: 4, epochs: 9}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(SPEC.format(name=name))
    return tmp_path


def queue_of(folder: Path) -> SweepQueue:
    return SweepQueue(LocalStore(folder / "vae-store"), now=lambda: datetime.now(UTC))


def call(folder: Path, *words: object) -> subprocess.CompletedProcess[bytes]:
    return vae_search("queue", *words, folder=folder)


def items(folder: Path, *words: str) -> list[dict]:
    return json.loads(call(folder, "list", "--json", *words).stdout)["items"]


def test_what_is_added_stands_in_the_queue_as_it_is_written_with_its_owner_and_priority(folder):
    done = call(folder, "add", "a.yaml", "--priority", "7")

    (item,) = queue_of(folder).state().items
    assert done.returncode == 0, done.stderr
    assert (item.sweep, item.priority, item.owner) == ("a", 7, system_user())
    assert item.spec == SPEC.format(name="a")


def test_a_relative_path_and_an_override_are_resolved_where_the_spec_is_added(folder):
    (folder / "images").mkdir()
    (folder / "a.yaml").write_text(SPEC.format(name="a").replace("source: digits", "source: ./images"))

    assert call(folder, "add", "a.yaml", "--set", "budget.trials=9").returncode == 0

    (item,) = queue_of(folder).state().items
    queued = parse_spec(item.spec, base=Path("/elsewhere"))
    assert queued.data.source == str(folder / "images")
    assert queued.budget.trials == 9


def test_a_sweep_that_waits_already_is_refused_and_so_is_another_one_of_a_stored_name(folder):
    filled_store(folder / "vae-store")
    (folder / "digits.yaml").write_text(SPEC.format(name="digits"))
    (folder / "vae-store" / "same.yaml").write_text(STORED_SPEC.replace("trials: 8", "trials: 9"))
    call(folder, "add", "a.yaml")

    again, other = call(folder, "add", "a.yaml"), call(folder, "add", "digits.yaml")
    same = call(folder, "add", "vae-store/same.yaml")

    assert (again.returncode, other.returncode, same.returncode) == (5, 5, 0)
    assert b"item 1" in again.stderr
    assert b"began with other settings" in other.stderr
    assert [item.sweep for item in queue_of(folder).state().items] == ["a", "digits"]


def test_orders_change_the_list_and_a_held_item_says_why(folder):
    for name in ("a", "b"):
        call(folder, "add", f"{name}.yaml")

    call(folder, "move", 2, "--before", 1)
    call(folder, "prioritize", 1, "--priority", -5)
    call(folder, "hold", 2, "--reason", "the cluster is full")
    found = items(folder)
    table = call(folder, "list").stdout.decode()

    assert [(item["sweep"], item["priority"], item["state"]) for item in found] == [
        ("b", 0, "held"),
        ("a", -5, "waiting"),
    ]
    assert "the cluster is full" in table
    assert "Nobody works the queue off" in table

    call(folder, "release", 2)
    call(folder, "cancel", 1)
    assert [(item["sweep"], item["state"]) for item in items(folder)] == [("b", "waiting")]
    assert [item["state"] for item in items(folder, "--all")] == ["waiting", "cancelled"]


def test_a_parked_item_shows_the_last_words_of_its_driver(folder):
    call(folder, "add", "a.yaml")
    queue = queue_of(folder)
    leader = queue.lead(this_process(), seen=queue.state())
    queue.note(QueueAction.START, 1, leader=leader)
    queue.note(QueueAction.END, 1, leader=leader, exit_code=3, reason="no images\nthere")

    shown = call(folder, "list").stdout.decode()

    assert "parked" in shown
    assert "no images" in shown
    assert "Nobody works" not in shown  # this very process is the dispatcher, and lives


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["hold", 7], b"no item 7"),
        (["move", 1, "--before", 7], b"no other item 7"),
        (["prioritize", 1, "--priority", 101], b"from -100 to 100"),
        (["add", "a.yaml", "--priority", 500], b"from -100 to 100"),
        (["add", "nosuch.yaml"], b"nosuch.yaml"),
    ],
)
def test_a_wrong_order_is_refused_in_a_sentence(words, says, folder):
    call(folder, "add", "a.yaml")

    done = call(folder, *words)

    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count(b"\n") <= 3
    assert len(queue_of(folder).state().items) == 1


def test_a_cancelled_item_takes_no_orders(folder):
    call(folder, "add", "a.yaml")
    call(folder, "cancel", 1)

    assert call(folder, "release", 1).returncode == 5


def test_a_fork_is_queued_and_says_what_its_sampler_knows(folder):
    store = filled_store(folder / "vae-store")
    path = SweepPaths("digits").resolved
    record = json.loads(store.read(path)) | {"metric_version": METRIC_VERSION}
    store.replace(path, json.dumps(record).encode())
    wider = "search_space.latent_dim={type: int, low: 8, high: 64}"

    done = vae_search("fork", "digits", "wide", "--set", wider, "--queue", folder=folder)
    shown = vae_search("status", "wide", folder=folder).stdout.decode()

    assert done.returncode == 0, done.stderr
    assert b"whose 4 fitting trials its sampler knows; 1 do not fit (latent_dim: 1)" in done.stdout
    assert [item["sweep"] for item in items(folder)] == ["wide"]
    assert "borrowed 4 trials from digits" in shown


@pytest.mark.needs_tensorflow
@pytest.mark.slow
def test_the_queue_is_worked_off_without_a_service_until_somebody_ends_it(folder):
    (folder / "wrong.yaml").write_text(SPEC.format(name="wrong").replace("digits", "/no/such/images"))
    assert call(folder, "add", "wrong.yaml").returncode == 0
    command = [sys.executable, "-m", "vae_search", "queue", "run"]
    with subprocess.Popen(command, cwd=folder, env={"PYTHONPATH": str(ROOT), "PATH": ""}) as dispatcher:
        began_s = time.monotonic()
        while queue_of(folder).state().items[0].state is not ItemState.PARKED:
            assert time.monotonic() - began_s < 60
            time.sleep(0.1)
        dispatcher.send_signal(signal.SIGINT)
        assert dispatcher.wait(60) == 0

    assert "/no/such/images" in (queue_of(folder).state().items[0].parked or "")
