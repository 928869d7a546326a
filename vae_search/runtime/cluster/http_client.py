"""One question to the HTTP server of a Ray cluster, its dashboard, within a time that holds whatever answers.

No redirect is followed, so that a token goes to the address that was asked for and nowhere else.
"""

import http.client
import ssl
import threading
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Self

from vae_search.core.transfer.http_address import HttpAddress
from vae_search.errors import ClusterTrouble

MOST_BYTES = 16 * 1024**2  # of an answer; ten thousand nodes take half of it


class NoAnswer(Exception):
    """Nothing came back in time; says why in a few words."""


class NotHttp(Exception):
    """Something is there that does not speak HTTP."""


class Address(HttpAddress):
    """The address of a dashboard."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what a user wrote.

        Raises:
            ClusterTrouble: It is no address of a dashboard. A user or a password in it is not repeated.
        """
        try:
            return super().parse(text)
        except ValueError as error:
            raise ClusterTrouble(
                f"--address: must be http://HEAD:8265, the address of the cluster's dashboard, but is {error}."
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A server's answer."""

    status: int
    body: bytes
    ahead_s: float | None
    """how far its clock is ahead of ours, to half a second; None if it does not tell the time"""


def ask(
    address: Address,
    path: str,
    *,
    token: str | None,
    timeout_s: float,
    method: str = "GET",
    body: bytes | None = None,
) -> Answer:
    """One request, with a token if there is one; a body is JSON.

    Raises:
        NoAnswer: Nothing came within `timeout_s`, the lookup of the name included.
        NotHttp: What came is no HTTP.
    """
    results: list[Answer | Exception] = []

    def run() -> None:
        try:
            results.append(_request(address, method, path, body=body, token=token, timeout_s=timeout_s))
        except (OSError, http.client.HTTPException, ValueError) as error:
            results.append(error)

    # A thread, because looking up a name has no time limit, and a limit for each read is none for all of them.
    thread = threading.Thread(target=run, name="ask-dashboard", daemon=True)
    thread.start()
    thread.join(max(timeout_s, 0.0))
    match results:
        case [Answer() as answer]:
            return answer
        case [http.client.HTTPException() | ValueError() | ConnectionResetError() as error]:
            raise NotHttp(type(error).__name__) from error
        case [ssl.SSLError() as error]:
            raise NoAnswer(f"TLS fails ({error.reason or 'no reason given'})") from error
        case [OSError() as error]:
            raise NoAnswer((error.strerror or str(error) or type(error).__name__).lower()) from error
        case _:
            raise NoAnswer("no answer in time")


def _request(
    address: Address, method: str, path: str, *, body: bytes | None, token: str | None, timeout_s: float
) -> Answer:
    kind = http.client.HTTPSConnection if address.secure else http.client.HTTPConnection
    connection = kind(address.host, address.port, timeout=timeout_s)
    try:
        asked_s = time.time()
        headers = {} if body is None else {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        connection.request(method, address.prefix + path, body=body, headers=headers)
        response = connection.getresponse()
        answered_s = time.time()
        return Answer(
            status=response.status,
            body=response.read(MOST_BYTES),
            ahead_s=_ahead_s(response.headers.get("Date"), here_s=(asked_s + answered_s) / 2),
        )
    finally:
        connection.close()


def _ahead_s(date: str | None, *, here_s: float) -> float | None:
    """Seconds that a `Date` header, which counts whole seconds, is ahead of `here_s`."""
    try:
        there_s = parsedate_to_datetime(date or "").timestamp() + 0.5
    except ValueError:
        return None
    return there_s - here_s
