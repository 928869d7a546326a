"""Control over HTTP: who may, what becomes of it in the store, and an order that is sent twice."""

import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.support.stores import SPEC, filled_store
from tests.support.web_service import NOW, app_of, client_of, token_file
from vae_search.data.comparability import METRIC_VERSION
from vae_search.queue.entries import QueueAction
from vae_search.queue.state import ItemState
from vae_search.queue.sweep_queue import SweepQueue
from vae_search.server.submissions import DataRoots
from vae_search.server.tokens import Role
from vae_search.services.control import commands
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.backends.local import LocalStore
from vae_search.store.control.command_log import CommandLog
from vae_search.store.leases.lease import acquire
from vae_search.store.leases.records import Purpose
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import sweep_record

SWEEP = "/api/v1/sweeps/digits"
FORK = {"name": "wide", "changes": {"search_space.latent_dim": {"type": "int", "low": 8, "high": 64}}}


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """A sweep with eight trials that have ended, of a budget of ten."""
    store = filled_store(tmp_path / "store")
    path = SweepPaths("digits").resolved
    record = json.loads(store.read(path)) | {"metric_version": METRIC_VERSION}
    record["spec"]["budget"]["trials"] = 10
    store.replace(path, json.dumps(record).encode())
    return store


@pytest.fixture
def clients(store: LocalStore, tmp_path: Path) -> dict[Role, TestClient]:
    file, tokens = token_file(tmp_path)
    app = app_of(store, tokens=file, roots=DataRoots(folders=(tmp_path.resolve(),)))
    return {role: client_of(app, token) for role, token in tokens.items()}


@pytest.fixture
def submitter(clients) -> TestClient:
    return clients[Role.SUBMITTER]


@pytest.fixture
def queue(store: LocalStore) -> SweepQueue:
    return SweepQueue(store, now=lambda: NOW)


@pytest.fixture
def own(queue: SweepQueue) -> int:
    """The sweep's item in the queue, which belongs to the submitter."""
    return queue.submit(SPEC, sweep="digits", actor="submitter").number


def commands_of(store: LocalStore) -> list:
    return [*CommandLog(store, "digits", incarnation=None).commands()]


CHANGES = [
    ("POST", "/trials", {"params": {"latent_dim": 5}}),
    ("PATCH", "", {"settings": {"budget.trials": 12}}),
    ("POST", ":resume", None),
]


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_a_sweep_that_is_not_ones_own_takes_orders_of_approvers_alone(method, path, body, clients, queue):
    queue.submit(SPEC, sweep="digits", actor="somebody else")

    answers = {role: client.request(method, SWEEP + path, json=body).status_code for role, client in clients.items()}

    assert answers == {Role.VIEWER: 403, Role.SUBMITTER: 403, Role.APPROVER: 202}


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_a_sweep_that_was_never_queued_belongs_to_nobody(method, path, body, clients):
    answers = {role: client.request(method, SWEEP + path, json=body).status_code for role, client in clients.items()}

    assert answers == {Role.VIEWER: 403, Role.SUBMITTER: 403, Role.APPROVER: 202}


def test_a_config_is_enqueued_in_the_name_of_its_sender(store, submitter, own):
    answer = submitter.post(f"{SWEEP}/trials", json={"params": {"latent_dim": 5, "beta": 1}})

    (command,) = commands_of(store)
    assert answer.status_code == 202
    assert answer.json()["command"] == 1
    assert (command.actor, command.params) == ("submitter", {"latent_dim": 5, "beta": 1.0})


def test_the_same_config_with_the_same_key_is_one_command_even_if_its_place_is_the_last(store, submitter, own):
    submitter.patch(SWEEP, json={"settings": {"budget.trials": 9}})
    key = {"Idempotency-Key": "mine"}

    first, again = (submitter.post(f"{SWEEP}/trials", json={"params": {"depth": 2}}, headers=key) for _ in range(2))
    other = submitter.post(f"{SWEEP}/trials", json={"params": {"depth": 3}}, headers=key)

    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert other.status_code == 409
    assert len(commands_of(store)) == 2


def test_without_a_key_the_same_config_twice_is_two_commands(store, submitter, own):
    numbers = [submitter.post(f"{SWEEP}/trials", json={"params": {"depth": 2}}).json()["command"] for _ in range(2)]

    assert numbers == [1, 2]


def test_the_same_key_of_another_person_is_another_command(store):
    numbers = [
        commands.enqueue_config(store, "digits", {"depth": 2}, actor=actor, now=lambda: NOW, idempotency_key="x")
        for actor in ("ada", "bob", "ada")
    ]

    assert numbers == [1, 2, 1]


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/trials", {"params": {"latent_dim": 500}}, "latent_dim"),
        ("/trials", {"params": {"latnt_dim": 5}}, "latnt_dim"),
        ("/trials", {"params": {"latent_dim": [1]}}, "latent_dim"),
        ("/trials", {}, "params"),
        (":fork", {"name": "../up"}, "name"),
        (":fork", FORK | {"spec": "name: x"}, "budget"),
        (":fork", {"name": "wide", "changes": {"budget.trails": 3}}, "trails"),
    ],
)
def test_a_wrong_order_is_refused_with_its_key(path, body, says, submitter, own, store):
    answer = submitter.post(SWEEP + path, json=body)

    assert answer.status_code == 422
    assert says in answer.text
    assert commands_of(store) == []


def test_settings_are_changed_and_those_that_may_not_are_refused(store, submitter, own):
    taken = submitter.patch(SWEEP, json={"settings": {"budget.trials": 12, "resources.concurrency": 3}})
    refused = submitter.patch(SWEEP, json={"settings": {"budget.epochs": 12}})

    assert (taken.status_code, refused.status_code) == (202, 422)
    (command,) = commands_of(store)
    assert command.settings == {"budget.trials": 12, "resources.concurrency": 3}


def test_a_trial_that_has_ended_or_is_none_cannot_be_stopped(submitter, own):
    assert submitter.post(f"{SWEEP}/trials/1:stop").status_code == 409
    assert submitter.post(f"{SWEEP}/trials/99:stop").status_code == 404
    assert submitter.post("/api/v1/sweeps/nosuch/trials/1:stop").status_code == 404


def test_a_trial_in_flight_is_stopped(store, submitter, own):
    store.create(SweepPaths("digits").suggestion("000008"), b"{}")

    answer = submitter.post(f"{SWEEP}/trials/8:stop")

    assert answer.status_code == 202
    assert [command.trial for command in commands_of(store)] == [8]


def test_resume_releases_the_item_that_is_held(submitter, own, queue):
    queue.order(QueueAction.HOLD, own, actor="submitter")

    answer = submitter.post(f"{SWEEP}:resume")

    assert answer.json()["queued"]["state"] == "waiting"
    assert queue.state().item(own).state is ItemState.WAITING


def test_resume_queues_what_the_store_knows_once_the_item_is_over(store, submitter, own, queue):
    queue.order(QueueAction.CANCEL, own, actor="submitter")
    submitter.patch(SWEEP, json={"settings": {"budget.trials": 12}})

    answer = submitter.post(f"{SWEEP}:resume")

    item = queue.state().of_sweep("digits")
    assert answer.status_code == 202
    assert (item.owner, item.number) == ("submitter", answer.json()["queued"]["item"])
    queued = parse_spec(item.spec, base=Path("/elsewhere"))
    assert queued.budget.trials == 12
    assert queued.sha256 == sweep_record.read(store, "digits").spec.sha256


def test_a_sweep_that_somebody_runs_is_not_queued_beside_that(store, clients):
    lease = acquire(store, "digits", purpose=Purpose.TRAIN)
    try:
        answer = clients[Role.APPROVER].post(f"{SWEEP}:resume")
    finally:
        lease.release()

    assert answer.status_code == 409
    assert "runs it already" in answer.json()["detail"]


def test_a_fork_is_queued_with_what_it_has_borrowed_and_belongs_to_its_sender(store, submitter, queue):
    answer = submitter.post(f"{SWEEP}:fork", json=FORK | {"priority": 3})

    assert answer.status_code == 201
    assert (answer.json()["borrowed"], answer.json()["left_out"]) == (4, {"latent_dim": 1})
    (item,) = queue.state().items
    assert (item.sweep, item.owner, item.priority) == ("wide", "submitter", 3)
    assert answer.headers["Location"] == f"/api/v1/queue/{item.number}"
    assert submitter.get("/api/v1/sweeps/wide").json()["borrowed"] == {"sweep": "digits", "trials": 4}
    spec = sweep_record.read(store, "wide").spec
    assert parse_spec(item.spec, base=Path("/elsewhere")).sha256 == spec.sha256


def test_the_same_fork_with_the_same_key_is_one_item_and_another_one_is_refused(submitter, queue):
    key = {"Idempotency-Key": "mine"}

    first, again = (submitter.post(f"{SWEEP}:fork", json=FORK, headers=key) for _ in range(2))
    other = submitter.post(f"{SWEEP}:fork", json=FORK)

    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 409)
    assert first.json()["item"] == again.json()["item"]
    assert len(queue.state().items) == 1


def test_nobody_comes_to_own_a_sweep_by_sending_it_again(store, submitter, clients, queue):
    spec = submitter.get(SWEEP).json()["spec"]

    never_queued = submitter.post("/api/v1/sweeps", json=spec)
    item = queue.submit(SPEC, sweep="digits", actor="ada")
    queue.order(QueueAction.CANCEL, item.number, actor="ada")
    once_ada_s = submitter.post("/api/v1/sweeps", json=spec)
    by_approver = clients[Role.APPROVER].post("/api/v1/sweeps", json=spec)

    assert (never_queued.status_code, once_ada_s.status_code, by_approver.status_code) == (403, 403, 201)


def test_nobody_comes_to_own_a_fork_by_asking_for_it_again(clients, submitter, queue):
    made = clients[Role.APPROVER].post(f"{SWEEP}:fork", json=FORK).json()["item"]
    queue.order(QueueAction.CANCEL, made, actor="approver")

    assert submitter.post(f"{SWEEP}:fork", json=FORK).status_code == 403


def test_a_stop_reaches_who_runs_a_sweep_by_hand_while_its_item_waits(store, submitter, own, queue):
    lease = acquire(store, "digits", purpose=Purpose.TRAIN)
    try:
        answer = submitter.post(f"{SWEEP}:stop")
        asked = lease.stop_requested
    finally:
        lease.release()

    assert answer.status_code == 202
    assert asked
    assert queue.state().item(own).state is ItemState.HELD


def test_a_viewer_forks_nothing(clients, store):
    assert clients[Role.VIEWER].post(f"{SWEEP}:fork", json=FORK).status_code == 403
    assert sweep_record.find(store, "wide") is None


@pytest.mark.parametrize("source", ["/etc", "https://evil.example/x.npz"])
def test_a_fork_reads_no_images_that_a_spec_over_http_may_not_name(source, submitter, store):
    spec = SPEC.replace("./images", source)

    for body in (FORK | {"spec": spec}, FORK | {"changes": {"data.source": source}}):
        assert submitter.post(f"{SWEEP}:fork", json=body).status_code in (409, 422)

    assert sweep_record.find(store, "wide") is None


def test_a_fork_names_no_network_that_a_spec_over_http_may_not_name(submitter, store, tmp_path, monkeypatch):
    (tmp_path / "my_nets.py").write_text("def build(image_shape, latent_dim, outputs_per_value): 1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))  # installed, but not offered

    told = submitter.post(
        f"{SWEEP}:fork", json=FORK | {"changes": {"search_space.architecture": "keras:my_nets:build"}}
    )

    assert told.status_code == 422
    assert "may name only networks that an installed package offers" in told.text
    assert sweep_record.find(store, "wide") is None


def test_a_sweep_of_a_network_that_is_not_offered_is_not_gone_on_with_for_somebody_over_http(clients, store, queue):
    path = SweepPaths("digits").resolved
    record = json.loads(store.read(path))
    record["spec"]["search_space"]["architecture"] = "keras:my_nets:build"
    store.replace(path, json.dumps(record).encode())

    told = clients[Role.APPROVER].post(f"{SWEEP}:resume")

    assert told.status_code == 422
    assert "may name only networks that an installed package offers" in told.text
    assert not queue.state().items


def test_images_outside_the_data_roots_are_not_read_again_for_somebody_over_http(store, tmp_path):
    file, tokens = token_file(tmp_path)
    client = client_of(app_of(store, tokens=file), tokens[Role.APPROVER])

    assert client.post(f"{SWEEP}:fork", json=FORK).status_code == 422
    assert client.post(f"{SWEEP}:resume").status_code == 422
