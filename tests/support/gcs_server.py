"""A bucket of Google's on this machine: what its XML interface answers to a store, and to nothing else."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


class GcsServer(ThreadingHTTPServer):
    """Objects by bucket and key, with the generation of each."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, tuple[bytes, int]] = {}
        self.generation = 0
        self.lock = threading.Lock()

    def handle_error(self, request, client_address) -> None:
        pass  # a client that has seen the size of a large file hangs up, and asks for its parts


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: GcsServer

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        place = urlsplit(self.path)
        with self.server.lock:
            status, content, headers = self._answer(unquote(place.path), parse_qs(place.query), body)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_DELETE = _serve  # noqa: N815 - the library's names

    def _answer(self, path: str, asked: dict[str, list[str]], body: bytes) -> tuple[int, bytes, dict[str, str]]:
        objects = self.server.objects
        if self.command == "PUT":
            wanted = self.headers.get("x-goog-if-generation-match")
            if wanted is not None and int(wanted) != (objects[path][1] if path in objects else 0):
                return 412, b"<Error><Code>PreconditionFailed</Code></Error>", {}
            self.server.generation += 1
            objects[path] = body, self.server.generation
            return 200, b"", _headers(*objects[path])
        if "list-type" in asked:
            prefix, delimiter = asked.get("prefix", [""])[0], asked.get("delimiter", [""])[0]
            return 200, self._listed(f"{path}/", prefix, delimiter), {}
        if path not in objects:
            return 404, b"<Error><Code>NoSuchKey</Code></Error>", {}
        if self.command == "DELETE":
            del objects[path]
            return 204, b"", {}
        content, generation = objects[path]
        headers = _headers(content, generation)
        if self.headers.get("If-None-Match") == headers["ETag"]:
            return 304, b"", headers
        span = _RANGE.fullmatch(self.headers.get("Range") or "")
        if span is None:
            return 200, content, headers
        start, end = int(span[1]), min(int(span[2]) + 1, len(content))
        return 206, content[start:end], headers | {"Content-Range": f"bytes {start}-{end - 1}/{len(content)}"}

    def _listed(self, bucket: str, prefix: str, delimiter: str) -> bytes:
        entries, folders = [], set()
        for path, (content, _) in sorted(self.server.objects.items()):
            key = path.removeprefix(bucket)
            if not path.startswith(bucket + prefix):
                continue
            if delimiter and delimiter in key[len(prefix) :]:
                folders.add(prefix + key[len(prefix) :].partition(delimiter)[0] + delimiter)
                continue
            entries.append(
                f"<Contents><Key>{escape(key)}</Key><Size>{len(content)}</Size><ETag>e</ETag>"
                "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            )
        common = "".join(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in sorted(folders))
        return f"<ListBucketResult>{''.join(entries)}{common}</ListBucketResult>".encode()

    def log_message(self, *_: object) -> None:
        pass


def _headers(content: bytes, generation: int) -> dict[str, str]:
    return {"ETag": f'"{md5(content).hexdigest()}"', "x-goog-generation": str(generation)}  # noqa: S324


@contextmanager
def gcs_server() -> Iterator[str]:
    """The endpoint of a running server."""
    with GcsServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="gcs")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
