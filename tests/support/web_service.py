"""The HTTP service, in this process or on a real socket of the loopback."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from fastapi import FastAPI
from starlette.testclient import TestClient

from vae_search.server.app import create_app
from vae_search.server.http_server import http_server, listening
from vae_search.server.service import Options
from vae_search.server.tokens import Role, TokenFile
from vae_search.store.backends.base import Store

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def token_file(folder: Path) -> tuple[TokenFile, dict[Role, str]]:
    """A file with a token for each role, named after it, and the tokens."""
    file = TokenFile(folder / "tokens.json")
    return file, {role: file.create(role.value, role, now=NOW) for role in Role}


def app_of(store: Store, *, look_s: float = 0.02, **more: object) -> FastAPI:
    """The service; with `look_s=0` nothing that it tells is older than the question."""
    return create_app(Options(store=store, location=store.location, look_s=look_s, **more))


def client_of(app: FastAPI, token: str | None = None) -> TestClient:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return TestClient(app, base_url="http://localhost", headers=headers, raise_server_exceptions=False)


@contextmanager
def serving(app: FastAPI, *, port: int = 0) -> Iterator[int]:
    """Serve on a port of the loopback, a free one if it is 0; it is given."""
    socket = listening("127.0.0.1", port)
    server = http_server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
    thread.start()
    try:
        yield socket.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        socket.close()
        assert not thread.is_alive()
