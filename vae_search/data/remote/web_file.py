"""One file on a web server, asked for in spans; every hop of a redirect is held to the address policy."""

import http.client
import re
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, Any
from urllib.error import HTTPError, URLError

from vae_search.core.text import printable
from vae_search.core.transfer.remote_file import OutOfRange, RemoteFailure, Reply, Unchanged, Version
from vae_search.data.remote.address_policy import address_in, is_local_name, is_public, refusal
from vae_search.version import VERSION

TIMEOUT_S = 15.0  # of one wait for the server, not of the download
READ_BYTES = 2**18
PASSING_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
ABSENT_STATUSES = frozenset({404, 410})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class _Refused(OSError):
    """A hop that the policy forbids."""


class WebFile:
    """A file at an http or https address.

    Args:
        address: without user or password.
        may_be_private: see `address_policy.refusal`.
    """

    def __init__(self, address: str, *, may_be_private: bool = True) -> None:
        self.address = address
        self._may_be_private = may_be_private

    @contextmanager
    def get(self, span: tuple[int, int] | None, *, unless: Version | None) -> Iterator[Reply]:
        """See `RemoteFile.get`."""
        headers = {"User-Agent": f"vae-search/{VERSION}"}
        if span is not None:
            headers["Range"] = f"bytes={span[0]}-{span[1] - 1}"
        if unless is not None and unless.etag is not None:
            headers["If-None-Match"] = unless.etag
        elif unless is not None and unless.last_modified is not None:
            headers["If-Modified-Since"] = unless.last_modified
        hops = _Hops(may_be_private=self._may_be_private)
        opener = urllib.request.build_opener(_Redirects(hops), _Http(hops), _Https(hops))
        try:
            # Only http and https get through the policy, which every hop is held to.
            request = urllib.request.Request(self.address, headers=headers)  # noqa: S310
            hops.check(self.address, ())
            reply = opener.open(request, timeout=TIMEOUT_S)
        except HTTPError as error:
            with error:  # it is the server's reply as well, and holds a socket
                raise _failure_of(error) from error
        except URLError as error:
            reason = error.reason if isinstance(error.reason, OSError) else error
            raise RemoteFailure(reason_of(reason), passing=_may_pass(reason)) from error
        except (OSError, http.client.HTTPException, ValueError) as error:  # an address that is none is a ValueError
            raise RemoteFailure(reason_of(error), passing=_may_pass(error)) from error
        with reply:
            yield _reply_of(reply)


def reason_of(error: Exception) -> str:
    """The words for a failed request."""
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
    return printable(str(reason) or type(error).__name__, 200)


def _may_pass(error: Exception) -> bool:
    refused = isinstance(error, _Refused | ValueError | http.client.InvalidURL)
    return isinstance(error, OSError | http.client.HTTPException) and not refused


def _failure_of(error: HTTPError) -> Exception:
    if error.code == 304:
        return Unchanged()
    if error.code == 416:
        return OutOfRange()
    return RemoteFailure(
        f"the server answers {error.code} {reason_of(error)}",
        passing=error.code in PASSING_STATUSES,
        absent=error.code in ABSENT_STATUSES,
    )


def _reply_of(reply: http.client.HTTPResponse) -> Reply:
    found = _CONTENT_RANGE.fullmatch((reply.headers.get("Content-Range") or "").strip())
    is_span = reply.status == 206
    if is_span and found is None:
        raise RemoteFailure("the server answers with a part of the file, and does not say which")
    return Reply(
        version=Version(
            etag=reply.headers.get("ETag"),
            last_modified=reply.headers.get("Last-Modified"),
            size_bytes=int(found[3]) if found else reply.length,
        ),
        start=int(found[1]) if found else 0,
        is_span=is_span,
        chunks=_chunks(reply),
    )


def _chunks(reply: http.client.HTTPResponse) -> Iterator[bytes]:
    """Bytes until the reply ends or breaks off; who asked counts them."""
    try:
        while chunk := reply.read1(READ_BYTES):
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise RemoteFailure(reason_of(error), passing=True) from error


@dataclass(slots=True, kw_only=True)
class _Hops:
    """The way of one request from the address that a user wrote to the one that answers."""

    may_be_private: bool
    was_secure: bool = False

    def check(self, url: str, addresses: tuple[str, ...]) -> None:
        """Refuse a hop that the policy forbids.

        Args:
            addresses: of its host, once they are known.
        """
        reason = refusal(url, addresses, may_be_private=self.may_be_private, secure_only=self.was_secure)
        if reason is not None:
            raise _Refused(f"refused: {reason}")
        self.was_secure = self.was_secure or url.startswith("https://")

    def narrow(self, host: str, addresses: tuple[str, ...]) -> None:
        """Once a host of the way is known to be public, no private one may follow."""
        known = [address for text in (host, *addresses) if (address := address_in(text)) is not None]
        private = is_local_name(host) or any(not is_public(address) for address in known)
        self.may_be_private = self.may_be_private and private


def _is_proxied(request: urllib.request.Request) -> bool:
    """True if a proxy of the user's environment is asked, which looks the host's name up itself."""
    return request.has_proxy() or getattr(request, "_tunnel_host", None) is not None


class _Redirects(urllib.request.HTTPRedirectHandler):
    def __init__(self, hops: _Hops) -> None:
        self._hops = hops

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        try:
            if _is_proxied(req):
                self._hops.narrow(req.origin_req_host, ())
            self._hops.check(newurl, ())
        except _Refused:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Connecting:
    """Connection to an address that was looked up and checked here, so that no second look-up gives another."""

    def __init__(self, *arguments: Any, url: str, hops: _Hops | None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._url, self._hops = url, hops
        self._create_connection = self._connected

    def _connected(self, place: tuple[str, int], *options: Any) -> socket.socket:
        if self._hops is None:  # a proxy, which the user's environment names
            return socket.create_connection(place, *options)
        found = socket.getaddrinfo(*place, type=socket.SOCK_STREAM)
        addresses = tuple(str(entry[4][0]) for entry in found)
        self._hops.check(self._url, addresses)
        self._hops.narrow(place[0], addresses)
        trouble: OSError | None = None
        for address in addresses:
            try:
                return socket.create_connection((address, place[1]), *options)
            except OSError as error:
                trouble = error
        raise trouble or OSError(f"{place[0]} has no address")


class _HttpConnection(_Connecting, http.client.HTTPConnection):
    pass


class _HttpsConnection(_Connecting, http.client.HTTPSConnection):
    pass


class _Http(urllib.request.HTTPHandler):
    def __init__(self, hops: _Hops) -> None:
        super().__init__()
        self._hops = hops

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        hops = None if _is_proxied(req) else self._hops
        return self.do_open(partial(_HttpConnection, url=req.full_url, hops=hops), req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, hops: _Hops) -> None:
        super().__init__()
        self._hops = hops

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        hops = None if _is_proxied(req) else self._hops
        return self.do_open(partial(_HttpsConnection, url=req.full_url, hops=hops), req)
