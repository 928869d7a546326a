"""Webhooks against a real receiver: signed, told at least once by the same id, retried, given up, delivered again."""

import base64
import hashlib
import hmac
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.receiver import Receiver, receiving, until
from tests.support.stores import filled_store
from vae_search.errors import NotFound
from vae_search.queue.entries import QueueAction
from vae_search.queue.sweep_queue import SweepQueue
from vae_search.registry.log import Action
from vae_search.registry.registry import Registry
from vae_search.services import maintenance
from vae_search.services.queue.dispatch import dispatch
from vae_search.services.webhooks import outbox
from vae_search.services.webhooks.events import EVENT_TYPES, MODEL_EVENTS
from vae_search.services.webhooks.hooks_file import HooksFile
from vae_search.services.webhooks.outbox import MOST_ATTEMPTS, MOST_DEAD, Delivery, Outbox
from vae_search.services.webhooks.outboxes import StoredOutbox, redeliver, webhooks_facts
from vae_search.services.webhooks.sender import Sender
from vae_search.store.backends.local import LocalStore
from vae_search.store.leases.lease import acquire
from vae_search.store.leases.processes import this_process
from vae_search.store.leases.records import DriverProgress, Purpose
from vae_search.store.paths import SweepPaths

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
KEY = b"k" * 32


@dataclass
class Clock:
    at: datetime = field(default_factory=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.at

    def pass_by(self, **what: float) -> None:
        self.at += timedelta(**what)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def written(folder: Path, *hooks: dict) -> HooksFile:
    path = folder / "webhooks.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps({"webhooks": [{"secret": SECRET} | hook for hook in hooks]}))
    return HooksFile(path)


@pytest.fixture
def sender(store: LocalStore, receiver: Receiver, tmp_path: Path, clock: Clock) -> Sender:
    """A sender that leads, and has seen the store as it was."""
    made = Sender(store, written(tmp_path, {"name": "chat", "url": receiver.url}), now=clock)
    made.lead(True)
    made.look()
    return made


def tell(sender: Sender) -> None:
    """One look, and all that follows from it."""
    sender.look()
    while sender.is_busy:
        sender.note(20.0)


def refuse(store: LocalStore, clock: Callable[[], datetime], model: str = "fashion", why: str = "it blurs") -> None:
    registry = Registry(store, model, now=clock, actor="ada")
    about = {"candidate": "digits/1", "candidate_sha256": "a" * 64, "verdicts": {"gates": []}}
    assert registry.add(Action.REJECT, seen=registry.state(), reasons=(why,), **about)


def park(store: LocalStore, clock: Clock, sweep: str = "digits") -> None:
    queue = SweepQueue(store, now=clock)
    item = queue.submit(f"name: {sweep}", sweep=sweep, actor="ada")
    leader = queue.lead(this_process(), seen=queue.state())
    queue.note(QueueAction.START, item.number, leader=leader)
    queue.note(QueueAction.END, item.number, leader=leader, exit_code=2, reason="spec:3: no such thing")


def finish(store: LocalStore, sweep: str = "digits", *, purpose: Purpose = Purpose.TRAIN) -> None:
    acquire(store, sweep, purpose=purpose, progress=lambda: DriverProgress(driver_s=1.0, exhausted=True)).release()


def verified(headers: dict[str, str], body: bytes) -> bool:
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(KEY, content, hashlib.sha256)).decode()
    return headers["webhook-signature"] == f"v1,{expected}"


def test_a_refusal_is_told_signed_once_and_in_words(sender, receiver, store, clock):
    refuse(store, clock)

    tell(sender)
    tell(sender)

    ((headers, body),) = receiver.requests
    told = json.loads(body)
    assert verified(headers, body)
    assert not verified(headers, body + b" ")
    assert int(headers["webhook-timestamp"]) == int(clock.at.timestamp())
    assert (told["type"], told["timestamp"]) == ("model.refused", clock.at.isoformat())
    assert told["data"] == {
        "model": "fashion",
        "entry": 1,
        "version": None,
        "champion_before": None,
        "candidate": "digits/1",
        "actor": "ada",
        "reasons": ["it blurs"],
    }


def test_promotion_rollback_and_approval_are_told_and_a_number_that_is_given_up_is_not(sender, receiver, store, clock):
    registry = Registry(store, "fashion", now=clock)

    def add(action: Action, version: int | None, **more: object) -> None:
        assert registry.add(action, seen=registry.state(), version=version, **more)

    for version in (1, 2, 3):
        about = {"candidate": f"digits/{version}", "candidate_sha256": f"{version}" * 64}
        add(Action.REGISTER, version, **about)
        judged = {"verdicts": {"gates": []}} if version < 3 else {}
        add(Action.PROMOTE if version < 3 else Action.REJECT, version, manifest_sha256="f" * 64, **about, **judged)
    add(Action.ROLLBACK, 1, reasons=("sevens",))
    tell(sender)

    told = [json.loads(body) for _, body in receiver.requests]
    assert [(each["type"], each["data"]["version"]) for each in told] == [
        ("model.promoted", 1),
        ("model.promoted", 2),
        ("model.rolled_back", 1),
    ]
    assert {action.value for action in Action} - {"register", "retire"} <= {*MODEL_EVENTS}
    assert {*MODEL_EVENTS.values()} <= {*EVENT_TYPES}


def test_a_parked_sweep_is_told_with_its_owner_and_why(sender, receiver, store, clock):
    park(store, clock)

    tell(sender)

    (told,) = [json.loads(body) for _, body in receiver.requests]
    assert told["type"] == "sweep.failed"
    assert told["data"] | {"item": 1} == {
        "sweep": "digits",
        "item": 1,
        "owner": "ada",
        "reason": "spec:3: no such thing",
        "exit_code": 2,
        "attempts": 1,
    }


def test_the_end_of_a_sweep_is_told_whoever_ran_it_and_once_for_each_driver(tmp_path, receiver, clock):
    store = filled_store(tmp_path / "store")
    finish(store)
    sender = Sender(store, written(tmp_path, {"name": "chat", "url": receiver.url}), now=clock)
    sender.lead(True)
    sender.look()

    tell(sender)
    assert receiver.requests == [], "what ended before the hook was there is not told"
    finish(store)
    finish(store, purpose=Purpose.MAINTAIN)
    tell(sender)
    tell(sender)

    (told,) = [json.loads(body) for _, body in receiver.requests]
    assert told["type"] == "sweep.finished"
    assert told["data"]["sweep"] == "digits"
    assert (told["data"]["finished"], told["data"]["best_trial"]) == (8, 0)


def filled_anew(folder: Path, incarnation: str) -> LocalStore:
    """The filled sweep as one that has another mark than whoever had its name before; none of that one is there."""
    store = filled_store(folder)
    path = SweepPaths("digits").resolved
    store.replace(path, json.dumps(json.loads(store.read(path)) | {"incarnation": incarnation}).encode())
    return store


def leading(store: LocalStore, folder: Path, receiver: Receiver, clock: Clock) -> Sender:
    sender = Sender(store, written(folder, {"name": "chat", "url": receiver.url}), now=clock)
    sender.lead(True)
    sender.look()
    return sender


def test_a_sweep_whose_name_another_had_is_told_although_its_leases_begin_again(tmp_path, receiver, clock):
    store = filled_anew(tmp_path / "store", "first")
    for _ in range(3):
        finish(store)
    sender = leading(store, tmp_path, receiver, clock)
    shutil.rmtree(tmp_path / "store" / "sweeps" / "digits")  # by hand, leases and all
    filled_anew(tmp_path / "store", "second")

    for _ in range(2):
        finish(store)
        tell(sender)
        tell(sender)

    assert [json.loads(body)["type"] for _, body in receiver.requests] == ["sweep.finished"] * 2
    assert len({*receiver.ids()}) == 2
    assert [log for log in StoredOutbox(store, "chat").read().positions if "digits" in log] == ["sweep/digits/second"]


def test_the_end_of_a_removed_sweep_is_not_told_as_that_of_the_next_of_its_name(tmp_path, receiver, clock):
    store = filled_anew(tmp_path / "store", "first")
    sender = leading(store, tmp_path, receiver, clock)
    finish(store)
    tell(sender)
    maintenance.remove(store, "digits")
    filled_anew(tmp_path / "store", "second")

    driver = acquire(store, "digits", purpose=Purpose.TRAIN, progress=lambda: DriverProgress(exhausted=True))
    tell(sender)
    assert len(receiver.requests) == 1, "it is at work"
    driver.release()
    tell(sender)

    assert len({*receiver.ids()}) == len(receiver.requests) == 2


def test_positions_of_an_older_version_hold_for_the_sweeps_that_are_there(tmp_path, receiver, clock):
    store = filled_anew(tmp_path / "store", "ours")
    finish(store)
    former = Outbox(receiver=receiver.url, positions={"queue": 0, "sweep/digits": 1})
    StoredOutbox(store, "chat").change(lambda before: former)
    sender = leading(store, tmp_path, receiver, clock)

    tell(sender)
    assert receiver.requests == [], "it was told by the older version"
    finish(store)
    tell(sender)

    assert len(receiver.requests) == 1
    assert StoredOutbox(store, "chat").read().positions == {"queue": 0, "sweep/digits/ours": 2}


def test_a_sweep_that_runs_or_was_interrupted_is_not_told(tmp_path, receiver, clock):
    store = filled_store(tmp_path / "store")
    sender = Sender(store, written(tmp_path, {"name": "chat", "url": receiver.url}), now=clock)
    sender.lead(True)
    sender.look()

    lease = acquire(store, "digits", purpose=Purpose.TRAIN)
    tell(sender)
    lease.release()
    tell(sender)

    assert receiver.requests == []


def test_a_receiver_in_trouble_is_asked_again_later_and_later_with_the_same_bytes(sender, receiver, store, clock):
    receiver.statuses = [500, 503]
    refuse(store, clock)

    tell(sender)
    assert len(receiver.requests) == 1
    clock.pass_by(seconds=4)
    tell(sender)
    assert len(receiver.requests) == 1, "too early"
    clock.pass_by(seconds=1)
    tell(sender)
    clock.pass_by(seconds=19)
    tell(sender)
    assert len(receiver.requests) == 2, "the second wait is longer"
    clock.pass_by(seconds=1)
    tell(sender)

    assert len({(each["webhook-id"], body) for each, body in receiver.requests}) == 1
    assert len({each["webhook-timestamp"] for each, _ in receiver.requests}) == 3
    assert all(verified(headers, body) for headers, body in receiver.requests)
    (facts,) = webhooks_facts(store)
    assert (facts["delivered"], facts["waiting"], facts["dead"]) == (1, [], [])


def test_what_never_arrives_is_given_up_shown_and_delivered_again_on_request(sender, receiver, store, clock):
    receiver.statuses = [400] * MOST_ATTEMPTS
    refuse(store, clock)
    for _ in range(MOST_ATTEMPTS + 3):
        tell(sender)
        clock.pass_by(days=1)

    assert len(receiver.requests) == MOST_ATTEMPTS
    ((dead,),) = [facts["dead"] for facts in webhooks_facts(store)]
    assert (dead["event"], dead["attempts"]) == (receiver.ids()[0], MOST_ATTEMPTS)
    assert dead["trouble"].startswith("answered 400")
    assert redeliver(store, dead["event"], actor="ada", now=clock()) == ["chat"]
    tell(sender)
    assert len(receiver.requests) == MOST_ATTEMPTS + 1
    assert receiver.requests[-1][1] == receiver.requests[0][1]
    assert {*receiver.ids()} == {dead["event"]}
    assert [facts["dead"] for facts in webhooks_facts(store)] == [[]]
    with pytest.raises(NotFound, match="no delivery"):
        redeliver(store, dead["event"], actor="ada", now=clock())


def test_attempts_and_waits_outlive_the_process(sender, receiver, store, clock, tmp_path):
    receiver.statuses = [500]
    refuse(store, clock)
    tell(sender)

    another = Sender(store, HooksFile(tmp_path / "webhooks.json"), now=clock)
    another.lead(True)
    tell(another)
    assert len(receiver.requests) == 1
    clock.pass_by(seconds=5)
    tell(another)

    assert len(receiver.requests) == 2
    assert len({*receiver.ids()}) == 1


def test_a_redirect_is_not_followed(sender, receiver, store, clock):
    receiver.statuses, receiver.headers = [302], {"Location": receiver.url}
    refuse(store, clock)

    tell(sender)

    assert len(receiver.requests) == 1
    ((waiting,),) = [facts["waiting"] for facts in webhooks_facts(store)]
    assert waiting["trouble"].startswith("answered 302")


def test_neither_store_nor_log_nor_facts_hold_the_secret_or_the_address(sender, receiver, store, clock, caplog):
    receiver.statuses = [500]
    refuse(store, clock)
    tell(sender)

    files = [store.read(path) for path in store.list("webhooks")]
    texts = [caplog.text, json.dumps(webhooks_facts(store)), *[content.decode() for content in files]]
    assert files
    assert all(secret not in text for text in texts for secret in (SECRET, SECRET[6:], "in-the-url", "/hook"))
    assert webhooks_facts(store)[0]["receiver"] == receiver.url.partition("/hook")[0]


def test_a_hook_gets_only_what_it_wants_and_a_new_one_no_history(store, receiver, clock, tmp_path):
    refuse(store, clock)
    promoted = {"name": "promotions", "url": receiver.url, "events": ["model.promoted"]}
    file = written(tmp_path, promoted)
    sender = Sender(store, file, now=clock)
    sender.lead(True)
    tell(sender)
    refuse(store, clock)
    tell(sender)
    assert receiver.requests == []

    written(tmp_path, promoted, {"name": "all", "url": receiver.url})
    tell(sender)
    assert receiver.requests == [], "the new hook begins now"
    refuse(store, clock)
    tell(sender)

    assert len(receiver.requests) == 1


def test_a_slow_receiver_holds_neither_the_other_hooks_nor_the_look(store, receiver, clock, tmp_path):
    with receiving() as slow:
        slow.hold = threading.Event()
        sender = Sender(
            store,
            written(tmp_path, {"name": "slow", "url": slow.url}, {"name": "quick", "url": receiver.url}),
            now=clock,
        )
        sender.lead(True)
        sender.look()
        refuse(store, clock)
        sender.look()
        until(slow.arrived.is_set)
        refuse(store, clock, why="again")
        while len(receiver.requests) < 2:
            sender.look()
            sender.note(0.05)

        assert len(slow.requests) == 1, "one post at a time"
        slow.hold.set()
        tell(sender)
        assert slow.ids() == receiver.ids()


def test_an_outbox_stays_small_and_nothing_that_waits_is_lost(sender, receiver, store, clock, monkeypatch):
    monkeypatch.setattr(outbox, "MOST_WAITING", 10)
    many = 25
    receiver.statuses = [500]
    refuse(store, clock)
    tell(sender)
    for _ in range(many - 1):
        refuse(store, clock)

    sender.look()
    assert len(StoredOutbox(store, "chat").read().waiting) == 10
    while sender.is_busy:
        sender.note(20.0)
    clock.pass_by(seconds=5)
    for _ in range(3):
        tell(sender)

    assert len({*receiver.ids()}) == many
    assert len(store.list("webhooks/chat")) <= 5


def test_of_the_dead_only_the_newest_are_kept_and_the_others_counted():
    now = Clock()()
    waiting = tuple(
        Delivery(event=f"evt_{n}", type="x", body="{}", due_at=now, attempts=MOST_ATTEMPTS - 1)
        for n in range(MOST_DEAD + 5)
    )
    box = Outbox(waiting=waiting)
    for each in waiting:
        box = box.after_failure(each.event, "no", attempts=each.attempts, now=now)

    assert (box.waiting, len(box.dead), box.dropped) == ((), MOST_DEAD, 5)
    assert box.dead[-1].event == waiting[-1].event


def test_a_damaged_log_does_not_silence_the_others(sender, receiver, store, clock, caplog):
    refuse(store, clock, model="bad")
    store.replace("models/bad/log/000001.json", b"{}")
    refuse(store, clock)

    tell(sender)

    assert len(receiver.requests) == 1
    assert "models/bad/log/000001.json" in caplog.text


def test_a_damaged_outbox_silences_its_own_hook_alone(store, receiver, clock, tmp_path, caplog):
    file = written(tmp_path, {"name": "bad", "url": receiver.url}, {"name": "good", "url": receiver.url})
    sender = Sender(store, file, now=clock)
    sender.lead(True)
    tell(sender)
    newest = max(path for path in store.list("webhooks/bad") if path.endswith(".json"))
    store.replace(newest, b"{}")
    refuse(store, clock)

    after = Sender(store, file, now=clock)
    after.lead(True)
    tell(after)

    assert len(receiver.requests) == 1
    assert newest in caplog.text


def test_a_file_that_has_become_wrong_is_told_and_the_last_right_one_holds(
    sender, receiver, store, clock, tmp_path, caplog
):
    (tmp_path / "webhooks.json").write_text("{")
    refuse(store, clock)

    tell(sender)

    assert len(receiver.requests) == 1
    assert "must be JSON" in caplog.text


KILLED = """
import os, signal, sys
from pathlib import Path
from vae_search.services.webhooks.hooks_file import HooksFile
from vae_search.services.webhooks.posting import post
from vae_search.services.webhooks.sender import Sender
from vae_search.store.backends.local import LocalStore

def send(*args, **more):
    post(*args, **more)
    os.kill(os.getpid(), signal.SIGKILL)

sender = Sender(LocalStore(Path(sys.argv[1])), HooksFile(Path(sys.argv[2])), send=send)
sender.lead(True)
sender.look()
while sender.is_busy:
    sender.note(60.0)
"""


def test_who_is_killed_between_delivery_and_note_is_followed_by_one_who_tells_it_again_by_the_same_id(
    sender, receiver, store, clock, tmp_path
):
    refuse(store, clock)
    command = [sys.executable, "-c", KILLED, store.location, str(tmp_path / "webhooks.json")]
    killed = subprocess.run(command, cwd=ROOT, timeout=60, check=False)
    assert killed.returncode == -9
    assert len(receiver.requests) == 1

    clock.pass_by(days=3650)  # the killed one had the real clock
    tell(sender)
    tell(sender)

    assert len(receiver.requests) == 2
    assert len({(headers["webhook-id"], body) for headers, body in receiver.requests}) == 1


class NoDrivers:
    """Drivers of a queue that is empty."""

    def ended(self) -> tuple:
        return ()


def test_of_two_servers_the_leader_tells_each_event_once_and_the_other_goes_on_after_it(store, receiver, tmp_path):
    file = written(tmp_path, {"name": "chat", "url": receiver.url})
    now = lambda: datetime.now(UTC)  # noqa: E731
    stops, threads, senders, leading = [], [], [], []
    for place in range(2):
        sender = Sender(store, file, look_s=0.02)
        sender.start()
        stopped = threading.Event()

        def on_leading(leads: bool, sender: Sender = sender, place: int = place) -> None:
            sender.lead(leads)
            (leading.append if leads else leading.remove)(place) if leads or place in leading else None

        thread = threading.Thread(
            target=dispatch,
            args=(store, NoDrivers()),
            kwargs={"stopped": stopped, "step_s": 0.02, "on_leading": on_leading},
        )
        thread.start()
        stops.append(stopped), threads.append(thread), senders.append(sender)
    try:
        until(lambda: StoredOutbox(store, "chat").read() is not None)
        for number in range(5):
            refuse(store, now, why=f"first {number}")
        until(lambda: len(receiver.requests) >= 5)
        (first,) = leading
        stops[first].set()
        threads[first].join()
        until(lambda: leading == [1 - first])
        for number in range(5):
            refuse(store, now, why=f"second {number}")
        until(lambda: StoredOutbox(store, "chat").read().delivered >= 10)
    finally:
        for stopped, thread, sender in zip(stops, threads, senders, strict=True):
            stopped.set()
            thread.join()
            sender.stop()

    reasons = [json.loads(body)["data"]["reasons"][0] for _, body in receiver.requests]
    assert sorted(reasons) == sorted(f"{half} {number}" for half in ("first", "second") for number in range(5))
