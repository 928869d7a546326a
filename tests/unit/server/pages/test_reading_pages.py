"""SQL, audit and cluster pages: bounded answers, trouble in words, filters that stay in the links."""

import io
import re

import pyarrow.parquet as pq
import pytest

from tests.support.page_reading import BROWSER, read
from tests.support.paths import ROOT
from tests.support.published_models import publish
from tests.support.stores import filled_store
from tests.support.web_service import NOW, app_of, client_of
from vae_search.queue.entries import QueueAction
from vae_search.queue.sweep_queue import SweepQueue
from vae_search.server.examples import SPEC
from vae_search.server.pages.team.questions import QUESTIONS
from vae_search.server.pages.team.sql import SHOWN_ROWS

pytestmark = pytest.mark.slow

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    store = filled_store(tmp_path_factory.mktemp("reading"))
    publish(store, "other", model="fashion", actor="grace")
    queue = SweepQueue(store, now=lambda: NOW)
    queue.submit(SPEC, sweep="queued", actor="ada")
    for number in range(60):
        queue.order(QueueAction.PRIORITIZE, 1, actor="ada", priority=number, reason=f"{HOSTILE} {number}")
    return client_of(app_of(store))


def asked(client, sql: str, **more: str):
    return client.get("/sql", params={"sql": sql, **more}, headers=BROWSER)


def test_an_answer_is_a_table_and_its_links_give_all_of_it(client):
    page = asked(client, f"SELECT i, '{HOSTILE}' AS x FROM range(5000) t(i)")  # noqa: S608 - our own text
    links = re.findall(r'href="(/sql\.\w+\?[^"]+)"', page.text.replace("&amp;", "&"))
    csv, parquet = (client.get(link) for link in links)

    assert page.status_code == 200
    assert page.text.count("<tr>") == SHOWN_ROWS + 1
    assert "the first of more" in page.text
    assert HOSTILE not in page.text
    assert len(csv.text.splitlines()) == 5001
    assert pq.read_table(io.BytesIO(parquet.content)).num_rows == 5000


@pytest.mark.parametrize("sql", ["SELEC", "SELECT * FROM read_text('/etc/passwd')", "DROP TABLE trials"])
def test_a_wrong_question_is_told_and_stays_in_the_form(sql, client):
    page = asked(client, sql)

    assert page.status_code == 422
    assert 'role="alert"' in page.text
    assert sql.replace("'", "&#39;") in page.text
    assert "root:" not in page.text


def test_a_question_may_be_of_one_sweep(client):
    assert "8" in asked(client, "SELECT count(*) FROM trials", sweep="digits").text
    assert asked(client, "SELECT 1", sweep="none").status_code == 404


def test_the_examples_are_those_of_the_manual_and_have_answers(client):
    manual = (ROOT / "examples" / "questions.md").read_text()
    written = dict(re.findall(r"## \d+\. ([^\n]+)\n(?:[^`]+\n)?```sql\n(.+?)\n```", manual, re.DOTALL))

    for title, sql in QUESTIONS.items():
        assert written[title] == sql
    assert asked(client, next(iter(QUESTIONS.values()))).status_code == 200


def test_the_audit_is_paged_and_its_links_keep_the_filter(client):
    first = read(client, "/audit?actor=ada")
    (older,) = [link for link in first.links if "cursor=" in link]
    second = read(client, older)

    assert "Entries 1 to 50 of 61" in first.text
    assert "actor=ada" in older
    assert "Entries 51 to 61 of 61" in second.text
    assert HOSTILE not in first.html
    assert HOSTILE in first.text


def test_the_audit_tells_who_did_what_to_which_model(client):
    page = read(client, "/audit?model=fashion")

    assert "grace" in page.text
    assert "promote" in page.text
    assert "/models/fashion" in page.links
    assert "No entry fits" in read(client, "/audit?actor=nobody").text


def test_the_machine_of_the_service_is_told(client):
    page = read(client, "/cluster")

    assert "machine of this service" in page.text
    assert "Room for" in page.text


def test_a_cluster_that_cannot_be_reached_is_told_without_breaking_the_page(store):
    page = read(client_of(app_of(store, address="http://127.0.0.1:1")), "/cluster")

    assert "no Ray cluster can be reached" in page.text


@pytest.mark.parametrize("path", ["/new", "/queue", "/queue/1", "/sql", "/audit", "/cluster"])
def test_every_field_has_a_label_and_no_page_holds_a_script_of_its_own(path, client):
    page = read(client, path)

    assert {field.get("id") for field in page.named} <= page.labels
    assert not re.search(r"<script(?![^>]+src=)|\son\w+=|javascript:", page.html)
    assert page.html.count("<h1") == 1
