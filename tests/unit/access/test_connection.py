"""Requests to a service: one host only, tried again where that does no harm, and every trouble in a few lines."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.command_line import vae_search
from tests.support.paths import ROOT
from vae_search.access import connection as module
from vae_search.access.connection import Connection, Request
from vae_search.access.event_stream import read_events
from vae_search.access.problem_documents import error_kind, error_of
from vae_search.access.remote import RemoteAccess
from vae_search.core.settings import TOKEN_FILE_VARIABLE, TOKEN_VARIABLE
from vae_search.errors import (
    PROBLEM_MEDIA_TYPE,
    Conflict,
    CorruptStore,
    InvalidSpec,
    NotFound,
    StoreUnavailable,
    VaeSearchError,
)
from vae_search.server.problems import STATUSES, problem_of

SECRET = "vaes_secret"  # noqa: S105
Answer = tuple[int, dict[str, str], bytes] | None
"""Status, headers and body; None hangs up without a word"""


@contextmanager
def answering(answer: Callable[["BaseHTTPRequestHandler"], Answer]) -> Iterator[tuple[str, list[tuple[str, dict]]]]:
    """A server of the loopback that answers so; its address, and the path and headers of each request."""
    seen: list[tuple[str, dict]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            seen.append((self.path, dict(self.headers)))
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            found = answer(self)
            if found is None:
                self.close_connection = True
                return
            status, headers, body = found
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - http.server's name

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def json_answer(value: object) -> Answer:
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


def connected(server: str, **more: object) -> Connection:
    return Connection(server, token=SECRET, sleep=lambda _: None, **more)


def test_no_redirect_is_followed_and_the_token_stays_here() -> None:
    with (
        answering(lambda _: json_answer({})) as (elsewhere, stolen),
        answering(lambda _: (302, {"Location": f"{elsewhere}/api/v1/models"}, b"")) as (server, seen),
        pytest.raises(VaeSearchError, match="sends us to http://127") as error,
    ):
        connected(server).ask(Request(path="/models"))

    assert [headers["Authorization"] for _, headers in seen] == [f"Bearer {SECRET}"]
    assert stolen == []
    assert SECRET not in str(error.value)


@pytest.mark.parametrize("server", ["http://example.org", "http://10.0.0.1:8080", "http://127.0.0.1.example.org"])
def test_plain_http_beyond_this_machine_must_be_allowed(server: str) -> None:
    with pytest.raises(InvalidSpec, match="must be https, since others on the way"):
        connected(server)

    connected(server, allow_plain=True)


@pytest.mark.parametrize("server", ["http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:1", "https://a.b"])
def test_the_loopback_and_https_need_no_leave(server: str) -> None:
    assert connected(server).server == server


@pytest.mark.parametrize("server", ["ftp://a", "http://", "http://a:b", "http://user:word@host", "http://a?b"])
def test_what_is_no_address_is_refused_without_a_password_in_it(server: str) -> None:
    with pytest.raises(InvalidSpec, match="must be the address of a service") as error:
        connected(server)

    assert "word" not in str(error.value)


def test_a_question_whose_answer_was_lost_is_asked_again() -> None:
    with answering(lambda _: json_answer({"items": []}) if len(seen) > 2 else None) as (server, seen):
        assert connected(server).ask(Request(path="/models")) == {"items": []}

    assert len(seen) == 3


def test_an_order_that_must_not_come_twice_is_sent_once() -> None:
    with (
        answering(lambda _: None) as (server, seen),
        pytest.raises(StoreUnavailable, match=r"cannot be reached.*\nWhether it was carried out is not known"),
    ):
        RemoteAccess(connected(server)).roll_back("m", to=None, why="by hand")

    assert len(seen) == 1


def test_a_service_that_has_no_place_is_asked_again_as_late_as_it_says() -> None:
    waits: list[float] = []
    busy = (
        503,
        {"Content-Type": PROBLEM_MEDIA_TYPE, "Retry-After": "5"},
        b'{"detail": "2 queries are being answered."}',
    )
    with answering(lambda _: json_answer({}) if len(seen) > 1 else busy) as (server, seen):
        Connection(server, token=None, sleep=waits.append).ask(Request(path="/models"))
    with (
        answering(lambda _: busy) as (server, seen),
        pytest.raises(StoreUnavailable, match=r"127.*: 2 queries are being answered"),
    ):
        connected(server).ask(Request(path="/models"))

    assert waits == [5.0]
    assert len(seen) == 4


def test_an_answer_that_is_too_large_or_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    strange = [
        json_answer("x" * 1001),
        (200, {"Content-Type": "text/html"}, b"<h1>Log in</h1>"),
        (200, {"Content-Type": "application/json"}, b'{"cut'),
        (200, {"Content-Type": "application/json", "Content-Length": "99"}, b"{}"),
        (404, {"Content-Type": "text/html"}, b"<h1>Not here</h1>"),
        (200, {"Content-Type": "application/json"}, b"[]"),
    ]
    words = [
        "larger than",
        "must answer with application/json",
        "no JSON",
        "broke off",
        "answers 404",
        "not what this program",
    ]
    for answer, said in zip(strange, words, strict=True):
        with answering(lambda _, answer=answer: answer) as (server, _), pytest.raises(VaeSearchError, match=said):
            RemoteAccess(connected(server)).models()


def test_an_answer_without_what_is_needed_names_it() -> None:
    with (
        answering(lambda _: json_answer({"items": []})) as (server, _),
        pytest.raises(VaeSearchError, match="'troubles' is missing"),
    ):
        RemoteAccess(connected(server)).statuses()


def test_every_error_of_the_package_comes_back_as_itself() -> None:
    for kind in STATUSES:
        document = problem_of(kind("path: what must hold.\nWhat to do."))
        found = error_of(document.status_code, PROBLEM_MEDIA_TYPE, document.body, server="http://a")
        assert (type(found), str(found)) == (kind, "path: what must hold.\nWhat to do.")


def test_an_exit_code_has_a_class() -> None:
    assert (error_kind(2), error_kind(3, name="corrupt-store"), error_kind(5)) == (InvalidSpec, CorruptStore, Conflict)
    assert error_kind(2, name="not-found") is NotFound
    assert error_kind(99) is None


def test_nobody_at_the_address_is_said_in_two_lines(tmp_path: Path) -> None:
    with answering(lambda _: None) as (server, _):
        pass

    done = vae_search("--server", server, "status", folder=tmp_path)

    assert done.returncode == 7
    assert done.stderr.decode().splitlines() == [
        f"error: {server}: cannot be reached: connection refused.",
        "Does the service run, and is the address right?",
    ]


def test_a_token_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    open_file, empty = tmp_path / "open", tmp_path / "empty"
    open_file.write_text(SECRET)
    open_file.chmod(0o640)
    empty.touch(mode=0o600)

    with answering(lambda _: json_answer({"items": [], "troubles": []})) as (server, seen):
        said = [
            vae_search("--server", server, "--token-file", file, "models", folder=tmp_path)
            for file in (open_file, empty, tmp_path / "none")
        ]
        spaced = vae_search("--server", server, "models", folder=tmp_path, **{TOKEN_VARIABLE: "two words"})

    assert [done.returncode for done in (*said, spaced)] == [1, 1, 1, 1]
    assert b"only its owner may read a token, but its mode is 0640. Change it: chmod 600" in said[0].stderr
    assert b"holds nothing" in said[1].stderr
    assert b"cannot be read: No such file" in said[2].stderr
    assert b"characters that no token has" in spaced.stderr
    assert SECRET.encode() not in said[0].stderr
    assert seen == []


def test_the_file_that_is_named_goes_before_the_environment(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.touch(mode=0o600)
    own.write_text(SECRET)
    others = {TOKEN_VARIABLE: "vaes_other", TOKEN_FILE_VARIABLE: str(tmp_path / "none")}

    with answering(lambda _: json_answer({"items": [], "troubles": []})) as (server, seen):
        vae_search("--server", server, "--token-file", own, "models", folder=tmp_path, **others)

    assert [headers["Authorization"] for _, headers in seen] == [f"Bearer {SECRET}"]


def test_the_command_line_goes_before_the_environment_and_contradictions_are_refused(tmp_path: Path) -> None:
    none = "http://127.0.0.1:1"
    of_environment = {"VAE_SEARCH_SERVER": none}

    here = vae_search("models", "--store", "vae-store", folder=tmp_path, **of_environment)
    ignored = vae_search("du", folder=tmp_path, **of_environment)
    both = vae_search("--server", none, "status", "--store", "vae-store", folder=tmp_path)
    cluster = vae_search("--server", none, "status", "--address", "http://head:8265", folder=tmp_path)
    cannot = vae_search("--server", none, "gc", folder=tmp_path)
    wrong = vae_search("--server", "head:8080", "status", folder=tmp_path)

    assert here.returncode == 0
    assert b"The store holds no model yet" in here.stdout
    assert b"--server" not in ignored.stderr
    assert [done.returncode for done in (both, cluster, cannot, wrong)] == [2, 2, 2, 2]
    assert b"--store and --server cannot go together" in both.stderr
    assert b"--address and --server cannot go together" in cluster.stderr
    assert b"gc: works on the store itself, not through a service. Leave --server out." in cannot.stderr
    assert b"--server: must be the address of a service" in wrong.stderr


class Text:
    """An answer that is read line by line."""

    def __init__(self, text: str) -> None:
        self._lines = text.encode().splitlines(keepends=True)

    def readline(self, limit: int, /) -> bytes:
        return self._lines.pop(0)[:limit] if self._lines else b""


def test_events_are_read_as_the_standard_has_them() -> None:
    text = 'retry: 3000\n\n:\n\nid: w-1\r\nevent: trial\r\ndata: {"a": 1}\r\n\r\nevent: progress\ndata: {"b'

    first, second = read_events(Text(text))

    assert first is None
    assert (second.number, second.kind, second.data) == ("w-1", "trial", {"a": 1})
    with pytest.raises(ValueError, match="no object"):
        [*read_events(Text("data: 1\n\n"))]
    with pytest.raises(ValueError, match="too long"):
        [*read_events(Text("data: " + "x" * 5 * 1024**2))]


def test_a_stream_that_breaks_off_goes_on_from_the_last_event() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> Answer:
        over = handler.headers.get("Last-Event-ID") is not None
        event = f'id: w-{1 + over}\nevent: progress\ndata: {{"runs": {json.dumps(not over)}}}\n\n'
        return 200, {"Content-Type": "text/event-stream"}, event.encode()

    with answering(answer) as (server, seen):
        events = [*RemoteAccess(connected(server), sleep=lambda _: None).events("digits")]

    assert [facts["runs"] for _, facts in events] == [True, False]
    assert [headers.get("Last-Event-ID") for _, headers in seen] == [None, "w-1"]


def test_a_service_that_stays_away_is_given_up() -> None:
    clock = iter(range(0, 1000, 50))
    event = b'event: progress\ndata: {"runs": true}\n\n'

    def answer(handler: BaseHTTPRequestHandler) -> Answer:
        return (200, {"Content-Type": "text/event-stream"}, event) if len(seen) == 1 else None

    with answering(answer) as (server, seen):
        access = RemoteAccess(connected(server), sleep=lambda _: None, monotonic=lambda: float(next(clock)))
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            [*access.events("digits")]

    assert next(clock) == 200  # it was heard at 0 and looked for at 50, 100 and 150 s


def test_a_service_that_never_was_there_is_told_at_once() -> None:
    with answering(lambda _: None) as (server, _):
        pass
    waited: list[float] = []

    with pytest.raises(StoreUnavailable, match=r"cannot be reached.*\nDoes the service run"):
        [*RemoteAccess(connected(server), sleep=waited.append).events("digits")]
    assert waited == []


def test_a_page_of_a_proxy_is_no_stream_no_log_and_no_table() -> None:
    page = (200, {"Content-Type": "text/html"}, b"<h1>log in</h1>")
    with answering(lambda _: page) as (server, _):
        access = RemoteAccess(connected(server), sleep=lambda _: None)
        for ask in (
            lambda: [*access.events("digits")],
            lambda: [*access.logs("digits", trial=None)],
            lambda: access.query("SELECT 1", sweep=None, timeout_s=None),
        ):
            with pytest.raises(VaeSearchError, match=r"but sent text/html\.\nIs the address right"):
                ask()


def test_a_log_shorter_than_announced_is_no_whole_log() -> None:
    headers = {"Content-Type": "text/plain", "Content-Length": "500"}
    with (
        answering(lambda _: (200, headers, b"one\ntwo")) as (server, _),
        pytest.raises(StoreUnavailable, match="broke off"),
    ):
        [*RemoteAccess(connected(server)).logs("digits", trial=None)]


def test_an_order_whose_answer_was_cut_off_may_have_been_carried_out() -> None:
    headers = {"Content-Type": "application/json", "Content-Length": "500"}
    with answering(lambda _: (200, headers, b"{")) as (server, _):
        access = RemoteAccess(connected(server))
        with pytest.raises(StoreUnavailable, match=r"connection was cut.*\nWhether it was carried out is not known"):
            access.roll_back("m", to=None, why="x")
        with pytest.raises(StoreUnavailable, match=r"connection was cut\)\.$"):
            access.models()


@pytest.mark.parametrize(
    "words",
    [
        ["submit", str(ROOT / "search_spaces" / "digits.yaml")],
        ["status"],
        ["status", "a"],
        ["watch", "a"],
        ["best", "a"],
        ["query", "SELECT 1"],
        ["stop", "a"],
        ["stop", "a/1"],
        ["models"],
        ["models", "a"],
        ["promote", "a"],
        ["approve", "a", "1", "--why", "x"],
        ["rollback", "a", "--why", "x"],
        ["enqueue", "a", "depth=1"],
        ["change", "a", "--set", "budget.trials=9"],
    ],
    ids=lambda words: words[0],
)
def test_each_command_tells_another_programs_answer_in_words(words: list[str], tmp_path: Path) -> None:
    with answering(lambda _: json_answer({"hello": [{}]})) as (server, _):
        done = vae_search("--server", server, *words, folder=tmp_path)

    said = done.stderr.decode()
    assert done.returncode in (1, 7)
    assert said.startswith(f"error: {server}: ")
    assert len(said.splitlines()) <= 3


def test_a_log_that_breaks_off_is_no_whole_log() -> None:
    headers = {"Content-Type": "text/plain", "Transfer-Encoding": "chunked"}
    with (
        answering(lambda _: (200, headers, b"5\r\none\ntw")) as (server, _),
        pytest.raises(StoreUnavailable, match="broke off"),
    ):
        [*RemoteAccess(connected(server)).logs("digits", trial=None)]


def test_a_promotion_is_waited_for_and_ends_as_the_service_says() -> None:
    asked = {"asked_at": "2026-01-02", "state": "running", "decision": None, "error": None, "exit_code": None}
    ended = asked | {"state": "ended", "decision": {"outcome": "kept"}}
    failed = asked | {"state": "failed", "error": "the images have changed.", "exit_code": 5}

    def service(last: dict) -> Callable[[BaseHTTPRequestHandler], Answer]:
        return lambda handler: json_answer(asked if handler.command == "POST" else {"items": [last]})

    with answering(service(ended)) as (server, seen):
        found = RemoteAccess(connected(server), sleep=lambda _: None).promote("digits", model="m")
    with answering(service(failed)) as (server, _), pytest.raises(Conflict, match=r"^the images have changed\.$"):
        RemoteAccess(connected(server), sleep=lambda _: None).promote("digits", model="m")

    assert found == {"outcome": "kept"}
    assert [path for path, _ in seen] == ["/api/v1/models/m:promote", "/api/v1/models/m/promotions"]


def test_answers_that_are_nested_deeply_are_no_json_of_ours() -> None:
    deep = b"[" * 100_000

    with (
        answering(lambda _: (200, {"Content-Type": "application/json"}, deep)) as (server, _),
        pytest.raises(VaeSearchError, match="no JSON"),
    ):
        connected(server).ask(Request(path="/models"))
    with (
        answering(lambda _: (400, {"Content-Type": PROBLEM_MEDIA_TYPE}, deep)) as (server, _),
        pytest.raises(VaeSearchError, match="not as the service does"),
    ):
        connected(server).ask(Request(path="/models"))
    with pytest.raises(ValueError, match="nested"):
        [*read_events(Text(f"data: {deep.decode()}\n\n"))]
