"""The frame of all pages: login, refusals that people can read, static files, and the forms' way back."""

import hashlib
import tomllib
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.support.paths import ROOT
from tests.support.stores import filled_store
from tests.support.web_service import app_of, client_of, token_file
from vae_search.errors import InvalidSpec
from vae_search.server.admission.request_headers import COOKIE
from vae_search.server.pages.forms import Form, local_path
from vae_search.server.pages.rendering import RIGHTS
from vae_search.server.pages.static_files import FILES, FOLDER, static
from vae_search.server.tokens import Role

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("frame")


@pytest.fixture(scope="module")
def tokens(folder: Path):
    return token_file(folder)


@pytest.fixture
def browser(folder: Path, tokens) -> Iterator[TestClient]:
    """A browser that nobody has logged in with."""
    store = filled_store(folder / "store") if not (folder / "store").exists() else _opened(folder)
    with client_of(app_of(store, tokens=tokens[0])) as client:
        client.headers.update(BROWSER)
        client.follow_redirects = False
        yield client


def _opened(folder: Path):
    from vae_search.store.backends.local import LocalStore

    return LocalStore(folder / "store")


def log_in(browser: TestClient, token: str, wanted: str = "/"):
    return browser.post("/login", data={"token": token, "next": wanted})


def test_a_browser_without_a_token_gets_the_form_and_then_the_page_that_it_wanted(browser, tokens):
    refused = browser.get("/sweeps/digits?state=FAIL")
    logged_in = log_in(browser, tokens[1][Role.VIEWER], "/sweeps/digits?state=FAIL")

    assert refused.status_code == 401
    assert refused.headers["content-type"].startswith("text/html")
    assert 'name="next" value="/sweeps/digits?state=FAIL"' in refused.text
    assert 'role="alert"' not in refused.text
    assert (logged_in.status_code, logged_in.headers["location"]) == (303, "/sweeps/digits?state=FAIL")
    cookie = logged_in.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert browser.get("/").status_code == 200


def test_a_token_that_nobody_has_is_refused_in_the_form_and_never_shown_again(browser):
    answer = log_in(browser, "vaes_unknown")

    assert answer.status_code == 401
    assert "not known, or was revoked" in answer.text
    assert "vaes_unknown" not in answer.text
    assert "set-cookie" not in answer.headers


def test_logging_out_forgets_the_token(browser, tokens):
    log_in(browser, tokens[1][Role.VIEWER])
    answer = browser.post("/logout")

    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert COOKIE not in browser.cookies
    assert browser.get("/").status_code == 401


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "",
        "evil",
        "/a\nb",
        "/ \\x",
    ],
)
def test_nobody_is_sent_elsewhere_after_logging_in(elsewhere, browser, tokens):
    assert local_path(elsewhere) == "/"
    assert log_in(browser, tokens[1][Role.VIEWER], elsewhere).headers["location"] == "/"


def test_a_login_from_another_sites_page_is_refused(browser, tokens):
    browser.headers["Sec-Fetch-Site"] = "cross-site"

    answer = log_in(browser, tokens[1][Role.VIEWER])

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_browser_reads_a_refusal_as_a_page_and_a_program_as_a_problem_document(browser, tokens):
    log_in(browser, tokens[1][Role.VIEWER])

    page = browser.get("/static/0/<script>alert(1)</script>")
    document = browser.get("/static/0/none", headers={"Accept": "*/*"})
    of_api = browser.get("/api/v1/sweeps/none")

    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert "<script>alert" not in page.text
    assert "Load the page anew" in page.text
    assert document.headers["content-type"] == "application/problem+json"
    assert of_api.headers["content-type"] == "application/problem+json"


def test_a_page_that_does_not_exist_is_a_page_too(browser, tokens):
    log_in(browser, tokens[1][Role.VIEWER])
    answer = browser.get("/none")

    assert answer.status_code == 404
    assert "<h1>Not Found</h1>" in answer.text
    assert 'aria-label="Main"' in answer.text  # who is known keeps the navigation


def test_without_tokens_there_is_nothing_to_log_in_to(tmp_path):
    with client_of(app_of(filled_store(tmp_path / "store"))) as client:
        answer = client.get("/login", follow_redirects=False)
        home = client.get("/")

    assert answer.headers["location"] == "/"
    assert "Log out" not in home.text
    assert "This service has no tokens, so whoever reaches it is you." in home.text


def test_every_page_says_who_one_is_and_what_one_may_do(browser, tokens):
    for role in Role:
        log_in(browser, tokens[1][role])
        for path in ("/", "/queue", "/models", "/sql", "/none"):
            page = browser.get(path).text

            assert f"You are <bdi>{role.value}</bdi>, {role.value}: you may {RIGHTS[role]}" in unescape(page)
            assert "has no tokens" not in page


def test_pages_hold_no_inline_script_and_fetch_nothing_from_elsewhere(browser, tokens):
    log_in(browser, tokens[1][Role.VIEWER])
    page = browser.get("/").text

    assert page.count("<script") == page.count('<script defer src="/static/')
    assert "https://" not in page
    assert " style=" not in page
    assert "onclick" not in page


@pytest.mark.parametrize("name", FILES)
def test_static_files_are_kept_for_ever_under_an_address_of_their_content(name, browser):
    plain = browser.get(static(name), headers={"Accept-Encoding": "identity"})
    zipped = browser.get(static(name), headers={"Accept-Encoding": "gzip"})

    assert plain.status_code == 200
    assert hashlib.sha256(plain.content).hexdigest()[:16] == static(name).split("/")[2]
    assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert zipped.content == plain.content  # the client has unzipped it
    assert browser.get(f"/static/0000000000000000/{name}").status_code == 404


def test_every_static_file_can_be_fetched_and_htmx_is_the_one_that_its_version_file_names():
    present = {
        path.relative_to(Path(str(FOLDER))).as_posix() for path in Path(str(FOLDER)).rglob("*") if path.is_file()
    }
    version = (FOLDER / "htmx" / "VERSION").read_text()

    assert present - {*FILES} == {"htmx/LICENSE", "htmx/VERSION"}
    assert hashlib.sha256((FOLDER / "htmx" / "htmx.min.js").read_bytes()).hexdigest() in version
    assert "htmx.org 4.0.1" in version
    assert "Zero-Clause BSD" in (FOLDER / "htmx" / "LICENSE").read_text()


def test_the_package_data_of_a_wheel_covers_every_template_and_static_file():
    server = ROOT / "vae_search" / "server"
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]

    packed = {path for pattern in configured["vae_search.server"] for path in server.glob(pattern) if path.is_file()}

    wanted = {path for part in ("templates", "static") for path in (server / part).rglob("*") if path.is_file()}
    assert len(wanted) > 8
    assert packed == wanted


@pytest.mark.parametrize("value", ["1.5", "x", "1e3", "--1"])
def test_a_field_that_should_be_a_whole_number_is_checked(value):
    with pytest.raises(InvalidSpec, match="trials: must be a whole number"):
        Form({"trials": value}).whole("trials")


def test_fields_are_bounded_and_an_empty_one_is_not_given():
    form = Form({"name": "  ", "why": "x" * 501, "trials": "12"})

    assert (form.text("name"), form.text("other"), form.whole("trials")) == (None, None, 12)
    with pytest.raises(InvalidSpec, match="why: may have at most 500 characters"):
        form.text("why")


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [("{}", "application/json", 415), ("a=1&" * 201, None, 422), (b"\xff=1", None, 422)],
)
def test_what_is_no_form_is_refused(body, kind, status, browser):
    headers = {"Content-Type": kind or "application/x-www-form-urlencoded"}

    assert browser.post("/login", content=body, headers=headers).status_code == status
