"""Pages of the queue: who may give which order, what it does, and what is said before."""

import pytest

from tests.support.page_reading import read, send
from tests.support.stores import filled_store
from tests.support.web_service import NOW, app_of, client_of, token_file
from vae_search.queue.entries import QueueAction
from vae_search.queue.sweep_queue import SweepQueue
from vae_search.server.examples import SPEC
from vae_search.server.tokens import Role
from vae_search.store.leases.processes import this_process

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def queue(store) -> SweepQueue:
    queue = SweepQueue(store, now=lambda: NOW)
    for name, owner in (("first", "submitter"), ("second", "grace"), ("third", "submitter")):
        queue.submit(SPEC.replace("name: digits", f"name: {name}"), sweep=name, actor=owner)
    return queue


@pytest.fixture
def clients(store, queue, tmp_path):
    file, tokens = token_file(tmp_path)
    app = app_of(store, look_s=0.0, tokens=file)
    return {role: client_of(app, token) for role, token in tokens.items()}


def order_of(queue: SweepQueue) -> list[str]:
    return [item.sweep for item in queue.state().items]


def start(queue: SweepQueue, number: int) -> int:
    leader = queue.lead(this_process(), seen=queue.state())
    queue.note(QueueAction.START, number, leader=leader)
    return leader


def test_an_item_goes_up_and_down_one_place_past_what_is_over(clients, queue):
    queue.order(QueueAction.CANCEL, 2, actor="grace")
    mine = clients[Role.SUBMITTER]

    address = send(mine, "/queue/3", {"order": "up", "from": "queue"})
    assert (address, order_of(queue)) == ("/queue?done=up", ["third", "first", "second"])
    send(mine, "/queue/3", {"order": "up"})
    assert order_of(queue)[0] == "third"
    send(mine, "/queue/3", {"order": "down"})
    assert [name for name in order_of(queue) if name != "second"] == ["first", "third"]
    send(mine, "/queue/3", {"order": "down"})
    assert [name for name in order_of(queue) if name != "second"] == ["first", "third"]


def test_orders_stand_in_the_log_with_person_and_reason(clients, queue):
    mine = clients[Role.SUBMITTER]

    send(mine, "/queue/1", {"order": "hold", "reason": "the cluster is full"})
    held = read(mine, "/queue/1?done=hold")
    send(mine, "/queue/1", {"order": "release"})
    send(mine, "/queue/1", {"order": "prioritize", "priority": "-5"})
    send(mine, "/queue/1", {"order": "cancel"})

    assert "held" in held.text
    entries = mine.get("/api/v1/audit?actor=submitter").json()["items"]
    assert [entry["action"] for entry in reversed(entries)][2:] == ["hold", "release", "prioritize", "cancel"]
    assert next(entry for entry in entries if entry["action"] == "hold")["reasons"] == ["the cluster is full"]
    refused = send(mine, "/queue/1", {"order": "release"}, status=409)
    assert "nothing can be ordered" in refused.text


@pytest.mark.parametrize("fields", [{"order": ""}, {"order": "lead"}, {"order": "prioritize", "priority": "101"}])
def test_what_is_no_order_is_refused(fields, clients):
    send(clients[Role.APPROVER], "/queue/1", fields, status=422)
    send(clients[Role.APPROVER], "/queue/99", {"order": "up"}, status=404)


def test_each_role_sees_the_orders_that_it_may_give_and_is_refused_the_others(clients):
    def ordered(role: Role) -> list[str | None]:
        return [button["aria-label"] for button in read(clients[role], "/queue").buttons if button.get("name")]

    assert ordered(Role.VIEWER) == []
    assert [label.split()[1] for label in ordered(Role.SUBMITTER)] == ["first"] * 3 + ["third"] * 3
    assert len(ordered(Role.APPROVER)) == 9
    assert "Only its owner and approvers" in read(clients[Role.SUBMITTER], "/queue/2").text
    foreign = send(clients[Role.SUBMITTER], "/queue/2", {"order": "cancel"}, status=403)
    assert "This belongs to grace" in foreign.text
    send(clients[Role.VIEWER], "/queue/1", {"order": "cancel"}, status=403)


def test_what_an_order_would_do_is_said_as_the_item_stands(clients, queue):
    mine = clients[Role.SUBMITTER]
    waiting = read(mine, "/queue/1").text
    leader = start(queue, 1)
    running = read(mine, "/queue/1").text
    queue.order(QueueAction.HOLD, 1, actor="submitter")
    stopping = read(mine, "/queue/1").text
    queue.note(QueueAction.END, 1, leader=leader, exit_code=2, reason=HOSTILE)
    queue.order(QueueAction.RELEASE, 1, actor="submitter")

    assert "does not start until it is released" in waiting
    assert "running trials save their epochs" in running
    assert "being stopped" in stopping


def test_a_parked_item_tells_its_reason_escaped_and_may_be_tried_again(clients, queue):
    mine = clients[Role.SUBMITTER]
    leader = start(queue, 1)
    queue.note(QueueAction.END, 1, leader=leader, exit_code=2, reason=HOSTILE)

    page, listed = read(mine, "/queue/1"), read(mine, "/queue")

    assert HOSTILE not in page.html + listed.html
    assert HOSTILE in page.text
    assert HOSTILE in listed.text
    assert "it was parked" in page.text
    assert "parked" in listed.text


def test_what_is_over_is_counted_and_shown_when_asked_for(clients, queue):
    queue.order(QueueAction.CANCEL, 2, actor="grace")

    few, all_of_it = read(clients[Role.VIEWER], "/queue"), read(clients[Role.VIEWER], "/queue?all=true")

    assert "second" not in few.text
    assert "1 item is done or cancelled" in few.text
    assert "second" in all_of_it.text


def test_an_item_whose_sweep_has_begun_leads_to_it_and_to_another_like_it(tmp_path):
    store = filled_store(tmp_path / "begun")
    SweepQueue(store, now=lambda: NOW).submit(SPEC, sweep="digits", actor="ada")

    page = read(client_of(app_of(store)), "/queue/1")

    assert {"/sweeps/digits", "/new?like=digits", "/audit?sweep=digits"} <= {*page.links}


def test_the_queue_and_an_item_follow_the_stream_of_all_pages_and_ask_by_themselves_for_nothing(clients, queue):
    for path in ("/queue", "/queue/1"):
        page = read(clients[Role.VIEWER], path).html
        assert 'data-stream="/events"' in page
        assert 'hx-trigger="news from:body"' in page
        assert "every " not in page


def test_an_empty_queue_and_a_silent_dispatcher_are_told(store, tmp_path):
    with client_of(app_of(store)) as client:
        page = read(client, "/queue")

    assert "Nothing waits" in page.text
    assert "No dispatcher" in page.text
