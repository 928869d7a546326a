"""Posts to receivers that may be slow, hostile or gone: bounded in time and size, redirects not followed."""

import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from vae_search.core.text import printable

TIMEOUT_S = 10.0  # of each read and write
TOTAL_S = 20.0  # of the whole post
SHOWN_BYTES = 300  # of an answer; the rest stays unread
DELIVERED = range(200, 300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Outcome of one post.

    Args:
        trouble: why it counts as not delivered; None if it was.
    """

    trouble: str | None = None


def post(
    url: str, *, headers: Mapping[str, str], body: bytes, timeout_s: float = TIMEOUT_S, total_s: float = TOTAL_S
) -> Answer:
    """Post to a URL; a status of 2xx alone counts as delivered. Certificates are checked, proxies not asked."""
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=timeout_s, context=context)
    else:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    late = threading.Event()

    def give_up() -> None:
        late.set()
        with suppress(OSError, AttributeError):  # no connection yet: its own time-out ends it
            connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(total_s, give_up)
    timer.daemon = True
    timer.start()
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body=body, headers={**headers, "Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status in DELIVERED:
            return Answer()
        said = printable(response.read(SHOWN_BYTES).decode(errors="replace"), SHOWN_BYTES)
        trouble = f"answered {response.status} {response.reason}" + (f": {said}" if said else "")
        return Answer(trouble=printable(trouble, 2 * SHOWN_BYTES))
    except (OSError, http.client.HTTPException, ValueError) as error:
        if late.is_set() or isinstance(error, TimeoutError):
            return Answer(trouble=f"no answer within {total_s if late.is_set() else timeout_s:g} s")
        return Answer(trouble=printable(f"{type(error).__name__}: {error}", SHOWN_BYTES))
    finally:
        timer.cancel()
        connection.close()
