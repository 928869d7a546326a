"""The server on a real socket: slow, silent and oversized clients are bounded, and others are answered meanwhile."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.responses import Response

from tests.support.command_line import vae_search
from tests.support.stores import filled_store
from tests.support.web_service import app_of, serving
from vae_search.core.machine import PACKAGE_PARENT
from vae_search.errors import InvalidSpec, VaeSearchError
from vae_search.server import wall
from vae_search.server.http_server import WILDCARDS, BoundedProtocol, listening, trusted_names
from vae_search.server.tokens import Role

PATIENCE_S = 30.0


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A service that waits a moment for headers and bodies."""
    monkeypatch.setattr(BoundedProtocol, "headers_s", 0.3)
    monkeypatch.setitem(wall.Wall.__init__.__kwdefaults__, "body_s", 0.3)
    with serving(app_of(filled_store(tmp_path / "store"))) as port:
        yield port


def sent(port: int, *parts: bytes) -> socket.socket:
    found = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
    for part in parts:
        found.sendall(part)
    return found


def alive(port: int) -> bool:
    with sent(port, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") as other:
        return other.makefile("rb").read().startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("beginning", [b"", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_client_that_never_ends_its_headers_is_let_go(beginning, port):
    with sent(port, beginning) as silent:
        assert alive(port)
        silent.makefile("rb").read()  # to its end: the server has closed it


def test_a_client_that_never_ends_its_second_headers_is_let_go(port):
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    with sent(port, request + b"\r\n") as silent, silent.makefile("rb") as answers:
        while answers.readline() != b"ok\n":
            pass
        silent.sendall(request)
        assert answers.read() == b""


def test_a_body_that_never_comes_is_refused(port):
    head = b"POST /api/v1/specs:validate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nname:"
    with sent(port, head) as slow:
        assert alive(port)
        assert slow.makefile("rb").readline().startswith(b"HTTP/1.1 408")


def test_a_client_that_does_not_read_its_answer_is_let_go(tmp_path, monkeypatch):
    monkeypatch.setattr(BoundedProtocol, "stall_s", 0.3)
    app = app_of(filled_store(tmp_path / "store"))

    def large() -> Response:
        return Response(b"x" * 50_000_000)

    app.add_api_route("/large", wall.opened_to(Role.VIEWER)(large))
    with serving(app) as port, sent(port, b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n") as stalled:
        assert stalled.recv(1) == b"H"
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            send_until_gone(stalled)


def send_until_gone(stalled: socket.socket) -> None:
    """Send empty lines, and read nothing, until the other side is gone."""
    while True:
        stalled.sendall(b"\r\n")
        time.sleep(0.01)


def test_many_silent_clients_keep_nobody_from_being_answered(port):
    silent = [sent(port, b"POST /api/v1/sweeps HTTP/1.1\r\n") for _ in range(100)]
    try:
        assert alive(port)
    finally:
        for each in silent:
            each.close()


def test_a_spec_of_20_mb_is_refused_in_words_that_its_sender_hears(port):
    head = b"POST /api/v1/sweeps HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20000000\r\n\r\n"
    with sent(port, head, b"#" * 20_000_000) as large:
        assert large.makefile("rb").readline().startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "text", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"\x16\x03\x01" * 50]
)
def test_what_is_no_request_is_refused(text, port):
    with sent(port, text) as strange:
        assert strange.makefile("rb").readline().startswith(b"HTTP/1.1 400")
    assert alive(port)


def test_an_answer_is_not_held_back_until_its_beginning_is_acknowledged():
    """Nagle's algorithm and a delayed ACK together cost each answer on a kept connection 40 ms."""

    async def nagle_is_off() -> bool:
        taken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        class Taking(asyncio.Protocol):
            def connection_made(self, transport):
                own = transport.get_extra_info("socket")
                taken.set_result(bool(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))

        with listening("127.0.0.1", 0) as own:
            server = await asyncio.get_running_loop().create_server(Taking, sock=own)
            async with server:
                _, writer = await asyncio.open_connection(*own.getsockname())
                found = await taken
                writer.close()
                await writer.wait_closed()
        return found

    assert asyncio.run(nagle_is_off())


def test_beyond_the_loopback_there_must_be_tokens_and_a_name():
    assert trusted_names("127.0.0.1", trusted=(), has_tokens=False) >= {"localhost", "127.0.0.1"}
    assert trusted_names("10.0.0.5", trusted=("Search.Example",), has_tokens=True) == {"10.0.0.5", "search.example"}
    for host in (*WILDCARDS, "10.0.0.5", "example.org"):
        with pytest.raises(InvalidSpec, match="--tokens"):
            trusted_names(host, trusted=("a",), has_tokens=False)
    for host in WILDCARDS:
        with pytest.raises(InvalidSpec, match="--trusted-host"):
            trusted_names(host, trusted=(), has_tokens=True)
    with pytest.raises(InvalidSpec, match="--tokens"):  # a proxy on this machine would let everybody in
        trusted_names("127.0.0.1", trusted=("search.example",), has_tokens=False)


def test_a_port_that_is_taken_is_told():
    with listening("127.0.0.1", 0) as taken, pytest.raises(VaeSearchError, match="--port"):
        listening("127.0.0.1", taken.getsockname()[1])


def test_serve_refuses_another_host_and_a_missing_file_in_a_few_lines(tmp_path):
    for options in (
        ["--host", "10.0.0.5"],
        ["--tokens", str(tmp_path / "none")],
        ["--data-root", str(tmp_path / "no")],
    ):
        done = vae_search("serve", "--store", tmp_path, *options, folder=tmp_path)
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) <= 3


def test_without_the_extra_serve_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setattr("vae_search.cli.service.serve.find_spec", lambda name: None)
    done = vae_search("serve", "--store", tmp_path, folder=tmp_path)

    assert done.returncode == 2
    assert "pip install 'vae-search[web]'" in done.stderr.decode()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_a_signal_ends_it_in_order(number, tmp_path):
    vae_search("token", "create", "ada", "--role", "viewer", "--tokens", "tokens.json", folder=tmp_path)
    command = [sys.executable, "-m", "vae_search", "serve", "--store", "s", "--port", "0", "--tokens", "tokens.json"]
    with subprocess.Popen(
        command, cwd=tmp_path, env={"PYTHONPATH": str(PACKAGE_PARENT), "HOME": str(tmp_path)}, stdout=subprocess.PIPE
    ) as service:
        address = service.stdout.readline().decode().split(" on ")[1].split()[0].rstrip(".")
        with urllib.request.urlopen(f"{address}/healthz", timeout=PATIENCE_S) as answer:  # noqa: S310 - the loopback
            told = answer.read()
        service.send_signal(number)
        service.wait(PATIENCE_S)

    assert (told, service.returncode) == (b"ok\n", 0)


def test_tokens_are_made_listed_and_revoked_by_commands(tmp_path):
    made = vae_search("token", "create", "ada", "--role", "submitter", "--tokens", "t.json", folder=tmp_path)
    listed = vae_search("token", "list", "--tokens", "t.json", folder=tmp_path).stdout.decode()
    wrong = vae_search("token", "create", "bob", "--role", "king", "--tokens", "t.json", folder=tmp_path)
    vae_search("token", "revoke", "ada", "--tokens", "t.json", folder=tmp_path)
    after = vae_search("token", "list", "--json", "--tokens", "t.json", folder=tmp_path).stdout.decode()

    assert made.stdout.decode().startswith("vaes_")
    assert "ada" in listed
    assert "submitter" in listed
    assert made.stdout.decode().strip() not in listed
    assert (wrong.returncode, after.strip()) == (2, "[]")
