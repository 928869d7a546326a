"""Pages of sweeps without a script: every fact and every form stands in the HTML, and nothing in it is trusted."""

import re
from collections.abc import Iterator
from html import unescape

import pytest
from starlette.testclient import TestClient

from tests.support.paged_store import fill, running
from tests.support.reported_sweeps import spoil
from tests.support.stores import filled_store
from tests.support.web_service import app_of, client_of, token_file
from vae_search.server.tokens import Role
from vae_search.store.backends.local import LocalStore
from vae_search.store.control.command_log import CommandLog
from vae_search.store.control.commands import CommandAction
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import sweep_record

HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("pages")
    store = LocalStore(folder / "store")
    fill(store)
    with running(store):
        yield store, token_file(folder)


@pytest.fixture(scope="module")
def clients(place) -> Iterator[dict[Role, TestClient]]:
    """Browsers without JavaScript, by the role of who sits there."""
    store, (file, tokens) = place
    app = app_of(store, tokens=file)
    with client_of(app) as anyone:
        found = {}
        for role, token in tokens.items():
            found[role] = TestClient(
                app, base_url="http://localhost", headers=HTML | {"Authorization": f"Bearer {token}"}
            )
            found[role].follow_redirects = False
        yield found
    assert anyone is not None


@pytest.fixture(scope="module")
def viewer(clients) -> TestClient:
    return clients[Role.VIEWER]


def words_of(page: str) -> str:
    """Text of a page, in one line."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_home_tells_state_best_and_counts_of_every_sweep_and_what_waits(viewer):
    page = viewer.get("/").text
    words = words_of(page)

    for link in ("/sweeps/digits", "/sweeps/front", "/sweeps/live"):
        assert f'href="{link}"' in page
    assert "9 of 60" in words
    assert "front of " in words
    assert "running" in words
    assert "waiting" in words
    assert "ada" in words
    assert "No dispatcher works the queue off" in words
    assert page.count('class="spark"') == 3


def test_home_finds_sweeps_by_name_and_state_and_keeps_the_choice_in_its_links(viewer):
    page = viewer.get("/?name=IV&state=running").text

    assert 'href="/sweeps/live"' in page
    assert 'href="/sweeps/digits"' not in page
    assert 'value="IV"' in page
    assert 'hx-get="/?state=running&amp;name=IV"' in page


def test_home_of_an_empty_store_says_so(tmp_path):
    with client_of(app_of(LocalStore(tmp_path / "store"))) as client:
        assert "holds no sweep yet" in client.get("/", headers=HTML).text


def test_home_shows_the_other_sweeps_when_one_cannot_be_read(tmp_path):
    store = LocalStore(tmp_path / "store")
    fill(store)
    (tmp_path / "store" / SweepPaths("front").resolved).write_text("{")
    with client_of(app_of(store)) as client:
        page = client.get("/", headers=HTML).text

    assert 'href="/sweeps/digits"' in page
    assert "cannot be read" in page


def test_a_sweep_is_told_in_words_first_then_in_tables(viewer):
    page = viewer.get("/sweeps/digits").text
    words = words_of(page)

    assert "has the best objective" in words
    assert words.index("has the best objective") < words.index("Plots") or "In words" in words
    assert "Trained again with fresh seeds" in words
    for drawing in ("curves", "parallel", "rate-distortion", "timeline", "finalists"):
        assert f'data-figure="{drawing}"' in page
    assert "25 of 31 trials" in words


def test_the_table_of_trials_is_paged_filtered_and_ordered_and_its_links_keep_the_choice(viewer):
    first = viewer.get("/sweeps/digits?state=COMPLETE&order=neg_elbo").text
    following = re.search(r'href="([^"]+)" rel="next"', viewer.get("/sweeps/digits?order=neg_elbo").text)
    second = viewer.get(unescape(following[1])).text

    shown = [int(number) for number in re.findall(r'id="trial-(\d+)"', first)]
    assert len(shown) == 18
    assert 'aria-sort="ascending"' in first
    assert "state=COMPLETE" in re.search(r'href="([^"]*order=rate[^"]*)"', first)[1]
    assert "order=neg_elbo" in following[1]
    assert len(re.findall(r'id="trial-\d+"', second)) == 6
    assert "First page" in second


@pytest.mark.slow  # a condition is a process of its own
def test_a_condition_narrows_the_trials_and_a_wrong_one_is_explained(viewer):
    narrowed = viewer.get("/sweeps/digits", params={"where": "trial < 3"})
    wrong = viewer.get("/sweeps/digits", params={"where": "<script>alert(1)</script> = 1"})

    assert len(re.findall(r'id="trial-\d+"', narrowed.text)) == 3
    assert 'value="trial &lt; 3"' in narrowed.text
    assert wrong.status_code == 422
    assert "is no condition" in words_of(wrong.text)
    assert "<script>alert" not in wrong.text


def test_what_people_and_programs_wrote_is_escaped(viewer):
    for path in ("/sweeps/digits", "/sweeps/digits/trials/30", "/sweeps/digits?where=%3Cscript%3Ealert(1)"):
        page = viewer.get(path).text
        assert "<script>alert" not in page
        assert "\u202e" not in page
        assert "\x1b" not in page
        assert "x" * 1000 not in page


def test_a_trial_tells_its_config_its_curve_and_why_it_ended(viewer):
    complete, pruned = viewer.get("/sweeps/digits/trials/0").text, viewer.get("/sweeps/digits/trials/1").text

    assert "latent_dim" in complete
    assert '<svg class="chart"' in complete
    assert "All 27 epochs as a table" in complete
    assert "stopped at a rung" in pruned


def test_a_trial_in_flight_tells_its_config_and_how_far_it_is(clients):
    page = clients[Role.SUBMITTER].get("/sweeps/live/trials/9").text
    words = words_of(page)

    assert "in flight: 5 of 27 epochs are saved" in words
    assert "26.00 nats per image after epoch 5" in words
    assert '<svg class="chart"' in page
    assert "latent_dim 13" in words
    assert 'action="/sweeps/live/trials/9/stop"' in page
    assert clients[Role.VIEWER].get("/sweeps/live/trials/11").status_code == 404


def test_a_sweep_draws_its_trials_in_flight_with_the_rungs_and_the_best(viewer):
    page = viewer.get("/sweeps/live").text

    live = page[page.index('<div id="live"') : page.index('<h2 id="plots"')]
    assert live.count('class="rung"') == 2
    assert 'class="best"' in live
    assert "9: 26.00 nats after epoch 5" in live
    assert "5 of 27" in live
    curve = viewer.get("/api/v1/sweeps/live/trials/9/curve").json()["items"]
    assert curve[-1] == {"epoch": 5, "neg_elbo": 26.0}
    assert viewer.get("/api/v1/sweeps/live/trials/11/curve").status_code == 404


def test_figures_are_plotly_specifications_and_are_sent_once(viewer):
    answer = viewer.get("/sweeps/digits/figures.json")
    again = viewer.get("/sweeps/digits/figures.json", headers={"If-None-Match": answer.headers["etag"]})

    assert answer.json()["parallel"]["data"][0]["type"] == "parcoords"
    assert {"data", "layout"} <= {*answer.json()["curves"]}
    assert again.status_code == 304


def test_logs_are_shown_and_their_absence_is_told(place, viewer):
    store, _ = place
    assert "no logs" in viewer.get("/sweeps/front/logs").text
    store.create(f"{SweepPaths('front').logs}/driver-1.log", b"2026-01-02 03:04:05 <b>begins</b>\n")

    assert "&lt;b&gt;begins&lt;/b&gt;" in viewer.get("/sweeps/front/logs").text


def test_sweeps_without_a_common_measure_are_refused_in_words(viewer, tmp_path):
    one = viewer.get("/compare?sweep=digits&sweep=live")
    none = viewer.get("/compare?sweep=digits&sweep=missing")

    assert one.status_code == 200
    assert "nats per image" in one.text
    assert 'href="/api/v1/compare?sweep=digits&amp;sweep=live"' in one.text
    assert none.status_code == 404
    assert 'value="missing"' in none.text


def test_a_viewer_is_told_why_he_gets_no_form_and_a_stranger_too(clients):
    page = clients[Role.VIEWER].get("/sweeps/live").text

    assert "needs the role submitter" in page
    assert "Stop the sweep" not in page
    assert "belongs to" not in clients[Role.SUBMITTER].get("/sweeps/live").text
    assert "was not submitted to the queue" in clients[Role.SUBMITTER].get("/sweeps/digits").text


def test_the_owner_steers_his_sweep_by_forms_that_need_no_script(place, clients):
    store, _ = place
    owner = clients[Role.SUBMITTER]

    enqueued = owner.post("/sweeps/live/enqueue", data={"param.latent_dim": "7", "param.beta": "0.5"})
    changed = owner.post(
        "/sweeps/live/change",
        data={"budget.trials": "80", "budget.minutes": "", "resources.concurrency": "3"},
    )
    stopped = owner.post("/sweeps/live/trials/9/stop", data={"what": "stop"})

    assert [answer.status_code for answer in (enqueued, changed, stopped)] == [303, 303, 303]
    log = CommandLog(store, "live", incarnation=sweep_record.read_stored(store, "live").incarnation)
    given = log.commands()
    assert [each.action for each in given] == [CommandAction.ENQUEUE, CommandAction.SET, CommandAction.STOP_TRIAL]
    assert given[0].params == {"latent_dim": 7, "beta": 0.5}
    assert given[1].settings == {"budget.trials": 80, "resources.concurrency": 3}
    assert {each.actor for each in given} == {"submitter"}
    assert "next in line" in owner.get(enqueued.headers["location"]).text
    assert "9 of 80" in words_of(owner.get("/sweeps/live").text)


def test_a_form_that_is_refused_keeps_what_was_typed(clients):
    answer = clients[Role.APPROVER].post("/sweeps/live/enqueue", data={"param.latent_dim": "9000", "param.beta": "0.5"})

    assert answer.status_code == 422
    assert "latent_dim" in re.search(r'role="alert">(.*?)</div>', answer.text, re.DOTALL)[1]
    assert 'value="9000"' in answer.text


def test_others_are_refused_by_the_forms_as_by_the_api(clients):
    assert clients[Role.VIEWER].post("/sweeps/live/stop", data={"what": "stop"}).status_code == 403
    assert clients[Role.SUBMITTER].post("/sweeps/digits/enqueue", data={"param.beta": "1"}).status_code == 403


def test_a_sweep_that_is_stopped_and_resumed_is_held_and_released_in_the_queue(tmp_path):
    store = LocalStore(tmp_path / "store")
    fill(store)
    with client_of(app_of(store)) as client:
        client.follow_redirects = False
        resumed = client.post("/sweeps/digits/resume", data={"what": "resume"})
        waiting = client.get("/api/v1/sweeps/digits").json()["queued"]["state"]
        stopped = client.post("/sweeps/digits/stop", data={"what": "stop"})
        held = client.get("/api/v1/sweeps/digits").json()["queued"]["state"]
        client.post("/sweeps/digits/resume", data={"what": "resume"})
        again = client.get("/api/v1/sweeps/digits").json()["queued"]

    assert (resumed.status_code, stopped.status_code) == (303, 303)
    assert (waiting, held, again["state"]) == ("waiting", "held", "waiting")


def test_a_damaged_row_is_named_on_the_page(tmp_path):
    store = filled_store(tmp_path / "store")
    spoil(tmp_path / "store" / SweepPaths("digits").trial(3))
    with client_of(app_of(store)) as client:
        page = client.get("/sweeps/digits", headers=HTML).text

    assert SweepPaths("digits").trial(3) in page


@pytest.mark.parametrize(
    "path", ["/sweeps/none", "/sweeps/none/trials/1", "/sweeps/none/logs", "/sweeps/none/figures.json"]
)
def test_pages_of_what_does_not_exist_are_not_found(path, viewer):
    assert viewer.get(path).status_code == 404
