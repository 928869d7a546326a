"""A bucket in this machine's memory that answers each request after a delay, as one far away does.

    python benchmarks/delayed_s3.py --delay-ms 40

prints its port. It knows what the store asks for: GET, PUT with If-None-Match, DELETE of several, and lists.
"""

import argparse
import re
import threading
import time
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

MODIFIED = "Thu, 01 Jan 2026 00:00:00 GMT"
_KEY = re.compile(rb"<Key>([^<]*)</Key>")


class DelayedS3(ThreadingHTTPServer):
    """All objects, and how many requests were made."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, delay_s: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.delay_s = delay_s
        self.objects: dict[str, bytes] = {}
        self.lock = threading.Lock()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet
    disable_nagle_algorithm = True
    server: DelayedS3

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        time.sleep(self.server.delay_s)
        place = urlsplit(self.path)
        key, asked = unquote(place.path).lstrip("/").partition("/")[2], parse_qs(place.query, keep_blank_values=True)
        with self.server.lock:
            status, content = self._answer(key, asked, body)
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{md5(content).hexdigest()}"')  # noqa: S324 - as S3 does
        self.send_header("Last-Modified", MODIFIED)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - the library's names

    def _answer(self, key: str, asked: dict[str, list[str]], body: bytes) -> tuple[int, bytes]:
        objects = self.server.objects
        if self.command == "PUT":
            if self.headers.get("If-None-Match") == "*" and key in objects:
                return 412, b"<Error><Code>PreconditionFailed</Code></Error>"
            objects[key] = body
            return 200, b""
        if self.command == "POST":
            names = _KEY.findall(body)
            for name in names:
                objects.pop(name.decode(), None)
            gone = b"".join(b"<Deleted><Key>%s</Key></Deleted>" % name for name in names)
            return 200, b"<DeleteResult>%s</DeleteResult>" % gone
        if self.command == "DELETE":
            objects.pop(key, None)
            return 204, b""
        if "list-type" in asked:
            return 200, self._listed(asked.get("prefix", [""])[0])
        if key in objects:
            return 200, objects[key]
        return 404, b"<Error><Code>NoSuchKey</Code></Error>"

    def _listed(self, prefix: str) -> bytes:
        found = sorted(key for key in self.server.objects if key.startswith(prefix))
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.server.objects[key])}</Size>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>0</ETag></Contents>"
            for key in found
        )
        return f"<ListBucketResult><KeyCount>{len(found)}</KeyCount>{entries}</ListBucketResult>".encode()

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--delay-ms", type=float, default=40.0)
    with DelayedS3(parser.parse_args().delay_ms / 1e3) as server:
        print(server.server_port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
