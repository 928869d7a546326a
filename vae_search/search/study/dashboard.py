"""A sweep in optuna-dashboard: a web server for this machine alone that looks at the store and changes nothing."""

import errno
import socketserver
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna.storages import InMemoryStorage
from optuna_dashboard import wsgi

from vae_search.errors import Conflict, CorruptStore, InvalidSpec, NotFound, VaeSearchError
from vae_search.search.messages import TrialAssignment
from vae_search.search.pending_trials import PendingTrials
from vae_search.search.study.study_export import fill, frozen_trials
from vae_search.spec.search_space import SearchSpace
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.ledger.rows import EpochRow, TrialRow
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

LOOPBACK = "127.0.0.1"
NAMES = {LOOPBACK, "localhost"}  # that a browser on this machine, or at the end of a tunnel, asks for
READING = {"GET", "HEAD"}


class FollowedSweep:
    """A WSGI application: optuna-dashboard on a study of the sweep as it stands in the store.

    Before it answers what the page asks for again and again, it looks whether a file has come or gone since; if so, the
    study is made anew from all rows. Rows never change, so each is read once.
    """

    def __init__(self, store: Store, sweep: str, space: SearchSpace) -> None:
        self._store = store
        self._sweep = sweep
        self._paths = SweepPaths(sweep)
        self._space = space
        self._ledger = Ledger(store, sweep)
        self._rows: dict[int, TrialRow] = {}
        self._curves: dict[int, list[EpochRow]] = {}
        self._seen: set[str] = set()
        self._lock = threading.Lock()
        self._app = self._study_app(())

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        # A page of somebody else's that resolves its own name to this machine must not read the answers.
        if environ.get("HTTP_HOST", "").partition(":")[0] not in NAMES:
            return _refusal(start_response, "403 Forbidden", f"This server answers to {LOOPBACK} only.")
        if environ["REQUEST_METHOD"] not in READING:
            return _refusal(start_response, "405 Method Not Allowed", "The study is a view of the store: read only.")
        try:
            with self._lock:
                if environ["PATH_INFO"].startswith("/api/"):
                    self._follow()
                app = self._app
        except VaeSearchError as error:  # the page asks again, and the store may be back by then
            return _refusal(start_response, "503 Service Unavailable", str(error))
        return app(environ, start_response)

    def _follow(self) -> None:
        """Make the study anew if anything has happened in the store."""
        # What is in flight first: a trial that ends in between is then found twice, and its row counts.
        running = [path for path in self._store.list(self._paths.running) if store_paths.is_suggestion(path)]
        files = self._store.list(self._paths.trials)
        if self._seen == {*running, *files}:
            return
        orders: list[TrialAssignment] = []
        with suppress(NotFound):  # one has just ended; the next look finds its row
            orders = PendingTrials(self._store, self._sweep).all()
        rows = self._new_rows(files)
        self._curves.update(self._ledger.curves(rows).by_trial)
        self._rows |= {row.trial: row for row in rows}
        self._app = self._study_app(orders)
        self._seen = {*running, *files}

    def _new_rows(self, files: Iterable[str]) -> list[TrialRow]:
        if not self._rows:
            return self._ledger.trials()
        rows = []
        for path in files:
            number = store_paths.number_of(path)
            if number is not None and number not in self._rows and path == self._paths.trial(number):
                with suppress(CorruptStore):  # shown as lost
                    rows.append(self._ledger.trial(number))
        return rows

    def _study_app(self, orders: Iterable[TrialAssignment]) -> "WSGIApplication":
        storage = InMemoryStorage()
        fill(storage, self._sweep, frozen_trials(self._space, [*self._rows.values()], self._curves, orders))
        app: WSGIApplication = wsgi(storage)
        return app


def serve(app: "WSGIApplication", *, port: int, on_ready: Callable[[str], None]) -> None:
    """Answer on this machine's own address until Ctrl-C.

    Args:
        port: 0 for one that is free.
        on_ready: is told the page's address once it can be opened.

    Raises:
        Conflict: Somebody else answers there.
        InvalidSpec: The port cannot be used.
    """
    try:
        server = make_server(LOOPBACK, port, app, server_class=_Server, handler_class=_QuietHandler)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Conflict(f"--port {port}: is in use on {LOOPBACK} already. Give another one; 0 finds one.") from error
        raise InvalidSpec(f"--port {port}: cannot be used: {error.strerror}. Give another one; 0 finds one.") from error
    with server, suppress(KeyboardInterrupt):
        on_ready(f"http://{LOOPBACK}:{server.server_port}/dashboard/studies/0")
        server.serve_forever()


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """A browser keeps several connections open; one that is idle must not keep the others waiting."""

    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it that
        """A line for each request is noise."""


def _refusal(start_response: "StartResponse", status: str, why: str) -> Iterable[bytes]:
    body = f"{why}\n".encode()
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
