"""HTTP server: uvicorn on one address, with limits on what slow and silent clients can hold."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from vae_search.core.transfer.http_address import is_loopback
from vae_search.errors import InvalidSpec, VaeSearchError

HEADERS_S = 10.0  # in which the headers of a request must have come
STALL_S = 60.0  # that a client may leave its answer unread
MOST_CONNECTIONS = 3000
KEEP_ALIVE_S = 15
SHUTDOWN_S = 5
WILDCARDS = ("", "0.0.0.0", "::")  # noqa: S104 - they are looked for, not bound


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 that lets a connection go whose client does not send its headers, or does not read its answer.

    Uvicorn bounds the time between two requests alone.
    """

    headers_s = HEADERS_S
    stall_s = STALL_S

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._headers_timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for headers."""
        super().connection_made(transport)
        self._time_headers()

    def data_received(self, data: bytes) -> None:
        """Take bytes in; between requests the first ones start the clock of the next headers."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            _cancel(self._headers_timer)
            self._headers_timer = None
        elif self._headers_timer is None and not self.transport.is_closing():
            self._time_headers()

    def on_response_complete(self) -> None:
        """Leave the time until the next request to uvicorn."""
        super().on_response_complete()
        _cancel(self._headers_timer)
        self._headers_timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the clocks."""
        _cancel(self._headers_timer)
        self._headers_timer = None
        _cancel(self._stall_timer)
        self._stall_timer = None
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Note that the client does not read."""
        super().pause_writing()
        self._stall_timer = self.loop.call_later(self.stall_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that it reads again."""
        super().resume_writing()
        _cancel(self._stall_timer)
        self._stall_timer = None

    def _time_headers(self) -> None:
        self._headers_timer = self.loop.call_later(self.headers_s, self.transport.abort)


def trusted_names(host: str, *, trusted: Sequence[str], has_tokens: bool) -> frozenset[str]:
    """The names that a service on an address may be asked by.

    Args:
        host: the address that it listens on.
        trusted: further names, such as that of a proxy before it.

    Raises:
        InvalidSpec: The address or a name reaches beyond this machine, and there are no tokens; or a wildcard has no
            name.
    """
    if not is_loopback(host):
        if not has_tokens:
            raise InvalidSpec(
                f"--host {host}: others could reach the service there, so it needs --tokens FILE.\n"
                "Make one with: vae-search token create NAME --role approver --tokens FILE"
            )
        if host in WILDCARDS and not trusted:
            raise InvalidSpec(f"--host {host}: needs --trusted-host NAME, the name that people will ask for.")
    if trusted and not has_tokens:
        raise InvalidSpec(
            f"--trusted-host {trusted[0]}: others could reach the service by this name, so it needs --tokens FILE."
        )
    own = {"localhost", "127.0.0.1", "::1"} if is_loopback(host) else {host} - {*WILDCARDS}
    return frozenset(own | {name.lower() for name in trusted})


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; its port is chosen by the system if `port` is 0.

    Raises:
        VaeSearchError: The address cannot be had.
    """
    # With the protocol spelled out asyncio switches Nagle's algorithm off; else each answer waits 40 ms for an ACK.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host.strip("[]"), port))
        found.listen(2048)
    except OSError as error:
        found.close()
        raise VaeSearchError(
            f"--host {host} --port {port}: cannot be listened on: {error.strerror or error}. Give another --port."
        ) from error
    return found


def http_server(app: FastAPI) -> uvicorn.Server:
    """A server for the application; `run(sockets=[…])` serves until a signal ends it."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws="none",
            loop="asyncio",
            lifespan="on",
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=SHUTDOWN_S,
            server_header=False,
            access_log=False,
            log_config=None,
        )
    )


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
