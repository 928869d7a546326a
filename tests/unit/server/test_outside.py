"""What others see of the service: webhooks that did not arrive, and figures as Prometheus reads them."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from tests.support.command_line import vae_search
from tests.support.stores import filled_store
from tests.support.web_service import NOW, app_of, client_of
from vae_search.queue.sweep_queue import SweepQueue
from vae_search.services.webhooks.outbox import MOST_ATTEMPTS, Delivery, Outbox
from vae_search.services.webhooks.outboxes import StoredOutbox
from vae_search.store.backends.local import LocalStore

DEAD = Delivery(
    event="evt_dead", type="model.refused", body='{"type": "x"}', due_at=NOW, attempts=MOST_ATTEMPTS, trouble="no"
)
WAITING = Delivery(event="evt_waits", type="sweep.failed", body="{}", due_at=NOW + timedelta(hours=1), attempts=3)


@pytest.fixture
def filled(tmp_path: Path) -> LocalStore:
    store = filled_store(tmp_path / "store")
    box = Outbox(receiver="https://chat.example", waiting=(WAITING,), dead=(DEAD,), delivered=4, delivered_at=NOW)
    StoredOutbox(store, "chat").change(lambda before: box)
    return store


@pytest.fixture
def client(filled: LocalStore) -> Iterator[TestClient]:
    with client_of(app_of(filled)) as client:
        yield client


def test_what_did_not_arrive_is_listed_and_delivered_again_on_request(client, filled):
    (hook,) = client.get("/api/v1/webhooks").json()["items"]
    asked = client.post("/api/v1/webhooks/evt_dead:redeliver")
    unknown = client.post("/api/v1/webhooks/evt_none:redeliver")

    assert (hook["hook"], hook["receiver"], hook["delivered"]) == ("chat", "https://chat.example", 4)
    assert [each["event"] for each in hook["waiting"] + hook["dead"]] == ["evt_waits", "evt_dead"]
    assert asked.json() == {"event": "evt_dead", "hooks": ["chat"]}
    assert unknown.status_code == 404
    box = StoredOutbox(filled, "chat").read()
    assert ([each.event for each in box.waiting], box.dead) == (["evt_dead", "evt_waits"], ())
    assert box.waiting[0].asked_by


def test_a_damaged_outbox_is_named_and_hides_nothing_else(client, filled):
    newest = max(filled.list("webhooks/chat"))
    filled.replace(newest, b"{}")

    (hook,) = client.get("/api/v1/webhooks").json()["items"]

    assert newest in hook["damaged"]
    assert client.get("/metrics").status_code == 200


def test_the_commands_list_and_deliver_again(filled, tmp_path):
    listed = vae_search("webhook", "list", "--store", filled.location, folder=tmp_path).stdout.decode()
    asked = vae_search("webhook", "redeliver", "evt_dead", "--store", filled.location, folder=tmp_path)
    unknown = vae_search("webhook", "redeliver", "evt_none", "--store", filled.location, folder=tmp_path)

    assert "evt_dead" in listed
    assert "evt_waits" in listed
    assert asked.stdout.decode() == "evt_dead is delivered again to: chat.\n"
    assert (asked.returncode, unknown.returncode) == (0, 2)


def test_prometheus_reads_every_figure(client, filled):
    SweepQueue(filled, now=lambda: NOW).submit("name: a", sweep="a", actor="ada")
    client.get('/api/v1/sweeps/no"such\\')

    families = {family.name: family for family in text_string_to_metric_families(client.get("/metrics").text)}

    def values(name: str) -> dict[str, float]:
        return {sample.labels.get("state", ""): sample.value for sample in families[name].samples}

    assert values("vae_search_queue_items")["waiting"] == 1
    assert values("vae_search_queue_items")["parked"] == 0, "alerts need the series before there is one"
    assert values("vae_search_webhook_deliveries") == {"waiting": 1, "dead": 1}
    assert values("vae_search_dispatcher") == {"beating": 0, "silent": 0, "none": 1}
    assert values("vae_search_trials_finished") == {"": 8}
    histogram = families["vae_search_http_request_duration_seconds"]
    assert histogram.type == "histogram"
    buckets = [s.value for s in histogram.samples if s.name.endswith("_bucket") and s.labels["route"] == "/metrics"]
    assert buckets == sorted(buckets)
    assert all(family.documentation for family in families.values())
