"""Servers on the loopback that are no Ray, an old one, or an open one: what a client meets at a wrong address."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def http_server(pages: dict[str, Any], *, seen: list[dict[str, str]] | None = None) -> Iterator[int]:
    """Serve each path's JSON (or text) until the block ends; all else is 404. Yields the port.

    Args:
        pages: by path. An int instead of a page is a status without one.
        seen: gets the headers of every request.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if seen is not None:
                seen.append({name.lower(): value for name, value in self.headers.items()})
            page = pages.get(self.path, 404)
            body = page.encode() if isinstance(page, str) else json.dumps(page).encode()
            self.send_response(page if isinstance(page, int) else 200)
            if page == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_DELETE = do_GET  # noqa: N815 - the names http.server looks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def dripping_server(piece: bytes) -> Iterator[int]:
    """Send `piece` again and again, so that no single read ever takes long. Yields the port."""
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection:
            while not over.wait(0.05):
                try:
                    connection.sendall(piece)
                except OSError:
                    return

    def accept(server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            drips.append(threading.Thread(target=drip, args=(connection,)))
            drips[-1].start()

    drips: list[threading.Thread] = []
    server = socket.create_server(("127.0.0.1", 0))
    accepting = threading.Thread(target=accept, args=(server,))
    accepting.start()
    try:
        yield server.getsockname()[1]
    finally:
        over.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        for thread in [accepting, *drips]:
            thread.join()
