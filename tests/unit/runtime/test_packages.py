"""Packages that a client leaves at a head: what the head is asked, and how it says no. The head is this machine's."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from vae_search.errors import ClusterTrouble
from vae_search.runtime.cluster.job_package import leave_packages

TOKEN = "t" * 32


class Head(ThreadingHTTPServer):
    """Keeps packages as Ray's dashboard does; `asked` has what came, in order."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.kept: dict[str, bytes] = {}
        self.asked: list[tuple[str, str]] = []
        self.refusal: bytes | None = None


class _Handler(BaseHTTPRequestHandler):
    server: Head

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        name = self.path.removeprefix("/api/packages/gcs/")
        self.server.asked.append((self.command, name))
        if self.command == "PUT":
            self.server.kept[name] = body
        known = name in self.server.kept and self.headers.get("Authorization") == f"Bearer {TOKEN}"
        answer = self.server.refusal or b""
        self.send_response(500 if answer else 200 if known else 404)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_PUT = _serve  # noqa: N815 - the library's names

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def head() -> Iterator[Head]:
    with Head() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_every_part_is_kept_under_a_name_of_its_own_and_asked_for_so_that_it_expires(head):
    address = f"http://127.0.0.1:{head.server_port}"

    first = leave_packages(address, [b"one", b"two"], token=TOKEN)
    second = leave_packages(address, [b"one"], token=TOKEN)

    assert len({*first, *second}) == 3
    assert [head.kept[name.removeprefix("gcs://")] for name in first] == [b"one", b"two"]
    one, two = (name.removeprefix("gcs://") for name in first)
    assert head.asked[:5] == [("PUT", one), ("GET", one), ("PUT", two), ("GET", two), ("GET", one)]


def test_a_head_that_does_not_take_them_is_quoted_in_a_line(head):
    head.refusal = b"Traceback (most recent call last):\n  File x\nValueError: too large"

    with pytest.raises(ClusterTrouble, match="does not take the images: it answers 500 ValueError: too large"):
        leave_packages(f"http://127.0.0.1:{head.server_port}", [b"one"], token=TOKEN)


def test_a_head_that_is_away_is_named():
    with pytest.raises(ClusterTrouble, match="does not take the images: connection refused"):
        leave_packages("http://127.0.0.1:9", [b"one"], token=None)
