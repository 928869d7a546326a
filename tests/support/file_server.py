"""A web server on this machine that has one file, knows ranges and versions, and cuts connections on demand."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


class FileServer(ThreadingHTTPServer):
    """Serves `content` at every path; its attributes may be changed while it runs.

    `asked` holds what came: the path and the Range, or None; `cuts` after how many bytes the next replies break off
    (None: they do not); `locations` where the next requests are sent instead.
    """

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.etag: str | None = '"1"'
        self.last_modified: str | None = None
        self.knows_ranges = True
        self.announces_length = True
        self.status: int | None = None
        self.asked: list[tuple[str, str | None]] = []
        self.cuts: list[int | None] = []
        self.locations: list[str] = []
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address) -> None:
        pass  # a client that hangs up is part of the game


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        with self.server.lock:
            self.server.asked.append((self.path, wanted))
            location = self.server.locations.pop(0) if self.server.locations else None
            cut = self.server.cuts.pop(0) if self.server.cuts else None
        if location is not None:
            self.send_response(302)
            self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.server.status is not None:
            self.send_error(self.server.status)
        elif self._is_at_hand():
            self.send_response(304)
            self.end_headers()
        else:
            self._send(_RANGE.fullmatch(wanted or "") if self.server.knows_ranges else None, cut)

    def _is_at_hand(self) -> bool:
        etag, since = self.headers.get("If-None-Match"), self.headers.get("If-Modified-Since")
        return (etag is not None and etag == self.server.etag) or (
            since is not None and since == self.server.last_modified
        )

    def _send(self, span: re.Match[str] | None, cut: int | None) -> None:
        content, size = self.server.content, len(self.server.content)
        start, end = (int(span[1]), min(int(span[2]) + 1, size)) if span else (0, size)
        if span and start >= size:
            self.send_error(416)
            return
        self.send_response(206 if span else 200)
        if span:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        if self.server.announces_length:
            self.send_header("Content-Length", str(end - start))
        if self.server.etag is not None:
            self.send_header("ETag", self.server.etag)
        if self.server.last_modified is not None:
            self.send_header("Last-Modified", self.server.last_modified)
        self.end_headers()
        body = memoryview(content)[start:end]
        self.wfile.write(body if cut is None else body[:cut])

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def file_server(content: bytes) -> Iterator[FileServer]:
    """A running server for the length of the block."""
    with FileServer(content) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="file server")
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
