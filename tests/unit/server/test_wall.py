"""The wall: every route, as the application itself lists them, refuses whoever may not call it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from tests.support.stores import filled_store
from tests.support.web_service import app_of, client_of, token_file
from vae_search.server.tokens import Role
from vae_search.server.wall import ANYONE, BODY_BYTES, SECURITY_HEADERS, declared_role, opened_to

PATHS = {"sweep": "digits", "trial": "1", "item": "1", "model": "fashion", "version": "1", "path": "card.json"}
PATHS |= {"digest": "0", "name": "page.css", "entry": "1", "event": "evt_1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wall")


@pytest.fixture(scope="module")
def tokens(folder: Path):
    return token_file(folder)


@pytest.fixture(scope="module")
def app(folder: Path, tokens) -> FastAPI:
    made = app_of(filled_store(folder / "store"), tokens=tokens[0])
    files = Starlette(routes=[Route("/{path:path}", lambda request: PlainTextResponse("shown"))])
    made.mount("/static", opened_to(Role.VIEWER)(files), name="static")
    made.mount("/forgotten", Starlette(routes=[Route("/", lambda request: PlainTextResponse("secret"))]))
    return made


@pytest.fixture(scope="module")
def anyone(app: FastAPI) -> Iterator[TestClient]:
    with client_of(app) as client:
        yield client


def calls(app: FastAPI) -> Iterator[tuple[str, str, Role | str | None]]:
    """Method, path and declared role of everything that the application answers."""
    for route in iter_route_contexts(app.router.routes):
        if isinstance(route.original_route, Mount):
            yield "GET", f"{route.path}/", declared_role(route)
            continue
        path = re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: PATHS[found[1]], route.path)
        for method in route.methods:
            # An event stream has no end; `test_watchers.py` reads it.
            if not path.endswith("/events"):
                yield method, path, declared_role(route)


def test_every_route_has_declared_its_role(app):
    undeclared = [path for _, path, role in calls(app) if role is None]

    assert undeclared == ["/forgotten/"]
    assert len([*calls(app)]) > 30


def test_without_a_token_every_route_but_the_public_ones_answers_401(app, anyone):
    answers = {(method, path): anyone.request(method, path).status_code for method, path, role in calls(app)}

    public = {call for call, status in answers.items() if status != 401}
    assert public == {
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("DELETE", "/api/v1/session"),
        ("POST", "/api/v1/session"),
        ("GET", "/login"),
        ("POST", "/login"),
        ("POST", "/logout"),
        ("GET", "/static/0/page.css"),
    }
    assert anyone.get("/api/v1/sweeps/digits/events").status_code == 401
    assert anyone.get("/no/such/path").status_code == 401
    assert anyone.get("/static/page.css").status_code == 401


@pytest.mark.parametrize("role", [*Role])
def test_each_role_gets_403_exactly_where_it_does_not_reach_and_never_500(role, app, tokens):
    with client_of(app, tokens[1][role]) as client:
        for method, path, needed in calls(app):
            answer = client.request(method, path)
            status = answer.status_code
            reaches = needed == ANYONE or (isinstance(needed, Role) and role.reaches(needed))
            # A route that is reached may still refuse what belongs to another.
            is_refused = status == 403 and "needs the role" in answer.text
            assert is_refused == (not reaches), (method, path, status)
            assert status < 500 or path == "/readyz", (method, path, status)


def test_a_route_that_is_added_without_a_role_is_closed_to_approvers(folder, tokens):
    app = app_of(filled_store(folder / "another"), tokens=tokens[0])
    app.add_api_route("/forgotten-page", lambda: "secret")

    with client_of(app, tokens[1][Role.APPROVER]) as client:
        answer = client.get("/forgotten-page")

    assert answer.status_code == 403
    assert "secret" not in answer.text


def test_another_method_on_a_path_is_no_way_around_its_role(app, anyone, tokens):
    assert anyone.request("HEAD", "/api/v1/sweeps").status_code == 401
    with client_of(app, tokens[1][Role.VIEWER]) as client:
        assert client.request("PUT", "/api/v1/sweeps").status_code in (403, 405)


@pytest.mark.parametrize("token", ["", "x", "vaes_" + "A" * 43, "é", "a" * 10_000])
def test_a_token_that_nobody_has_is_refused(token, app):
    with client_of(app) as client:
        answer = client.get("/api/v1/sweeps", headers={"Authorization": f"Bearer {token}".encode()})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_revoked_token_is_refused_from_the_next_request_on(folder):
    (folder / "revoked").mkdir()
    file, tokens = token_file(folder / "revoked")
    with client_of(app_of(filled_store(folder / "revoked" / "store"), tokens=file), tokens[Role.VIEWER]) as client:
        before = client.get("/api/v1/sweeps").status_code
        file.revoke(Role.VIEWER.value)
        after = client.get("/api/v1/sweeps").status_code

    assert (before, after) == (200, 401)


def test_a_tokens_file_that_others_can_read_closes_the_service_and_only_its_log_says_why(folder, caplog):
    (folder / "open").mkdir()
    file, tokens = token_file(folder / "open")
    with client_of(app_of(filled_store(folder / "open" / "store"), tokens=file), tokens[Role.APPROVER]) as client:
        file.path.chmod(0o644)
        token = tokens[Role.APPROVER]
        answers = [
            client.get("/api/v1/sweeps"),
            client.post("/api/v1/session", json={"token": token}),
            client.post("/login", data={"token": token}),
        ]

    assert [answer.status_code for answer in answers] == [503] * 3
    assert not any(str(file.path) in answer.text or "chmod" in answer.text for answer in answers)
    assert "chmod 600" in caplog.text


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "127.0.0.2", "localhost@evil.example"])
def test_another_name_in_the_host_header_is_refused_before_all_else(host, app):
    with client_of(app) as client:
        for path in ("/healthz", "/api/v1/sweeps"):
            assert client.get(path, headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080"])
def test_own_names_are_taken_with_any_port(host, anyone):
    assert anyone.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "is_refused"),
    [
        ({}, False),  # a program
        ({"Sec-Fetch-Site": "same-origin"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Origin": "http://localhost"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, True),
        ({"Sec-Fetch-Site": "same-site"}, True),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, True),
        ({"Origin": "http://evil.example"}, True),
        ({"Origin": "http://localhost:1234"}, True),
        ({"Origin": "null"}, True),
    ],
)
def test_a_change_from_another_sites_page_is_refused(headers, is_refused, app, tokens):
    with client_of(app, tokens[1][Role.APPROVER]) as client:
        status = client.post("/api/v1/specs:validate", content="x", headers=headers).status_code

    assert (status == 403) == is_refused


def test_a_browser_logs_in_with_a_cookie_that_no_script_and_no_other_site_has(app, tokens):
    with client_of(app) as client:
        wrong = client.post("/api/v1/session", json={"token": "x"})
        answer = client.post("/api/v1/session", json={"token": tokens[1][Role.VIEWER]})
        seen = client.get("/api/v1/me")
        client.delete("/api/v1/session")
        after = client.get("/api/v1/me")

    assert wrong.status_code == 401
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {*answer.headers["set-cookie"].split("; ")}
    assert seen.json()["name"] == "viewer"
    assert after.status_code == 401


def test_a_body_that_is_larger_than_any_spec_is_refused(app, tokens):
    with client_of(app, tokens[1][Role.APPROVER]) as client:
        answer = client.post("/api/v1/sweeps", content=b"#" * 20_000_000)
        chunked = client.post("/api/v1/sweeps", content=(b"#" * 65_536 for _ in range(300)))
        allowed = client.post("/api/v1/specs:validate", content=b"#" * BODY_BYTES)

    assert (answer.status_code, chunked.status_code, allowed.status_code) == (413, 413, 422)


def test_every_answer_has_the_security_headers(anyone):
    for path in ("/healthz", "/api/v1/sweeps", "/no/such/path"):
        answer = anyone.get(path)
        assert {name: answer.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
        assert answer.headers["cache-control"] == "no-store"


def test_a_mistake_in_the_program_is_told_without_its_words(folder):
    app = app_of(filled_store(folder / "mistaken"))

    def fails() -> None:
        raise ZeroDivisionError("secret")

    app.add_api_route("/fails", opened_to(Role.VIEWER)(fails))
    with client_of(app) as client:
        answer = client.get("/fails")

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text


def test_without_tokens_the_one_who_reaches_the_loopback_is_the_system_user(folder):
    with client_of(app_of(filled_store(folder / "local"))) as client:
        assert client.get("/api/v1/me").json()["role"] == "approver"


@pytest.mark.parametrize("host", ["evil@localhost", "localhost/evil", "localhost#@evil", "localhost?a", "local\thost"])
def test_a_host_header_that_holds_more_than_a_host_is_refused(host, anyone):
    assert anyone.get("/healthz", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize(
    ("site", "mode", "status"),
    [
        ("cross-site", "no-cors", 403),  # <img src=…>
        ("same-site", "cors", 403),  # a program on another port of this machine
        ("cross-site", "navigate", 200),  # a link in a chat
        ("same-origin", "cors", 200),
        ("none", "navigate", 200),
    ],
)
def test_a_page_of_another_site_may_link_here_but_fetches_nothing(site, mode, status, anyone, tokens):
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, "Authorization": f"Bearer {tokens[1][Role.VIEWER]}"}

    assert anyone.get("/api/v1/sweeps", headers=headers).status_code == status


def test_a_cookie_of_another_program_on_this_machine_does_not_log_anybody_out(anyone, tokens):
    cookies = f'other={{"theme": "dark"}}; vae_search={tokens[1][Role.VIEWER]}'

    assert anyone.get("/api/v1/me", headers={"Cookie": cookies}).json()["role"] == "viewer"


def test_a_login_that_is_nested_deeply_is_refused_like_any_other_nonsense(anyone):
    answer = anyone.post("/api/v1/session", content=b'{"token": ' + b"[" * 100_000)

    assert answer.status_code == 422
    assert "token" in answer.json()["detail"]
