"""A proxy before an HTTP server that does to requests what networks do, by a seeded schedule."""

import http.client
import io
import math
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

PIECE_BYTES = 2**16


class Fault(StrEnum):
    """Kinds of faults of one request."""

    ERROR_BEFORE = "answered with 500, never forwarded"
    CONFLICT = "answered with 409, never forwarded: S3's way to say that another create is on its way"
    RESET_BEFORE = "connection reset, never forwarded"
    ERROR_AFTER = "forwarded, answered with 500"
    RESET_AFTER = "forwarded, connection reset instead of the answer"
    CUT = "forwarded, connection reset in the middle of the answer"


FORWARDED = (Fault.ERROR_AFTER, Fault.RESET_AFTER, Fault.CUT)


class FaultyProxy(ThreadingHTTPServer):
    """Forwards to `target`; of all requests a share of `rate` meets a fault.

    The n-th request's fault is a function of the seed and n alone. `met` counts what happened, `next_faults` is a list
    of faults that come first (None: no fault).
    """

    daemon_threads = True

    def __init__(self, target: str, *, seed: int = 0, rate: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(target).netloc
        self.met: Counter[Fault | None] = Counter()
        self.next_faults: list[Fault | None] = []
        self.answer: tuple[int, bytes] | None = None
        """if given, what every request is answered with"""
        self.admits: Callable[[str, str], bool] = lambda method, path: True
        """whether a request is allowed; any other is answered with 403"""
        self.bytes_per_s = math.inf
        """at which bodies of requests and answers pass"""
        self.sent_bytes: list[int] = []
        """of the bodies of answers"""
        self._chance, self._rate, self._lock = random.Random(seed), rate, threading.Lock()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def fault(self) -> Fault | None:
        with self._lock:
            drawn = self._chance.choice([*Fault]) if self._chance.random() < self._rate else None
            chosen = self.next_faults.pop(0) if self.next_faults else drawn
            self.met[chosen] += 1
            return chosen

    def handle_error(self, request, client_address) -> None:
        pass  # a client that hangs up is part of the game


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def log_message(self, *args: object) -> None:
        pass

    def _serve(self) -> None:
        body = b"".join(self._paced(int(self.headers.get("Content-Length") or 0), self.rfile.read))
        if not self.server.admits(self.command, self.path):
            self._send(403, b"<Error><Code>AccessDenied</Code></Error>", {})
            return
        if self.server.answer is not None:
            self._send(*self.server.answer, {})
            return
        fault = self.server.fault()
        if fault is None or fault in FORWARDED:
            status, headers, content = self._forward(body)
        match fault:
            case None:
                self._send(status, content, headers)
            case Fault.ERROR_BEFORE | Fault.ERROR_AFTER:
                self._send(500, b"<Error><Code>InternalError</Code></Error>", {})
            case Fault.CONFLICT:
                self._send(409, b"<Error><Code>ConditionalRequestConflict</Code></Error>", {})
            case Fault.CUT:
                self._send(status, content, headers, cut=True)
                self._reset()
            case _:
                self._reset()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve  # noqa: N815 - the library's names

    def _forward(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self.server.target)
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()
        finally:
            connection.close()

    def _send(self, status: int, content: bytes, headers: dict[str, str], *, cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) + cut))  # at least one byte is missing
        self.end_headers()
        self.server.sent_bytes.append(len(content))
        rest = io.BytesIO(content[: len(content) // 2] if cut else content)
        for piece in self._paced(len(rest.getbuffer()), rest.read):
            self.wfile.write(piece)

    def _paced(self, size: int, read: Callable[[int], bytes]) -> Iterator[bytes]:
        """A body in pieces, at the server's pace."""
        while size > 0:
            piece = read(min(PIECE_BYTES, size))
            if not piece:
                return
            yield piece
            size -= len(piece)
            time.sleep(len(piece) / self.server.bytes_per_s)

    def _reset(self) -> None:
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True


@contextmanager
def faulty_proxy(target: str, *, seed: int = 0, rate: float = 0.0) -> Iterator[FaultyProxy]:
    """A running proxy for the length of the block."""
    proxy = FaultyProxy(target, seed=seed, rate=rate)
    thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02}, name="faulty proxy")
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
