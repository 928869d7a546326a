"""Page of a new sweep: an error is told at its line and mended without a script, then the sweep is queued once."""

import pytest
from starlette.testclient import TestClient

from tests.support.page_reading import Page, read, send
from tests.support.stores import filled_store
from tests.support.web_service import app_of, client_of, token_file
from vae_search.server.tokens import Role
from vae_search.spec.template import STARTERS

WRONG = """\
name: mine
data: {source: digits}
search_space:
  latent_dim: {type: int, low: 2, high: 16}
  betta: 1.0
budget: {trials: 0, epochs: 9}
"""


@pytest.fixture
def clients(tmp_path):
    file, tokens = token_file(tmp_path)
    app = app_of(filled_store(tmp_path / "store"), tokens=file)
    return {role: client_of(app, token) for role, token in tokens.items()}


@pytest.fixture
def client(clients) -> TestClient:
    return clients[Role.SUBMITTER]


def test_a_wrong_spec_is_shown_again_with_every_mistake_at_its_line_and_the_mended_one_is_queued(client):
    page = read(client, "/new")

    refused = send(client, "/new", page.fields | {"spec": WRONG, "do": "submit", "priority": "7"}, status=422)
    mended = refused.fields["spec"].replace("betta", "beta").replace("trials: 0", "trials: 8")
    address = send(client, "/new", refused.fields | {"spec": mended, "do": "submit"})

    assert "2 mistakes" in refused.text
    assert "line 5: search_space.betta" in refused.text
    assert "line 6: budget.trials: must be >= 1" in refused.text
    assert "betta: 1.0" in refused.text
    assert refused.fields["spec"] == WRONG
    assert refused.fields["priority"] == "7"
    assert address == "/queue/1?done=submit"
    item = client.get("/api/v1/queue/1").json()
    assert (item["sweep"], item["owner"], item["priority"], item["spec"]) == ("mine", "submitter", 7, mended)


def test_a_start_has_a_name_that_is_free_and_can_be_submitted_as_it_is(client):
    first = read(client, "/new")
    address = send(client, "/new", first.fields | {"do": "submit"})
    second = read(client, "/new?template=Digits,+in+a+minute")
    like = read(client, "/new?like=digits")

    assert "name: digits-2\n" in first.fields["spec"]  # the store holds a sweep `digits`
    assert address == "/queue/1?done=submit"
    assert "name: digits-3\n" in second.fields["spec"]
    assert "name: digits-3\n" in like.fields["spec"]


def test_lines_are_counted_as_the_browser_sends_them(client):
    spec = WRONG.replace("betta", "beta").replace("trials: 0", "trials: 8")

    refused = send(client, "/new", {"spec": WRONG.replace("\n", "\r\n"), "do": "check"}, status=200)
    send(client, "/new", {"spec": spec.replace("\n", "\r\n"), "do": "submit"})

    assert "line 6: budget.trials" in refused.text
    assert client.get("/api/v1/queue/1").json()["spec"] == spec


def test_the_same_form_sent_twice_queues_one_sweep(client):
    fields = read(client, "/new").fields | {"do": "submit", "spec": STARTERS["Two aims: bound and cost"]}

    assert send(client, "/new", fields) == send(client, "/new", fields) == "/queue/1?done=submit"
    again = send(client, "/new", fields | {"key": "another"}, status=409)
    assert "is in the queue already" in again.text


def test_what_is_no_spec_at_all_is_told_in_words(client):
    for spec, said in (("", "the file is empty"), ("a: [", "line"), ("just words", "a spec is a mapping")):
        page = send(client, "/new", {"spec": spec, "do": "check"}, status=200)
        assert said in page.text, page.text
    long = send(client, "/new", {"spec": "# " + "x" * 100_000, "do": "submit"}, status=422)
    assert "by the API" in long.text
    assert (
        "priority: must be" in send(client, "/new", {"spec": WRONG, "do": "submit", "priority": "x"}, status=422).text
    )


def test_a_path_outside_of_the_data_roots_is_a_mistake_at_its_line(client):
    spec = WRONG.replace("betta", "beta").replace("trials: 0", "trials: 8").replace("source: digits", "source: /etc")

    page = send(client, "/new", {"spec": spec, "do": "check"}, status=200)

    assert "line 2: data.source" in page.text


def test_what_was_written_is_escaped(client):
    hostile = "</textarea><script>alert(1)</script>: [\n"

    page = send(client, "/new", {"spec": hostile, "do": "check", "priority": '"><script>'}, status=200)

    assert "<script>alert" not in page.html
    assert '"><script>' not in page.html
    assert page.fields["spec"] == hostile


def test_a_script_gets_the_mistakes_as_data_and_no_error_of_the_request(client):
    wrong = client.post("/new/check", content=WRONG)
    right = client.post("/new/check", content=STARTERS["Digits, in a minute"])

    assert wrong.status_code == right.status_code == 200
    assert [(each["line"], each["key"]) for each in wrong.json()["errors"]] == [
        (5, "search_space.betta"),
        (6, "budget.trials"),
    ]
    assert right.json() == {"errors": []}


def test_templates_and_specs_of_sweeps_are_starts(client):
    page = read(client, "/new")

    for title, path in zip(STARTERS, [link for link in page.links if link.startswith("/new?template=")], strict=True):
        spec = read(client, path).fields["spec"]
        assert spec.replace("name: digits-2\n", "name: digits\n") == STARTERS[title]  # the store holds `digits`
    assert "name: digits" in read(client, "/new?like=digits").fields["spec"]
    read(client, "/new?template=none", status=404)
    read(client, "/new?like=none", status=404)


def test_a_viewer_may_check_and_not_submit(clients):
    viewer = clients[Role.VIEWER]

    page = read(viewer, "/new")

    assert [button for button in page.buttons if button.get("name") == "do"] == []
    assert "you need the role submitter" in page.text
    refused = send(viewer, "/new", {"spec": WRONG, "do": "submit"}, status=403)
    assert isinstance(refused, Page)
    assert "submitter" in refused.text
    assert viewer.post("/new/check", content=WRONG).status_code == 200


def test_an_estimate_is_shown_above_the_buttons(client, monkeypatch):
    facts = {"time_s": 90.0, "memory_bytes": 2e9, "store_bytes": 3e6, "trials": 24, "trial_epochs": 300.0}
    facts |= {"slots": 2, "capacity": "2 trials at once: the least of 2 cores"}
    monkeypatch.setattr("vae_search.server.pages.team.new_sweep.estimated", lambda text, location: facts)
    spec = STARTERS["Digits, in a minute"]

    page = send(client, "/new", {"spec": spec, "do": "estimate"}, status=200)
    wrong = send(client, "/new", {"spec": WRONG, "do": "estimate"}, status=422)

    assert "roughly 90 s" in page.text
    assert "24 trials" in page.text
    assert page.fields["spec"] == spec
    assert "line 6" in wrong.text
