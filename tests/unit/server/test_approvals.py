"""Approval over HTTP: who may ask, approve and reject; what they see before; promotions in child processes."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.support.candidates import FakeBackend, candidate, put_sweep
from tests.support.web_service import NOW, app_of, client_of, token_file
from vae_search.queue.entries import QueueAction
from vae_search.queue.sweep_queue import SweepQueue
from vae_search.registry.promotion.decision import PromotionPolicy
from vae_search.registry.promotion.pipeline import promote_best
from vae_search.server.child_processes.promotions import MOST_AT_ONCE, Promotions
from vae_search.server.problems import RefusalError
from vae_search.server.tokens import Role
from vae_search.store.backends.local import LocalStore

API = "/api/v1/models"
ANSWER = json.dumps({"decision": {"outcome": "waiting"}, "error": None, "exit_code": 0})


@pytest.fixture
def waits(store: LocalStore) -> LocalStore:
    """Two sweeps have passed as versions of model `m`, which has no champion yet."""
    for trial, level in enumerate((232.0, 231.0), start=1):
        sweep = f"sweep-{trial}"
        put_sweep(store, candidate((level - 0.1, level, level + 0.1), trial=trial), sweep=sweep)
        policy = PromotionPolicy(needs_approval=True)
        promote_best(store, sweep, model="m", rules=policy, backend=FakeBackend(), now=lambda: NOW, actor="grace")
    return store


@pytest.fixture
def clients(waits: LocalStore, tmp_path: Path) -> Iterator[dict[Role, TestClient]]:
    file, tokens = token_file(tmp_path)
    app = app_of(waits, tokens=file)
    with ExitStack() as stack:
        yield {role: stack.enter_context(client_of(app, token)) for role, token in tokens.items()}


def of(clients: dict[Role, TestClient]) -> Promotions:
    return clients[Role.APPROVER].app.state.service.promotions


def ended() -> None:
    """Wait for the followers of all children."""
    for thread in threading.enumerate():
        if thread.name.startswith("promotion of"):
            thread.join()


def shell(script: str) -> tuple[str, ...]:
    """A child: $0 is the store, then sweep, model, actor and the file for the answer."""
    return ("/bin/sh", "-c", script)


@pytest.mark.parametrize("word", ["approve", "reject"])
def test_only_an_approver_gives_his_word(clients, word):
    body = {"version": 1, "why": "it blurs sevens"}

    answers = {role: client.post(f"{API}/m:{word}", json=body) for role, client in clients.items()}

    assert {role: answer.status_code for role, answer in answers.items()} == {
        Role.VIEWER: 403,
        Role.SUBMITTER: 403,
        Role.APPROVER: 200,
    }
    told = answers[Role.APPROVER].json()
    assert (told["version"], told["approved"], told["champion"]) == (
        1,
        word == "approve",
        1 if word == "approve" else None,
    )
    entry = clients[Role.VIEWER].get(f"{API}/m").json()["log"][-1]
    assert (entry["action"], entry["actor"], entry["reasons"]) == (word, "approver", ["it blurs sevens"])
    assert clients[Role.VIEWER].get("/api/v1/audit?actor=approver").json()["items"][0]["action"] == word
    assert clients[Role.APPROVER].post(f"{API}/m:{word}", json=body).status_code == 200  # again: the same
    other = {"approve": "reject", "reject": "approve"}[word]
    assert clients[Role.APPROVER].post(f"{API}/m:{other}", json=body).status_code == 409


def test_the_evidence_is_before_their_eyes_and_the_test_images_are_not(clients):
    facts = clients[Role.VIEWER].get(f"{API}/m/waiting").json()

    first, _ = facts["items"]
    assert (facts["champion"], first["candidate"], first["asked_by"]) == (None, "sweep-1/1", "grace")
    assert [gate["passed"] for gate in first["evidence"]["gates"]] == [True] * 16
    assert first["approving"] == "Version 1 becomes champion of m, and is served from then on."
    assert "233.0" not in json.dumps(facts)  # what the test images gave
    assert clients[Role.VIEWER].get(f"{API}/m/versions/1").json()["card"]["test"] is None
    told = clients[Role.VIEWER].get(f"{API}/m/entries/{first['entry']}").json()
    assert told == first["evidence"]
    assert clients[Role.VIEWER].get(f"{API}/m/entries/1").status_code == 404


def test_a_word_on_what_has_changed_meanwhile_is_refused(clients):
    boss = clients[Role.APPROVER]
    waiting = boss.get(f"{API}/m/waiting").json()["items"]
    assert boss.post(f"{API}/m:approve", json={"version": 1, "why": "yes", "entry": 99}).status_code == 409
    assert boss.post(f"{API}/m:approve", json={"version": 1, "why": "yes", "entry": waiting[0]["entry"]}).is_success

    late = boss.post(f"{API}/m:approve", json={"version": 2, "why": "yes", "entry": waiting[1]["entry"]})

    assert late.status_code == 409
    assert "met no champion in its contest, but version 1 is champion now" in late.json()["detail"]
    assert not boss.get(f"{API}/m/waiting").json()["items"][0]["can_be_approved"]


@pytest.mark.parametrize("body", [{}, {"version": 1}, {"version": 0, "why": "x"}, {"version": 1, "why": ""}])
def test_a_word_needs_a_version_and_a_reason(clients, body):
    assert clients[Role.APPROVER].post(f"{API}/m:approve", json=body).status_code == 422


def test_a_sweep_asks_for_its_owner_and_for_approvers_only(clients, waits):
    promotions = of(clients)
    promotions._command = shell(f"echo '{ANSWER}' > $4")
    for name in ("sweep-1", "nosuch"):
        assert clients[Role.VIEWER].post(f"{API}/m:promote", json={"sweep": name}).status_code == 403
    assert clients[Role.SUBMITTER].post(f"{API}/m:promote", json={"sweep": "sweep-1"}).status_code == 403
    assert clients[Role.SUBMITTER].post(f"{API}/m:promote", json={"sweep": "nosuch"}).status_code == 404
    assert clients[Role.APPROVER].post(f"{API}/No Model:promote", json={"sweep": "sweep-1"}).status_code == 422
    queue = SweepQueue(waits, now=lambda: NOW)
    item = queue.submit("name: sweep-1", sweep="sweep-1", actor="submitter")
    queue.order(QueueAction.CANCEL, item.number, actor="submitter")  # over, as it mostly is by then

    mine = clients[Role.SUBMITTER].post(f"{API}/m:promote", json={"sweep": "sweep-1"})
    all_of_them = clients[Role.APPROVER].post(f"{API}/m:promote", json={"sweep": "sweep-2"})
    ended()

    assert (mine.status_code, all_of_them.status_code) == (202, 202)
    told = clients[Role.VIEWER].get(f"{API}/m/promotions").json()["items"]
    assert {(each["sweep"], each["asked_by"], each["state"]) for each in told} == {
        ("sweep-1", "submitter", "ended"),
        ("sweep-2", "approver", "ended"),
    }
    assert told[0]["decision"] == {"outcome": "waiting"}


def test_the_same_request_while_one_runs_is_that_one_and_only_so_many_run(tmp_path):
    gate, started = tmp_path / "gate", tmp_path / "started"
    os.mkfifo(gate)
    promotions = Promotions(
        "store", now=lambda: NOW, command=shell(f"echo $1 >> {started}; read go < {gate}; echo '{ANSWER}' > $4")
    )

    first = promotions.ask("a", model="m", actor="ada")
    assert promotions.ask("a", model="m", actor="bob") is first
    for number in range(1, MOST_AT_ONCE):
        promotions.ask(f"b{number}", model="m", actor="ada")
    with pytest.raises(RefusalError, match="promotions are running"):
        promotions.ask("c", model="m", actor="ada")
    assert [each.state for each in promotions.of("m")] == ["running"] * MOST_AT_ONCE
    assert promotions.of("other") == []
    with os.fdopen(os.open(gate, os.O_RDWR), "wb", buffering=0) as opened:  # without waiting for a reader
        opened.write(b"go\n" * MOST_AT_ONCE)
        ended()

    assert sorted(started.read_text().split()) == ["a", *(f"b{number}" for number in range(1, MOST_AT_ONCE))]
    assert [each.state for each in promotions.of("m")] == ["ended"] * MOST_AT_ONCE


def test_a_promotion_that_cannot_be_started_leaves_its_place(tmp_path):
    promotions = Promotions("store", now=lambda: NOW, command=[str(tmp_path / "none")])

    for number in range(MOST_AT_ONCE + 1):
        promotions.ask(f"s{number}", model="m", actor="ada")
        ended()

    assert {each.state for each in promotions.of("m")} == {"failed"}
    assert "could not be started" in promotions.of("m")[0].error


@pytest.mark.parametrize(
    ("script", "timeout_s", "error"),
    [
        ("kill -9 $$", 60, "ended without a word"),
        ("read go < $0", 0.05, "did not end within 0.05 s"),
        ('echo \'{"decision": null, "error": "no confirm run", "exit_code": 2}\' > $4', 60, "no confirm run"),
    ],
)
def test_a_promotion_that_fails_says_why(tmp_path, script, timeout_s, error):
    os.mkfifo(tmp_path / "never")
    command = shell(script)
    promotions = Promotions(str(tmp_path / "never"), now=lambda: NOW, command=command, timeout_s=timeout_s)
    promotions.ask("a", model="m", actor="ada")
    ended()

    (told,) = promotions.of("m")
    assert (told.state, told.decision) == ("failed", None)
    assert error in told.error


def test_the_end_of_the_service_ends_its_children(tmp_path):
    os.mkfifo(tmp_path / "never")
    promotions = Promotions(str(tmp_path / "never"), now=lambda: NOW, command=shell("read go < $0"))
    promotions.ask("a", model="m", actor="ada")

    promotions.end()

    assert [each.state for each in promotions.of("m")] == ["failed"]
    with pytest.raises(RefusalError):
        promotions.ask("a", model="m", actor="ada")


@pytest.mark.slow
def test_a_real_child_finds_what_is_decided(clients):
    assert clients[Role.APPROVER].post(f"{API}/m:promote", json={"sweep": "sweep-2"}).status_code == 202
    ended()

    (told,) = clients[Role.VIEWER].get(f"{API}/m/promotions").json()["items"]
    assert (told["state"], told["error"]) == ("ended", None)
    assert (told["decision"]["outcome"], told["decision"]["version"]) == ("waiting", 2)
