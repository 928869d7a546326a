"""Page of a promotion: what will happen is said before anybody asks, who may ask, and what came of it."""

import json
import threading

import pytest
from starlette.testclient import TestClient

from tests.support.candidates import candidate, put_sweep
from tests.support.page_reading import read, send
from tests.support.published_models import publish
from tests.support.web_service import NOW, app_of, client_of, token_file
from vae_search.data.comparability import METRIC_VERSION
from vae_search.queue.sweep_queue import SweepQueue
from vae_search.server.child_processes.promotions import Promotions
from vae_search.server.tokens import Role
from vae_search.services.models.promotion_outlook import promotion_outlook
from vae_search.store.backends.local import LocalStore
from vae_search.store.paths import SweepPaths

BETTER = (229.9, 230.0, 230.1)


@pytest.fixture
def store(tmp_path) -> LocalStore:
    """Model `digits` with a champion of sweep `first`; sweep `asks`, of the submitter, names it and is not judged."""
    store = LocalStore(tmp_path / "store")
    assert publish(store, "first", actor="grace") == "promoted"
    put_asking(store, "asks", promote="promote: {model: digits}")
    SweepQueue(store, now=lambda: NOW).submit("name: asks", sweep="asks", actor="submitter")
    return store


@pytest.fixture
def clients(store, tmp_path) -> dict[Role, TestClient]:
    file, tokens = token_file(tmp_path)
    app = app_of(store, tokens=file)
    return {role: client_of(app, token) for role, token in tokens.items()}


def put_asking(store: LocalStore, sweep: str, **more: str) -> None:
    """A sweep with one finalist, as this version of the program judges them."""
    put_sweep(store, candidate(BETTER, trial=4), sweep=sweep, **more)
    path = SweepPaths(sweep).resolved
    store.replace(path, json.dumps(json.loads(store.read(path)) | {"metric_version": METRIC_VERSION}).encode())


def answering(clients: dict[Role, TestClient], **said: object) -> None:
    """Let promotions end with these words, without measuring anything."""
    answer = json.dumps({"decision": None, "error": None, "exit_code": 0} | said)
    service = clients[Role.VIEWER].app.state.service
    command = ("/bin/sh", "-c", f"echo '{answer}' > $4")
    service.promotions = Promotions("store", now=lambda: NOW, command=command)


def ended() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("promotion of"):
            thread.join()


def test_it_says_first_who_asks_whom_they_face_and_what_follows(clients):
    page = read(clients[Role.SUBMITTER], "/promote?sweep=asks")

    assert "One finalist asks" in page.text
    assert "trial 4" in page.text
    assert "230.00" in page.text
    assert "faces version 1 of digits, first/0" in page.text
    assert "becomes champion at once" in page.text
    assert (page.fields["sweep"], page.fields["model"]) == ("asks", "digits")
    assert [button.get("class") for button in page.buttons if button.get("class") == "primary"] == ["primary"]


def test_a_model_that_asks_for_approval_and_a_new_one_are_told_apart(clients, store):
    publish(store, "careful", BETTER, model="careful", needs_approval=True)

    waiting = read(clients[Role.SUBMITTER], "/promote?sweep=asks&model=careful").text
    new = read(clients[Role.SUBMITTER], "/promote?sweep=asks&model=new").text

    assert "an approver looks at the evidence" in waiting
    assert "no champion yet" in waiting
    assert "There is no model new yet" in new


def test_who_was_judged_before_is_named_with_the_entry_that_has_the_verdicts(store):
    first = promotion_outlook(store, "first", model="digits").asking[0]
    asks = promotion_outlook(store, "asks").asking[0]

    assert (first.candidate, first.judged, first.seeds) == ("first/0", 2, 3)
    assert asks.judged is None


def test_a_promotion_is_asked_for_followed_and_told_with_its_reasons(clients):
    decision = {"outcome": "rejected", "candidate": "asks/4", "version": 2, "reasons": ["gate rate: too low"]}
    answering(clients, decision=decision)
    mine = clients[Role.SUBMITTER]

    address = send(mine, "/promote", {"sweep": "asks", "model": "digits"})
    ended()
    page = read(mine, "/promote?sweep=asks&model=digits")

    assert address == "/promote?sweep=asks&model=digits"
    assert mine.app.state.service.promotions.changes == 2  # it began and ended: the stream tells both
    assert "asks/4: It was refused." in page.text
    assert "gate rate: too low" in page.text
    assert "asked by submitter" in page.text
    assert 'data-stream="/events"' in page.html


def test_one_that_failed_says_why_and_can_be_asked_for_again(clients):
    answering(clients, error="sweep asks: the images are gone.", exit_code=5)
    send(clients[Role.SUBMITTER], "/promote", {"sweep": "asks", "model": "digits"})
    ended()

    page = read(clients[Role.SUBMITTER], "/promote?sweep=asks&model=digits")

    assert "the images are gone" in page.text
    assert any(button.get("class") == "primary" for button in page.buttons)


def test_what_keeps_a_sweep_from_asking_is_said_instead_of_a_button(clients, store):
    put_sweep(store, sweep="bare", promote="promote: {model: digits}")
    put_asking(store, "foreign")

    put_sweep(store, candidate(BETTER, trial=4), sweep="old", promote="promote: {model: digits}")

    bare = read(clients[Role.APPROVER], "/promote?sweep=bare")
    old = read(clients[Role.APPROVER], "/promote?sweep=old")
    foreign = read(clients[Role.SUBMITTER], "/promote?sweep=foreign&model=digits")

    assert "no confirm run has completed" in bare.text
    assert "belongs to nobody" in foreign.text
    assert "of the metric" in old.text
    assert not any(button.get("class") == "primary" for page in (bare, foreign, old) for button in page.buttons)


def test_only_submitters_come_here_and_only_owners_and_approvers_ask(clients, store):
    put_asking(store, "foreign")
    answering(clients, error="not measured")

    read(clients[Role.VIEWER], "/promote?sweep=asks", status=403)
    send(clients[Role.VIEWER], "/promote", {"sweep": "asks", "model": "digits"}, status=403)
    refused = send(clients[Role.SUBMITTER], "/promote", {"sweep": "foreign", "model": "digits"}, status=403)
    assert "belongs to nobody" in refused.text
    send(clients[Role.APPROVER], "/promote", {"sweep": "foreign", "model": "digits"})
    ended()


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("", 200, "Which sweep, which model"),
        ("?sweep=none", 404, "none"),
        ("?sweep=../up", 422, "sweep: must be"),
        ("?sweep=asks&model=../up", 422, "model: must be"),
        ("?sweep=%3Cscript%3E", 422, "<script>"),
    ],
)
def test_what_is_no_sweep_and_no_model_is_told(query, status, said, clients):
    page = read(clients[Role.APPROVER], f"/promote{query}", status=status)

    assert said in page.text
    assert "<script>" not in page.html.replace("<script defer", "")


def test_pages_of_sweep_and_models_lead_there(clients):
    assert "/promote?sweep=asks" in read(clients[Role.SUBMITTER], "/sweeps/asks").links
    assert "/promote" in read(clients[Role.SUBMITTER], "/models").links
    assert 'action="/promote"' in read(clients[Role.SUBMITTER], "/models/digits").html
    assert 'action="/promote"' not in read(clients[Role.VIEWER], "/models/digits").html
