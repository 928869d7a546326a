"""Answers of the API: pages, refusals with every line, orders that stand in the log with who gave them."""

import io
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from tests.support.installed_package import install
from tests.support.rows import trial_row
from tests.support.stores import filled_store
from tests.support.web_service import NOW, app_of, client_of, token_file
from vae_search import errors
from vae_search.server.examples import SPEC
from vae_search.server.problems import STATUSES, problem_of, status_of
from vae_search.server.service import MOST_QUERIES, MOST_WAITING
from vae_search.server.submissions import DataRoots
from vae_search.server.tokens import Role, TokenFile
from vae_search.services.browsing.kept_answers import one_look
from vae_search.services.browsing.sweep_facts import sweep_facts
from vae_search.services.browsing.sweep_pages import SweepReader
from vae_search.services.sweep_status import status
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.trials import Ledger
from vae_search.store.queries.leaderboard import read_leaderboard
from vae_search.store.sweeps.folders import sweep_names, sweep_names_again

API = "/api/v1"


@pytest.fixture
def tokens(tmp_path: Path) -> tuple[TokenFile, dict[Role, str]]:
    return token_file(tmp_path)


@pytest.fixture
def full_store(tmp_path: Path) -> LocalStore:
    return filled_store(tmp_path / "store")


@pytest.fixture
def client(full_store, tokens) -> Iterator[TestClient]:
    with client_of(app_of(full_store, tokens=tokens[0]), tokens[1][Role.SUBMITTER]) as client:
        yield client


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One service for all requests that change nothing."""
    folder = tmp_path_factory.mktemp("read")
    tokens, known = token_file(folder)
    with client_of(app_of(filled_store(folder / "store"), tokens=tokens), known[Role.SUBMITTER]) as client:
        yield client


def spec(name: str, **changes: str) -> str:
    text = SPEC.replace("name: digits", f"name: {name}")
    for old, new in changes.items():
        text = text.replace(f"{old}: digits", f"{old}: {new}")
    return text


def submitted(client: TestClient, name: str, **more: object) -> dict:
    answer = client.post(f"{API}/sweeps", content=spec(name), **more)
    assert answer.status_code == 201, answer.text
    return answer.json()


def pages(client: TestClient, address: str) -> Iterator[list]:
    following: str | None = address
    while following is not None:
        answer = client.get(following)
        assert answer.status_code == 200, answer.text
        yield answer.json()["items"]
        following = answer.json()["next"]


@pytest.mark.parametrize(
    "kind", [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
)
def test_every_error_has_a_status_of_its_own_choice_beside_its_exit_code(kind):
    assert kind in STATUSES
    answer = problem_of(kind("a: b\nc\nd\ne"))

    told = json.loads(answer.body)
    assert answer.media_type == "application/problem+json"
    assert told["status"] == answer.status_code == status_of(kind("x"))
    assert told["exit_code"] == kind.exit_code
    assert len(told["detail"].splitlines()) <= 3


def test_trials_come_in_pages_that_hold_each_once_in_order(reader):
    found = [*pages(reader, f"{API}/sweeps/digits/trials?limit=3&order=neg_elbo&descending=true")]

    assert [len(page) for page in found] == [3, 3, 2]
    values = [trial["neg_elbo"] for page in found for trial in page]
    assert values == sorted(values, reverse=True)
    assert sorted(trial["trial"] for page in found for trial in page) == [*range(8)]


def test_a_page_without_a_value_comes_last_in_either_direction(reader):
    orders = [
        [
            trial["instability"]
            for trial in reader.get(f"{API}/sweeps/digits/trials?order=instability{way}").json()["items"]
        ]
        for way in ("", "&descending=true")
    ]

    assert [each is None for each in orders[0]] == [each is None for each in orders[1]] == [False] * 5 + [True] * 3


@pytest.mark.slow
def test_a_condition_narrows_the_trials_and_stays_in_the_next_address(reader):
    where = {"where": "param_latent_dim > 8 AND state = 'COMPLETE'", "limit": 2}
    first = reader.get(f"{API}/sweeps/digits/trials", params=where).json()

    assert first["total"] == 3
    assert [trial["trial"] for trial in reader.get(first["next"]).json()["items"]] == [4]


@pytest.mark.parametrize("where", ["nonsense(", "1) UNION SELECT 1, (true", "read_text('/etc/passwd') IS NOT NULL"])
def test_a_condition_that_is_none_is_refused(where, reader):
    answer = reader.get(f"{API}/sweeps/digits/trials", params={"where": where})

    assert answer.status_code == 422
    assert "root:" not in answer.text


def test_a_trial_its_curve_and_the_ranking(reader):
    trial = reader.get(f"{API}/sweeps/digits/trials/1").json()
    curve = reader.get(f"{API}/sweeps/digits/trials/1/curve").json()["items"]
    best = reader.get(f"{API}/sweeps/digits/best?n=2").json()["items"]

    assert trial["params"]["latent_dim"] == 8
    assert [epoch["epoch"] for epoch in curve] == [1, 2, 3]
    assert [each["trial"] for each in best] == [2, 1]  # confirmed ones first


@pytest.mark.parametrize(
    "path",
    [
        "/sweeps/nosuch",
        "/sweeps/digits/trials/99",
        "/sweeps/digits/trials/99/curve",
        "/sweeps/digits/logs",
        "/models/nosuch",
        "/models/nosuch/versions/1",
        "/queue/7",
    ],
)
def test_what_is_not_there_answers_404_as_a_problem_document(path, reader):
    answer = reader.get(API + path)

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["exit_code"] == 2


@pytest.mark.parametrize(
    "evil", ["..%2f..%2f..%2fetc%2fpasswd", "%2e%2e", "..\\..", "%00", "a%0ab", ".ssh", "é", "a" * 300]
)
@pytest.mark.parametrize(
    "path",
    [
        "/sweeps/{}",
        "/sweeps/{}/trials",
        "/sweeps/{}/trials/0",
        "/sweeps/digits/trials/{}",
        "/sweeps/{}/logs",
        "/sweeps/{}/best",
        "/sweeps/{}/events",
        "/models/{}",
        "/models/{}/versions/1",
        "/models/fashion/versions/{}",
        "/models/fashion/versions/1/files/{}",
        "/queue/{}",
    ],
)
def test_no_name_in_a_path_leads_out_of_its_folder(path, evil, reader):
    answer = reader.get(API + path.format(evil))

    assert 400 <= answer.status_code < 500, answer.text
    assert "root:" not in answer.text


def test_every_mistake_of_a_spec_is_told_with_its_line(reader):
    wrong = spec("many").replace("budget: {trials: 8, epochs: 9}", "budget:\n  trials: 0\n  epochs: no")
    wrong += "".join(f"unknown_{number}: 1\n" for number in range(12))
    answer = reader.post(f"{API}/specs:validate", content=wrong)

    told = answer.json()
    assert answer.status_code == 422
    assert told["exit_code"] == 2
    assert len(told["detail"].splitlines()) <= 3
    assert {(each["line"], each["key"]) for each in told["errors"]} >= {(7, "budget.trials"), (8, "budget.epochs")}
    assert [each["line"] for each in told["errors"] if each["key"].startswith("unknown")] == [*range(9, 21)]


@pytest.mark.parametrize("body", [b"\xff\xfe", b"", b"a: [", b"- 1", b"\x00", b"&a [*a]", b"[" * 5000])
def test_what_is_no_spec_is_refused_with_a_line_or_a_word(body, reader):
    answer = reader.post(f"{API}/sweeps", content=body)

    assert answer.status_code == 422
    assert answer.json()["errors"]


def test_an_architecture_that_is_not_installed_is_refused_at_its_line(reader):
    answer = reader.post(
        f"{API}/sweeps", content=spec("x").replace("search_space:", "search_space:\n  architecture: evil.module")
    )

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["line"] == 4


@pytest.mark.parametrize(
    "source",
    [
        "/etc/passwd",
        "./images.npz",
        "../images.npz",
        "~/images.npz",
        "{root}/../secret.npz",
        "{root}/link/secret.npz",
        "{root}-other/images.npz",
        "http://169.254.169.254/latest/x.npz",
        "http://127.0.0.1:8265/x.npz",
        "https://example.org/x.npz",
        "s3://bucket/x.npz",
        "file:///etc/passwd",
        "https://allowed.example/data/../x.npz",
        "https://allowed.example/data/%2e%2e/x.npz",
        "https://allowed.example.evil.example/data/x.npz",
        "store:../../etc",
        "plugin:not-installed",
        "plugin:/etc/passwd",
    ],
)
def test_data_that_the_service_was_not_told_of_is_refused(source, tmp_path, full_store):
    root = tmp_path / "data"
    root.mkdir()
    (tmp_path / "secret.npz").touch()
    (root / "link").symlink_to(tmp_path)
    roots = DataRoots.parse([str(root), "https://allowed.example/data"])
    with client_of(app_of(full_store, roots=roots)) as client:
        answer = client.post(f"{API}/sweeps", content=spec("x", source=f"'{source.format(root=root)}'"))
        queued = client.get(f"{API}/queue").json()["items"]

    assert answer.status_code == 422
    assert [(each["line"], each["key"]) for each in answer.json()["errors"]] == [(2, "data.source")]
    assert len(answer.json()["detail"].splitlines()) <= 3
    assert queued == []


def test_data_below_a_root_may_be_named(tmp_path, full_store):
    (tmp_path / "data").mkdir()
    roots = DataRoots.parse([str(tmp_path / "data"), "https://allowed.example/data"])
    sources = [f"{tmp_path}/data/new/images.npz", "https://allowed.example/data/images.npz", "mnist"]
    with client_of(app_of(full_store, roots=roots)) as client:
        for number, source in enumerate(sources):
            answer = client.post(f"{API}/sweeps", content=spec(f"x{number}", source=f"'{source}'"))
            assert answer.status_code == 201, answer.text


def test_links_out_of_a_data_root_are_not_followed_for_those_who_come_over_http(tmp_path, full_store):
    (tmp_path / "data").mkdir()
    with client_of(app_of(full_store, roots=DataRoots.parse([str(tmp_path / "data")]))) as client:
        answer = client.post(f"{API}/sweeps", content=spec("x", source=f"'{tmp_path}/data/pets', follow_links: true"))

    assert answer.status_code == 422
    assert "without data.follow_links" in answer.json()["detail"]


def test_data_of_an_installed_package_may_be_named(tmp_path, monkeypatch, full_store):
    entry_points = "[vae_search.sources]\nsquares = my_images:Squares\n"
    install(tmp_path, monkeypatch, name="my-images", code="raise SystemError", entry_points=entry_points)
    with client_of(app_of(full_store, roots=DataRoots())) as client:
        answer = client.post(f"{API}/sweeps", content=spec("x", source="'plugin:squares'"))

    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("door", ["sweeps", "specs:validate", "specs:estimate"])
@pytest.mark.parametrize(
    ("key", "line", "law"),
    [
        (
            "search_space:",
            "search_space:\n  architecture: {{keras: '{}'}}",
            "networks that an installed package offers",
        ),
        ("search_space:", "metrics: ['{}']\nsearch_space:", "functions that an installed package offers"),
    ],
)
def test_nobody_is_told_over_http_what_is_installed_here(door, key, line, law, full_store):
    modules = ("filelock._api:nothing", "nobody_has_this:nothing")
    with client_of(app_of(full_store, roots=DataRoots())) as client:
        answers = {
            name: client.post(f"{API}/{door}", content=spec("x").replace(key, line.format(name))) for name in modules
        }

    told = {answer.json()["detail"].replace(name, "") for name, answer in answers.items()}
    assert {answer.status_code for answer in answers.values()} == {422}
    assert len(told) == 1
    assert law in told.pop()


def test_an_order_that_is_sent_twice_with_its_mark_is_one_item(client):
    mark = {"Idempotency-Key": "once"}
    first, second = (submitted(client, "new", headers=mark) for _ in range(2))
    other = client.post(f"{API}/sweeps", content=spec("other"), headers=mark)
    unmarked = client.post(f"{API}/sweeps", content=spec("new"))

    assert first == second
    assert (other.status_code, unmarked.status_code) == (409, 409)
    assert len(client.get(f"{API}/queue").json()["items"]) == 1


def test_a_name_that_another_spec_has_in_the_store_is_refused_at_once(reader):
    assert reader.post(f"{API}/sweeps", content=spec("digits")).status_code == 409


def test_orders_change_the_queue_and_stand_in_the_audit_with_who_gave_them(client):
    first, second = (submitted(client, name)["item"] for name in ("a", "b"))
    client.post(f"{API}/queue/{second}:move", json={"before": first})
    client.post(f"{API}/queue/{first}:prioritize", json={"priority": 3})
    client.post(f"{API}/queue/{first}:hold", json={"reason": "not yet"})
    client.post(f"{API}/queue/{first}:release")
    client.post(f"{API}/queue/{second}:cancel")
    done = client.post(f"{API}/queue/{second}:hold")

    (item,) = client.get(f"{API}/queue").json()["items"]
    entries = client.get(f"{API}/audit?actor=submitter").json()["items"]
    assert (item["item"], item["priority"], item["state"], item["owner"]) == (first, 3, "waiting", "submitter")
    assert done.status_code == 409
    assert [entry["action"] for entry in reversed(entries)] == [
        "submit", "submit", "move", "prioritize", "hold", "release", "cancel",
    ]  # fmt: skip
    assert entries[2]["reasons"] == ["not yet"]
    assert entries[0]["sweep"] == "b"
    assert client.get(f"{API}/audit?actor=nobody").json()["items"] == []


def test_what_belongs_to_another_is_changed_by_an_approver_alone(client, full_store, tokens):
    item = submitted(client, "a")["item"]
    grace = tokens[0].create("grace", Role.SUBMITTER, now=NOW)
    app = app_of(full_store, tokens=tokens[0])
    with client_of(app, grace) as other, client_of(app, tokens[1][Role.APPROVER]) as approver:
        assert other.post(f"{API}/queue/{item}:cancel").status_code == 403
        assert other.post(f"{API}/sweeps/a:stop").status_code == 403
        assert approver.post(f"{API}/queue/{item}:cancel").status_code == 200


def test_a_queued_sweep_that_is_stopped_is_held(client):
    submitted(client, "a")

    assert client.post(f"{API}/sweeps/a:stop").json()["queued"]["state"] == "held"


def test_two_services_on_one_store_see_the_same_queue(client, full_store, tokens):
    with client_of(app_of(full_store, tokens=tokens[0]), tokens[1][Role.SUBMITTER]) as other:
        for name in ("a", "b", "c"):
            submitted(client, name)
            submitted(other, f"{name}-2")

        assert client.get(f"{API}/queue").json() == other.get(f"{API}/queue").json()
        assert len(client.get(f"{API}/queue").json()["items"]) == 6


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "COPY trials TO '/tmp/x'",
        "SELECT 1; SELECT 2",
        "DROP VIEW trials",
        "INSTALL httpfs",
        "SELECT * FROM 'https://example.org/x.parquet'",
        "",
    ],
)
def test_sql_that_reaches_out_is_refused(sql, reader):
    answer = reader.post(f"{API}/query", json={"sql": sql})

    assert answer.status_code == 422
    assert "root:" not in answer.text


@pytest.mark.slow
def test_sql_answers_as_json_csv_and_parquet(reader):
    question = {
        "sql": "SELECT trial, neg_elbo, [1, 2] AS list, 'nan'::DOUBLE AS nan FROM trials ORDER BY trial LIMIT 2"
    }
    answer = reader.post(f"{API}/query", json=question).json()
    csv = reader.post(f"{API}/query.csv", json=question).text
    parquet = pq.read_table(io.BytesIO(reader.post(f"{API}/query.parquet", json=question).content))

    assert answer["rows"] == [[0, 100.0, [1, 2], None], [1, 101.0, [1, 2], None]]
    assert csv.splitlines()[0] == '"trial","neg_elbo","list","nan"'
    assert parquet["trial"].to_pylist() == [0, 1]


@pytest.mark.slow
def test_sql_is_bounded_in_time_and_rows(reader):
    many = reader.post(f"{API}/query", json={"sql": "SELECT range FROM range(20000)"}).json()
    slow = reader.post(f"{API}/query", json={"sql": "SELECT count(*) FROM range(10000000000000)", "timeout_s": 0.2})
    long = reader.post(f"{API}/query", json={"sql": "SELECT 1", "timeout_s": 3600})

    assert (len(many["rows"]), many["truncated"]) == (10_000, True)
    assert (slow.status_code, long.status_code) == (422, 422)


def test_a_service_is_ready_as_long_as_the_store_can_be_read_and_names_the_dispatcher(full_store, monkeypatch):
    def lost(self: LocalStore, path: str) -> bytes:
        raise errors.StoreUnavailable("gone")

    now_s = [0.0]
    client = client_of(app_of(full_store, monotonic=lambda: now_s[0]))
    assert client.get("/healthz").text == "ok\n"
    assert (client.get("/readyz").status_code, client.get("/readyz").json()["dispatcher"]) == (200, "none")
    full_store.replace("queue/heartbeat.json", b'{"counter":1,"ended":false,"leader":1}\n')
    now_s[0] += 1.0
    assert client.get("/readyz").json() == {"store": "readable", "dispatcher": "beating"}
    full_store.replace("queue/heartbeat.json", b'{"counter":2,"ended":true,"leader":1}\n')
    now_s[0] += 1.0
    assert client.get("/readyz").json()["dispatcher"] == "none"
    monkeypatch.setattr(LocalStore, "read", lost)
    assert client.get("/readyz").status_code == 200  # whoever asks often has no second request made
    now_s[0] += 1.0
    assert client.get("/readyz").status_code == 503


def test_a_process_whose_dispatcher_has_failed_asks_to_be_started_anew(full_store):
    class Failed:
        is_alive = False

        def start(self) -> None: ...

        def stop(self) -> None: ...

    with client_of(app_of(full_store, background=Failed())) as client:
        assert client.get("/healthz").status_code == 503
        assert client.get("/readyz").status_code == 200


def test_a_dispatcher_whose_counter_stands_still_is_silent(full_store):
    now_s, seen = [0.0], []
    full_store.replace("queue/heartbeat.json", b'{"counter":1,"ended":false,"leader":1}\n')
    with client_of(app_of(full_store, monotonic=lambda: now_s[0])) as client:
        for at_s in (0.0, 10.0, 40.0, 41.0):
            now_s[0] = at_s
            if at_s == 41.0:
                full_store.replace("queue/heartbeat.json", b'{"counter":2,"ended":false,"leader":1}\n')
            seen.append(client.get("/readyz").json()["dispatcher"])

    assert seen == ["beating", "beating", "silent", "beating"]


def test_metrics_count_sweeps_items_trials_and_requests(client):
    submitted(client, "a")
    client.get(f"{API}/sweeps/nosuch")
    client.get(f"{API}/sweeps/other")
    text = client.get("/metrics").text

    assert 'vae_search_sweeps{state="interrupted"} 1' in text
    assert 'vae_search_queue_items{state="waiting"} 1' in text
    assert "vae_search_trials_finished 8" in text
    assert f'vae_search_http_requests_total{{method="GET",route="{API}/sweeps/{{sweep}}",status="404"}} 2' in text
    assert f'_duration_seconds_bucket{{route="{API}/sweeps/{{sweep}}",le="+Inf"}} 2' in text


def test_the_old_stores_model_is_shown_with_its_files_and_no_others(tmp_path):
    import shutil

    from tests.support.paths import ROOT

    shutil.copytree(ROOT / "tests" / "fixtures" / "store_f001553" / "store", tmp_path / "old")
    with client_of(app_of(LocalStore(tmp_path / "old"))) as client:
        model = client.get(f"{API}/models/before").json()
        version = client.get(f"{API}/models/before/versions/1").json()
        card = client.get(f"{API}/models/before/versions/1/files/card.json")
        manifest = client.get(f"{API}/models/before/versions/1/files/manifest.json")
        audit = client.get(f"{API}/audit?model=before").json()["items"]
        back = client.post(f"{API}/models/before:rollback", json={"to": 1, "why": "a try"})
        away = client.post(f"{API}/models/before:rollback", json={"to": 9, "why": "a try"})

    assert (model["champion"], version["state"]) == (1, "promoted")
    assert card.json() == version["card"]
    assert manifest.status_code == 404
    assert [entry["actor"] for entry in audit] == [None, None]
    assert (back.status_code, away.status_code) == (200, 404)


def test_queries_that_would_wait_too_many_are_refused_and_others_are_answered(full_store):
    app = app_of(full_store)
    with client_of(app) as client, ExitStack() as taken:
        for _ in range(MOST_QUERIES):
            taken.enter_context(app.state.service.query_slot())
        for _ in range(MOST_WAITING):
            app.state.service._waiting.acquire()
        refused = client.post(f"{API}/query", json={"sql": "SELECT 1"})
        answered = client.get(f"{API}/sweeps")

    assert (refused.status_code, refused.headers["retry-after"], answered.status_code) == (503, "5", 200)


def test_a_sweep_that_nobody_runs_is_read_once_until_another_driver_takes_it(full_store):
    now_s = [0.0]
    reader = SweepReader(full_store, monotonic=lambda: now_s[0])
    before = reader.facts("digits")
    Ledger(full_store, "digits").commit(trial_row(8), [])  # as only a driver does
    kept = reader.facts("digits")
    full_store.create("sweeps/digits/leases/000001.json", b"{}")
    with pytest.raises(errors.CorruptStore):  # so it was looked at
        reader.facts("digits")
    full_store.remove("sweeps/digits/leases/000001.json")
    now_s[0] = 61.0
    after = reader.facts("digits")

    assert (before["finished"], kept["finished"], after["finished"]) == (8, 8, 9)


def test_names_of_sweeps_are_kept_up_by_their_folders_alone(full_store):
    before = sweep_names(full_store)
    full_store.create("sweeps/new/resolved.json", b"{}")
    full_store.create("sweeps/begun/leases/000001.json", b"{}")

    assert sweep_names_again(full_store, before) == sorted([*before, "new"]) == sweep_names(full_store)
    full_store.remove_tree("sweeps/new")
    assert sweep_names_again(full_store, [*before, "new"]) == before


def test_a_look_at_a_sweep_asks_the_store_for_nothing_twice(full_store, monkeypatch):
    asked = []
    for name in ("read", "list"):
        method = getattr(full_store, name)
        monkeypatch.setattr(full_store, name, lambda path, method=method: (asked.append(path), method(path))[1])

    leaderboard = read_leaderboard(full_store, "digits")
    anew = sweep_facts(status(full_store, "digits"))
    asked.clear()
    found = status(one_look(full_store), "digits", leaderboard=leaderboard)

    assert sweep_facts(found) == anew
    assert len(asked) == len({*asked})


def test_an_order_shows_at_once_where_it_was_given_and_a_moment_later_elsewhere(full_store, monkeypatch):
    now_s = [0.0]
    here, there = (app_of(full_store, monotonic=lambda: now_s[0]) for _ in range(2))
    with client_of(here) as client, client_of(there) as other:
        assert "newer" not in other.get("/").text
        submitted(client, "newer")
        shown = [client.get("/").text, other.get("/").text]
        now_s[0] = 1.0
        shown.append(other.get("/").text)

    assert ["newer" in text for text in shown] == [True, False, True]
