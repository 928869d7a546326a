"""Requests to a service: one host, bounded answers, and a second try where it can do no harm.

No redirect is followed, so that a token goes to the address that was given and nowhere else.
"""

import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import urlencode

from vae_search.access.answers import answer_of
from vae_search.access.problem_documents import error_of
from vae_search.core.text import printable
from vae_search.core.transfer.http_address import HttpAddress, is_loopback
from vae_search.errors import InvalidSpec, StoreUnavailable, VaeSearchError

API = "/api/v1"
CONNECT_S = 10.0
ANSWER_S = 60.0  # without a byte
MOST_BYTES = 256 * 1024**2  # of an answer that is held in memory
WAITS_S = (0.25, 0.5, 1.0)  # before further tries
ASK_AGAIN_AT_MOST_S = 10.0  # that a service may ask for between two tries

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request.

    Args:
        path: below `API`.
        repeatable: whether it may be sent again when its answer was lost: the same twice is the same once.
        answer_s: seconds that the service may be silent.
    """

    path: str
    method: str = "GET"
    query: Mapping[str, object] = field(default_factory=dict)
    body: bytes | None = None
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    answer_s: float = ANSWER_S

    @classmethod
    def to_post(
        cls, path: str, fields: Mapping[str, object], *, repeatable: bool, answer_s: float = ANSWER_S
    ) -> "Request":
        """An order with a JSON body."""
        body = json.dumps(fields).encode()
        return cls(path=path, method="POST", body=body, repeatable=repeatable, answer_s=answer_s)


class _LostError(Exception):
    """An answer that did not come, and why.

    Args:
        sent: whether the request may have been received.
    """

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class Connection:
    """The way to one service; each request is a connection of its own.

    Args:
        server: the address as the user has written it.
        allow_plain: whether http may be spoken beyond this machine.

    Raises:
        InvalidSpec: It is no address, or one that others on the way could listen to.
    """

    def __init__(
        self, server: str, *, token: str | None, allow_plain: bool = False, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        try:
            self._address = HttpAddress.parse(server)
        except ValueError as error:
            raise InvalidSpec(
                f"--server: must be the address of a service, http://HOST:8080, but is {error}."
            ) from error
        if not (self._address.secure or allow_plain or is_loopback(self._address.host)):
            raise InvalidSpec(
                f"--server {server}: must be https, since others on the way could read the token and change answers.\n"
                "Use a tunnel to it, `ssh -L`, or allow it with --allow-plain-http."
            )
        self.server = server.rstrip("/")
        self._token = token
        self._sleep = sleep

    def ask(self, request: Request, read: "Callable[[http.client.HTTPResponse], T] | None" = None) -> Any:
        """The answer to a request: a JSON value, or what `read` makes of it.

        Raises:
            VaeSearchError: What the service refuses with.
            StoreUnavailable: The service cannot be reached, or has not answered.
        """
        with self.answer(request) as response:
            try:
                return self._json(response) if read is None else read(response)
            except (OSError, http.client.HTTPException) as error:
                raise StoreUnavailable(
                    f"{self.server}: its answer broke off ({_reason(error)}).{_doubt(request)}"
                ) from error

    @contextmanager
    def answer(self, request: Request) -> Iterator[http.client.HTTPResponse]:
        """Open the answer to a request; it is for the caller to read, errors of the connection included.

        Raises:
            VaeSearchError: What the service refuses with.
            StoreUnavailable: The service cannot be reached, or has not answered.
        """
        connection, response = self._opened(request)
        try:
            yield response
        finally:
            response.close()
            connection.close()

    def check_kind(self, response: http.client.HTTPResponse, wanted: str) -> None:
        """Refuse an answer of another media type: a proxy's page, or another program's answer.

        Raises:
            VaeSearchError: It is of another one.
        """
        kind = response.headers.get_content_type()
        if kind != wanted:
            raise VaeSearchError(
                f"{self.server}: must answer with {wanted}, as the service does, but sent {printable(kind, 100)}.\n"
                "Is the address right?"
            )

    def _opened(self, request: Request) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        waits = [*WAITS_S]
        while True:
            try:
                connection, response = self._sent(request)
            except _LostError as lost:
                if not waits or (lost.sent and not request.repeatable):
                    more = _doubt(request) if lost.sent else "\nDoes the service run, and is the address right?"
                    raise StoreUnavailable(f"{self.server}: cannot be reached: {lost}.{more}") from lost
                self._sleep(waits.pop(0))
                continue
            if response.status < HTTPStatus.MULTIPLE_CHOICES:
                return connection, response
            error = self._error(connection, response)
            if not (waits and request.repeatable and response.status == HTTPStatus.SERVICE_UNAVAILABLE):
                raise error
            self._sleep(max(waits.pop(0), _retry_after_s(response)))

    def _sent(self, request: Request) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        address = self._address
        kind = http.client.HTTPSConnection if address.secure else http.client.HTTPConnection
        connection = kind(address.host, address.port, timeout=CONNECT_S)
        has_connected = False
        try:
            connection.connect()
            has_connected = True
            connection.sock.settimeout(request.answer_s)
            connection.request(request.method, self._target(request), body=request.body, headers=self._headers(request))
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise _LostError(_reason(error), sent=has_connected) from error
        except BaseException:
            connection.close()
            raise

    def _target(self, request: Request) -> str:
        given = {name: value for name, value in request.query.items() if value is not None}
        words = {name: str(value).lower() if isinstance(value, bool) else value for name, value in given.items()}
        return f"{self._address.prefix}{API}{request.path}" + (f"?{urlencode(words)}" if words else "")

    def _headers(self, request: Request) -> dict[str, str]:
        headers = {"Accept": "*/*", **request.headers}
        if request.body is not None:
            headers["Content-Type"] = request.media_type
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        return headers

    def _error(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> VaeSearchError:
        try:
            if response.status < HTTPStatus.BAD_REQUEST:
                there = printable(response.headers.get("Location", "elsewhere"), 200)
                return VaeSearchError(
                    f"{self.server}: sends us to {there}, but a token goes only to the address that was given.\n"
                    "Give the address where the service itself answers."
                )
            content = response.read(MOST_BYTES)
        except (OSError, http.client.HTTPException):
            content = b""
        finally:
            response.close()
            connection.close()
        return error_of(response.status, response.headers.get_content_type(), content, server=self.server)

    def _json(self, response: http.client.HTTPResponse) -> Any:
        self.check_kind(response, "application/json")
        content = response.read(MOST_BYTES + 1)
        if response.length and len(content) <= MOST_BYTES:
            raise http.client.IncompleteRead(content, response.length)
        if len(content) > MOST_BYTES:
            raise VaeSearchError(f"{self.server}: its answer is larger than {MOST_BYTES // 1024**2} MiB. Ask for less.")
        try:
            return json.loads(content, object_hook=answer_of(self.server))
        except (ValueError, RecursionError) as error:
            raise VaeSearchError(f"{self.server}: its answer is no JSON: {error}.") from error


def _doubt(request: Request) -> str:
    """A line on what may have happened after an answer was lost."""
    return "" if request.repeatable else "\nWhether it was carried out is not known."


def _retry_after_s(response: http.client.HTTPResponse) -> float:
    text = response.headers.get("Retry-After", "")
    return min(float(text), ASK_AGAIN_AT_MOST_S) if text.isdecimal() else 0.0


def _reason(error: Exception) -> str:
    match error:
        case ssl.SSLError():
            return f"TLS fails ({error.reason or 'no reason given'})"
        case TimeoutError():
            return "no answer in time"
        case http.client.IncompleteRead():
            return "the connection was cut"
        case OSError():
            return (error.strerror or str(error) or type(error).__name__).lower()
        case _:
            return f"{type(error).__name__}, which is no HTTP"
