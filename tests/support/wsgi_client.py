"""Requests to a WSGI application without a network."""

from collections.abc import Callable
from wsgiref.util import setup_testing_defaults


def get(app: Callable, path: str, *, host: str = "127.0.0.1:8080", method: str = "GET") -> tuple[str, bytes]:
    """Status line and body of the answer."""
    environ = {"PATH_INFO": path, "REQUEST_METHOD": method, "HTTP_HOST": host, "QUERY_STRING": ""}
    setup_testing_defaults(environ)
    statuses: list[str] = []
    answer = app(environ, lambda status, headers, info=None: statuses.append(status))
    try:
        return statuses[0], b"".join(answer)
    finally:
        if hasattr(answer, "close"):
            answer.close()
