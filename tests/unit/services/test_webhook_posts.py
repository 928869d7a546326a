"""Posts of webhooks: signatures against openssl and the published example, slow and hostile receivers, the file."""

import base64
import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from vae_search.errors import InvalidSpec, NotFound, VaeSearchError
from vae_search.services.webhooks.hooks_file import HooksFile, parse_hooks
from vae_search.services.webhooks.posting import post
from vae_search.services.webhooks.signing import secret_key, signed_headers

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
HOOK = {"name": "chat", "url": "https://chat.example/hook", "secret": SECRET}


def test_the_published_example_of_standard_webhooks_comes_out():
    key = secret_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'

    headers = signed_headers(key, event="msg_p5jXN8AQM9LWM0D4loKWxJek", sent_at_s=1614265330, body=body)

    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize("body", [b"{}", '{"reason": "größer"}'.encode(), bytes(range(256)), b""])
def test_openssl_makes_the_same_signature(body):
    signed = b"evt_1.1700000000." + body
    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{(b'k' * 32).hex()}", "-binary"]
    by_openssl = subprocess.run(command, input=signed, capture_output=True, check=True).stdout

    headers = signed_headers(secret_key(SECRET), event="evt_1", sent_at_s=1_700_000_000, body=body)

    assert headers["webhook-signature"] == f"v1,{base64.b64encode(by_openssl).decode()}"


@contextmanager
def answering(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """The address of a server that does with a connection what `talk` does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    talk(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        finally:
            server.close()
            thread.join()


def silent(connection: socket.socket) -> None:
    while connection.recv(1000):
        pass


def drips(connection: socket.socket) -> None:
    """A header that never ends, each byte of it in time."""
    connection.settimeout(0.02)
    while True:
        with suppress(TimeoutError):
            if not connection.recv(1000):
                return
        connection.sendall(b"H")


def endless(connection: socket.socket) -> None:
    connection.recv(10_000)
    connection.sendall(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(10_000):
        connection.sendall(b"1000\r\n" + b"\x1b[31m" + b"x" * 4091 + b"\r\n")


def nonsense(connection: socket.socket) -> None:
    connection.recv(10_000)
    connection.sendall(b"\x00\xff" * 100 + b"\r\n\r\n")


@pytest.mark.parametrize("talk", [silent, drips, endless, nonsense, lambda connection: None])
def test_a_hostile_receiver_is_a_short_trouble(talk):
    with answering(talk) as url:
        answer = post(url, headers={}, body=b"{}", timeout_s=0.2, total_s=0.4)

    assert answer.trouble
    assert len(answer.trouble) <= 600
    assert answer.trouble.isprintable()


def test_nobody_there_is_a_trouble():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    assert "refused" in post(f"http://127.0.0.1:{port}/", headers={}, body=b"{}").trouble


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path):
    import ssl

    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, capture_output=True, check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def talk(connection: socket.socket) -> None:
        with suppress(OSError):
            context.wrap_socket(connection, server_side=True).recv(1000)

    with answering(talk) as url:
        answer = post(url.replace("http:", "https:"), headers={}, body=b"{}", timeout_s=5.0)

    assert "CERTIFICATE_VERIFY_FAILED" in answer.trouble


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"secret": "whsec_short"}, "secret: must be whsec_"),
        ({"secret": "k" * 40}, "secret: must be whsec_"),
        ({"secret": None}, "secret: must be whsec_"),
        ({"url": "ftp://chat.example/"}, "url: must be"),
        ({"url": "https://ada:pw@chat.example/"}, "url: must be"),
        ({"url": "https://chat.example/a b"}, "url: must be"),
        ({"url": "https://chat.example:nine/"}, "url: must be"),
        ({"url": "https://chat.example/\r\nX: y"}, "url: must be"),
        ({"url": 3}, "url: must be"),
        ({"name": "../chat"}, "a name must be"),
        ({"name": None}, "a name must be"),
        ({"events": ["sweep.finnished"]}, "Did you mean sweep.finished?"),
        ({"events": "sweep.finished"}, "events: must be a list"),
        ({"events": [["sweep.finished"]]}, "events: there is no"),
        ({"event": []}, "Did you mean events?"),
    ],
)
def test_a_mistake_in_the_file_is_told_and_no_secret(changes, problem):
    content = json.dumps({"webhooks": [HOOK | changes]}).encode()

    with pytest.raises(InvalidSpec) as refused:
        parse_hooks(content, where="webhooks.json")

    assert problem in str(refused.value)
    assert str(refused.value).startswith("webhooks.json: webhook ")
    assert "k" * 40 not in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"webhooks": {}}', b'{"webhooks": [1]}', b"\xff", b"[" * 9999]
)
def test_what_is_no_list_of_hooks_is_refused(content):
    with pytest.raises(InvalidSpec, match="must be JSON"):
        parse_hooks(content, where="webhooks.json")


def test_two_hooks_of_one_name_are_refused():
    with pytest.raises(InvalidSpec, match="is there twice"):
        parse_hooks(json.dumps({"webhooks": [HOOK, HOOK]}).encode(), where="webhooks.json")


def test_a_file_that_others_may_read_is_refused(tmp_path: Path):
    path = tmp_path / "webhooks.json"
    path.write_text(json.dumps({"webhooks": [HOOK]}))
    path.chmod(0o640)

    with pytest.raises(VaeSearchError, match="chmod 600"):
        HooksFile(path).hooks()
    path.chmod(0o600)
    assert [hook.receiver for hook in HooksFile(path).hooks()] == ["https://chat.example"]
    with pytest.raises(NotFound):
        HooksFile(tmp_path / "none.json").hooks()
