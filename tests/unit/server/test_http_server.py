"""The server on a real socket: slow, silent and oversized clients are bounded, and others are answered meanwhile."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import vae_search
from tests.support.stores import filled_store
from tests.support.web_service import app_of, serving
from vae_search.errors import InvalidSpec, VaeSearchError
from vae_search.server import wall
from vae_search.server.http_server import WILDCARDS, BoundedProtocol, listening, trusted_names

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


def test_beyond_the_loopback_there_must_be_tokens_and_a_name():
    assert trusted_names("127.0.0.1", trusted=(), has_tokens=False) >= {"localhost", "127.0.0.1"}
    assert trusted_names("10.0.0.5", trusted=("Search.Example",), has_tokens=True) == {"10.0.0.5", "search.example"}
    for host in (*WILDCARDS, "10.0.0.5", "example.org"):
        with pytest.raises(InvalidSpec, match="--tokens"):
            trusted_names(host, trusted=("a",), has_tokens=False)
    for host in WILDCARDS:
        with pytest.raises(InvalidSpec, match="--trusted-host"):
            trusted_names(host, trusted=(), has_tokens=True)


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
    monkeypatch.setattr("vae_search.cli.serve.find_spec", lambda name: None)
    done = vae_search("serve", "--store", tmp_path, folder=tmp_path)

    assert done.returncode == 2
    assert "pip install 'vae-search[web]'" in done.stderr.decode()
