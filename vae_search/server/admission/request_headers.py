"""Headers of a request by which it is let in: the name that was asked for, the page that sent it, and the token."""

import re
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from vae_search.server.problems import RefusalError

COOKIE = "vae_search"
_HOST = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[^\s@/?#\\:\[\]]+))(?::[0-9]*)?")


def host_of(header: str) -> str:
    """The host in a Host header, without its port; "" if it holds anything else (RFC 9110, 7.2)."""
    found = _HOST.fullmatch(header)
    return "" if found is None else (found["address"] or found["name"]).lower()


def presented(headers: Headers) -> str | None:
    """The token that a request brings: a program's in `Authorization`, else a browser's in its cookie."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    # Browsers send the cookies of every port of a host; whatever another program has put there must not hide ours.
    return cookie_parser(headers.get("cookie", "")).get(COOKIE) or None


def check_origin(headers: Headers) -> None:
    """Refuse a change that another site's page has sent. Programs send neither header, browsers at least one."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        is_own = site in ("same-origin", "none")
    else:
        is_own = origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    if not is_own:
        raise RefusalError(HTTPStatus.FORBIDDEN, "A page of another site must not change anything here.")


def check_embedding(headers: Headers) -> None:
    """Refuse what another site's page fetches beside itself, which costs us the answer: it may lead here by links.

    After the resource isolation policy of W3C's Fetch Metadata Request Headers.
    """
    is_foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
    if is_foreign and headers.get("sec-fetch-mode") != "navigate":
        raise RefusalError(HTTPStatus.FORBIDDEN, "A page of another site must not fetch anything here. Link to it.")
