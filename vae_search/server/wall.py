"""Wall around everything that the service answers: mounted applications and static files included.

Nothing gets through that a route has not been opened for: a route without a declared role is refused to everybody, so a
forgotten declaration shows at once and opens nothing. The checks come in this order: the name that was asked for, the
origin of a change, the person, the role, the size of the body.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from fastapi.routing import iter_route_contexts
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vae_search.errors import VaeSearchError
from vae_search.server.admission.request_headers import check_embedding, check_origin, host_of, presented
from vae_search.server.metrics import Metrics
from vae_search.server.problems import ProblemDocument, RefusalError, problem, problem_of
from vae_search.server.tokens import Person, Role, TokenFile
from vae_search.spec.yaml_reader import MAX_BYTES

logger = logging.getLogger(__name__)

ANYONE = "anyone"
"""declared by a route that needs no token"""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
BODY_BYTES = MAX_BYTES  # of a spec; nothing else is as large
DRAINED_BYTES = 32 * 2**20  # of a body that is too large: read and dropped, so that its sender hears why
BODY_S = 20.0  # in which a body must have come
SECURITY_HEADERS: Mapping[str, str] = {
    # Plotly writes styles into the page; scripts come from files of this server alone.
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_ROLE = "vae_search_role"
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])


def opened_to(role: Role | str) -> Callable[[_Endpoint], _Endpoint]:
    """Declare who may call an endpoint, or a mounted application: a role and those above it, or `ANYONE`."""

    def declare(endpoint: _Endpoint) -> _Endpoint:
        setattr(endpoint, _ROLE, role)
        return endpoint

    return declare


def declared_role(route: Any) -> Role | str | None:
    """Role that a route, or the application mounted there, was opened to; None if none was declared."""
    target = getattr(route, "endpoint", None) or getattr(route, "app", None)
    found: Role | str | None = getattr(target, _ROLE, None)
    return found


class Wall:
    """The one middleware of the service.

    Args:
        app: everything behind it.
        routes: finds the routes of `app`.
        tokens: None: whoever reaches this address is `local`.
        hosts: names that the service may be asked by.
        shown: a problem as the one who asked can read it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: Callable[[], list[Any]],
        tokens: TokenFile | None,
        local: Person,
        hosts: frozenset[str],
        metrics: Metrics,
        shown: Callable[[Scope, ProblemDocument], Response] = lambda scope, document: document,
        body_s: float = BODY_S,
    ) -> None:
        self._app = app
        self._routes = routes
        self._tokens = tokens
        self._local = local
        self._hosts = hosts
        self._metrics = metrics
        self._shown = shown
        self._body_s = body_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        began_s, answered = time.perf_counter(), _Answered(send)
        route, label = self._route(scope)
        try:
            body = await self._admitted(scope, receive, route)
            await self._app(scope, _replayed(body, receive), answered)
        except RefusalError as refusal:
            refused = problem(refusal.status, refusal.detail, headers=refusal.headers)
            await self._tell(refused, scope, receive, answered)
        except VaeSearchError as error:
            await self._tell(problem_of(error), scope, receive, answered)
        except Exception:
            logger.exception("%s %s: failed by a mistake in this program", scope["method"], label)
            await self._tell(problem(500, "A mistake in this program; its log says more."), scope, receive, answered)
        finally:
            self._metrics.count(scope["method"], label, answered.status, time.perf_counter() - began_s)

    async def _tell(self, found: ProblemDocument, scope: Scope, receive: Receive, answered: "_Answered") -> None:
        if answered.status == 0:  # else the answer has begun, and breaking it off is all that is left
            await self._shown(scope, found)(scope, receive, answered)

    def _route(self, scope: Scope) -> tuple[Any, str]:
        """The route that will answer, None if there is none, and its path as it was declared."""
        partly = None
        for route in iter_route_contexts(self._routes()):
            match, _ = route.matches(scope)
            if match is Match.FULL:
                return route, route.path or ""
            if match is Match.PARTIAL and partly is None:
                partly = route
        return partly, "" if partly is None else partly.path or ""

    async def _admitted(self, scope: Scope, receive: Receive, route: Any) -> bytes:
        """The body of a request that may be passed on.

        Raises:
            RefusalError: It may not, or the tokens cannot be read.
        """
        headers = Headers(scope=scope)
        self._check_host(headers)
        (check_embedding if scope["method"] in SAFE_METHODS else check_origin)(headers)
        role = None if route is None else declared_role(route)
        if role != ANYONE:
            person = await self._person(headers)
            if route is not None and not (isinstance(role, Role) and person.role.reaches(role)):
                raise RefusalError(
                    HTTPStatus.FORBIDDEN,
                    f"This needs the role {role or 'of nobody'}, but {person.name} is {person.role}.",
                )
            scope.setdefault("state", {}).update(person=person, admitted=lambda: self._still_admits(headers, person))
        if scope["method"] in SAFE_METHODS:
            return b""
        return await self._body(headers, receive)

    def _check_host(self, headers: Headers) -> None:
        """Refuse a name that nobody gave this service: pages of other names must not reach it (DNS rebinding)."""
        given = headers.getlist("host")
        if len(given) != 1 or host_of(given[0]) not in self._hosts:
            raise RefusalError(
                HTTPStatus.BAD_REQUEST,
                "The Host header must be a name of this service. Add it with: vae-search serve --trusted-host NAME",
            )

    async def _person(self, headers: Headers) -> Person:
        if self._tokens is None:
            return self._local
        token = presented(headers)
        person = None if token is None else await asyncio.to_thread(holder_of, self._tokens, token)
        if person is None:
            raise RefusalError(
                HTTPStatus.UNAUTHORIZED,
                "A token is needed: `Authorization: Bearer TOKEN`, or log in."
                if token is None
                else "This token is not known, or was revoked.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return person

    def _still_admits(self, headers: Headers, person: Person) -> bool:
        """True as long as the token of a request is its person's, with the same role; for answers that take long."""
        token = presented(headers)
        if self._tokens is None:
            return True
        try:
            return token is not None and self._tokens.person(token) == person
        except VaeSearchError:  # as a new request would be refused
            return False

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        declared = headers.get("content-length", "")
        too_large = declared.isdecimal() and int(declared) > BODY_BYTES
        body, size = bytearray(), 0
        try:
            async with asyncio.timeout(self._body_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise RefusalError(HTTPStatus.BAD_REQUEST, "The body ended before it was whole.")
                    part = message.get("body", b"")
                    size += len(part)
                    too_large = too_large or size > BODY_BYTES
                    if not too_large:
                        body += part
                    if not message.get("more_body", False) or size > DRAINED_BYTES:
                        break
        except TimeoutError:
            raise RefusalError(
                HTTPStatus.REQUEST_TIMEOUT,
                f"The body must come within {self._body_s:g} s.",
                headers={"Connection": "close"},
            ) from None
        if too_large:
            most = f"A body may have at most {BODY_BYTES // 1024} KiB, as a spec."
            raise RefusalError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, most)
        return bytes(body)


def holder_of(tokens: TokenFile, token: str) -> Person | None:
    """Holder of a token; None if nobody has it.

    Raises:
        RefusalError: The tokens cannot be read. Why is for the log: whoever asks is not known yet.
    """
    try:
        return tokens.person(token)
    except VaeSearchError as error:
        logger.error("nobody is let in: %s", error)
        said = "The tokens of this service cannot be read, so nobody is let in. Its log says why."
        raise RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, said, headers={"Retry-After": "5"}) from error


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body, which has been read, and then what comes: that the client has left."""
    messages: Iterator[Message] = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def next_message() -> Message:
        for message in messages:
            return message
        return await receive()

    return next_message


class _Answered:
    """A `send` that puts the security headers on every answer and keeps its status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in SECURITY_HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await self._send(message)
