"""Pages of models: why the champion is champion, what waits, and orders that say first what they will do."""

import re
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from tests.support.page_reading import read, send
from tests.support.published_models import publish
from tests.support.web_service import app_of, client_of, token_file
from tests.unit.registry.test_duplicates_gate import LEAKING
from vae_search.core.dataset_summary import Classes
from vae_search.registry.version_files import CARD_TEXT_FILE, read_version
from vae_search.server.child_processes.traversals import TraversalKey
from vae_search.server.tokens import Role
from vae_search.services.models.traversals import Traversal
from vae_search.store.backends.local import LocalStore

pytestmark = pytest.mark.slow

BETTER = (230.9, 231.0, 231.1)
WORSE = (232.9, 233.0, 233.1)


@pytest.fixture
def store(tmp_path) -> LocalStore:
    """A model with two champions one after the other, a refused candidate, and one stopped by a gate."""
    store = LocalStore(tmp_path / "store")
    assert publish(store, "first", actor="grace") == "promoted"
    assert publish(store, "second", BETTER, trial=2) == "promoted"
    assert publish(store, "third", WORSE, trial=3) == "rejected"
    assert publish(store, "fourth", (229.9, 230.0, 230.1), trial=4, active_units=0) == "rejected"
    return store


@pytest.fixture
def waits(store: LocalStore) -> LocalStore:
    assert publish(store, "asks", (229.9, 230.0, 230.1), trial=5, needs_approval=True) == "waiting"
    return store


@pytest.fixture
def clients(store, tmp_path) -> dict[Role, TestClient]:
    file, tokens = token_file(tmp_path)
    app = app_of(store, tokens=file)
    app.state.service.traversals = Sheets()
    return {role: client_of(app, token) for role, token in tokens.items()}


class Sheets:
    """Stands for the reader of traversals."""

    def key(self, model: str, version: int) -> TraversalKey:
        return TraversalKey(model=model, number=version, sha256="0" * 64, with_images=True)

    def read(self, key: TraversalKey) -> Traversal:
        model, version = key.model, key.number
        units = [{"unit": 3, "kl_nats": 2.31, "change": 0.2}, {"unit": 0, "kl_nats": 0.5, "change": 0.1}]
        facts = {"model": model, "version": version, "latent_dim": 5, "active_units": 2, "units": units}
        facts |= {"values": [-3.0, 0.0, 3.0], "tile_width": 56, "tile_height": 56, "gap": 2}
        return Traversal(facts=facts, sheet=b"png")


def test_the_list_names_each_champion(clients):
    page = read(clients[Role.VIEWER], "/models")

    assert "version 2 second/2" in page.text
    assert "/models/digits" in page.links
    assert "There is no model yet" not in page.text


def test_the_page_of_a_model_tells_why_the_champion_is_champion(clients):
    page = read(clients[Role.VIEWER], "/models/digits")

    assert "Version 2, second/2, is champion since" in page.text
    assert "second/2 passed, and became champion as version 2 in place of version 1." in page.text
    picture = re.search(r'<svg class="contest"[^>]+aria-label="([^"]+)"', page.html)[1]
    assert "champion, v1: mean 232.000 nats over 3 seeds" in picture
    assert "candidate, v2: mean 231.000 nats over 3 seeds" in picture
    assert "Gain over seeds: 1.000 nats, 95 % interval" in picture
    assert page.html.count('class="seed"') == 6
    assert "Gates: 16 of 16 passed" in page.text
    assert "grace" in page.text
    assert "/api/v1/models/digits/versions/2/files/samples.png" in page.html


def test_every_verdict_in_the_history_has_a_page(clients):
    viewer = clients[Role.VIEWER]
    links = [link for link in read(viewer, "/models/digits").links if "/verdicts/" in link]
    pages = [read(viewer, link).text for link in links]

    assert len(pages) == 4
    stopped, beaten, won, first = pages
    assert "fourth/4 was refused" in stopped
    assert "gate active_units" in stopped
    assert "A gate stopped it" in stopped
    assert "the gain is" in beaten
    assert "in place of version 1" in won
    assert "There was no champion to be beaten" in first
    read(viewer, "/models/digits/verdicts/1", status=404)


def test_a_version_shows_its_card_and_files(clients):
    page = read(clients[Role.VIEWER], "/models/digits/versions/1")

    assert "From trial first/0" in page.text
    assert "IWAE-500, over seeds 232.00" in page.text
    assert "100 test images" in page.text
    assert any(link.endswith("/files/card.json") for link in page.links)
    read(clients[Role.VIEWER], "/models/digits/versions/9", status=404)
    read(clients[Role.VIEWER], "/models/none", status=404)


def test_a_version_of_a_conditional_model_names_its_classes_and_trusts_none_of_them(tmp_path):
    store = LocalStore(tmp_path / "store")
    classes = Classes(counts=(7, 0, 1200), names=("cat", "cow", "<script>alert(1)</script>"))
    publish(store, "first", images=replace(LEAKING, classes=classes), overrides=["data.condition=label"])
    files = read_version(store, "digits", 1, sha256=None)

    with client_of(app_of(store)) as client:
        page = read(client, "/models/digits/versions/1")

    assert "Training images of 2 classes: cat (7), <script>alert(1)</script> (1,200)." in page.text
    assert "Samples from the prior, a row for each class: cat, <script>alert(1)</script>" in page.text
    assert "without latents, by each class's mean image" in page.text
    assert "<script>alert" not in page.html
    assert "<script>" not in files[CARD_TEXT_FILE].decode()
    assert "In this order the classes are the rows of samples.png." in files[CARD_TEXT_FILE].decode()


def test_going_back_is_said_first_and_done_with_a_reason(clients):
    approver = clients[Role.APPROVER]
    asked = read(approver, "/models/digits/rollback?to=1")

    assert "Version 1, first/0, becomes champion again in place of version 2, second/2" in asked.text
    assert "Nothing is removed" in asked.text
    silent = send(approver, "/models/digits/rollback", asked.fields | {"why": " "}, status=422)
    assert "why" in silent.text
    assert send(approver, "/models/digits/rollback", asked.fields | {"why": "it blurs sevens"}) == (
        "/models/digits?done=rollback"
    )
    page = read(approver, "/models/digits?done=rollback")
    assert "Version 1, first/0, is champion" in page.text
    assert "approver made version 1 champion again in place of version 2." in page.text
    assert "it blurs sevens" in page.text


def test_a_page_of_yesterday_does_not_roll_back_another_champion(clients, store):
    approver = clients[Role.APPROVER]
    asked = read(approver, "/models/digits/rollback")
    publish(store, "fifth", (229.9, 230.0, 230.1), trial=6)

    refused = send(approver, "/models/digits/rollback", asked.fields | {"why": "x"}, status=409)

    assert "version 3 has become champion meanwhile" in refused.text
    read(approver, "/models/digits/rollback?to=3", status=409)
    read(approver, "/models/digits/rollback?to=9", status=404)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.SUBMITTER])
def test_only_approvers_see_orders_and_may_give_them(role, clients, waits):
    links = read(clients[role], "/models/digits").links
    fields = {"to": "1", "champion": "2", "why": "x", "word": "approve"}

    assert not [link for link in links if "rollback" in link or "decide" in link]
    read(clients[role], "/models/digits/rollback", status=403)
    read(clients[role], "/models/digits/versions/3/decide", status=403)
    send(clients[role], "/models/digits/rollback", fields, status=403)
    send(clients[role], "/models/digits/versions/3/decide", fields, status=403)
    assert "needs the role approver" in send(clients[role], "/models/digits/rollback", fields, status=403).text


def test_what_waits_is_shown_with_its_evidence_and_approved_by_the_verdicts_that_were_shown(clients, waits):
    approver = clients[Role.APPROVER]
    page = read(approver, "/models/digits")
    asked = read(approver, "/models/digits/versions/3/decide")

    assert "Version 3 waits for approval" in page.text
    assert "/models/digits/versions/3/decide" in page.links
    assert "Version 3 becomes champion of digits in place of version 2" in asked.text
    assert "Version 3 is refused for good and version 2 stays" in asked.text
    assert "Gain over seeds" in asked.html
    assert "test images, IWAE" not in asked.text
    outdated = send(
        approver,
        "/models/digits/versions/3/decide",
        asked.fields | {"entry": "1", "why": "x", "word": "approve"},
        status=409,
    )
    assert "Look at its verdicts again" in outdated.text
    send(approver, "/models/digits/versions/3/decide", asked.fields | {"why": "sharper", "word": "approve"})
    after = read(approver, "/models/digits")
    assert "approver approved version 3" in after.text
    assert "sharper" in after.text
    read(approver, "/models/digits/versions/3/decide", status=404)


def test_what_waits_may_be_rejected(clients, waits):
    approver = clients[Role.APPROVER]
    fields = {"why": "<script>too dark</script>", "word": "reject"}

    send(approver, "/models/digits/versions/3/decide", fields)

    page = read(approver, "/models/digits")
    assert "Version 2, second/2, is champion" in page.text
    assert "approver rejected version 3" in page.text
    assert "<script>too dark" not in page.html
    send(approver, "/models/digits/versions/3/decide", fields | {"word": "perhaps"}, status=422)


def test_latents_have_a_labelled_slider_each_and_a_sheet_for_those_without_scripts(clients):
    page = read(clients[Role.VIEWER], "/models/digits/versions/2/latents")
    sliders = [field for field in page.named if field["type"] == "range"]

    assert [slider["id"] for slider in sliders] == ["unit-3", "unit-0"]
    assert {slider["id"] for slider in sliders} <= page.labels
    assert "KL 2.31 nats" in page.text
    assert "background-position: -120px -4px" in page.html
    assert "background-position: -120px -120px" in page.html
    assert 'alt="Decoded images' in page.html


@pytest.mark.parametrize(
    "path", ["/models", "/models/digits", "/models/digits/rollback", "/models/digits/versions/3/decide"]
)
def test_no_page_of_models_holds_a_script_of_its_own_or_an_unlabelled_field(path, clients, waits):
    page = read(clients[Role.APPROVER], path)

    assert {field.get("id") for field in page.named} <= page.labels
    assert not re.search(r"<script(?![^>]+src=)|\son\w+=|javascript:", page.html)
    assert page.html.count("<h1") == 1
