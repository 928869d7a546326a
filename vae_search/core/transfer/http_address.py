"""Address of an HTTP server that a user has written, and whether it lies on this machine."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAddress:
    """Address of an HTTP server, as in http://head:8265."""

    secure: bool
    host: str
    port: int
    prefix: str
    """what comes before the paths of the server, where a proxy serves several; empty otherwise"""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what a user wrote.

        Raises:
            ValueError: It is no such address; says what it is. A user or a password in it is not repeated.
        """
        try:
            parts = urlsplit(text)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            port = parts.port
        except ValueError:
            usable, port = False, None
        if not usable or parts.hostname is None or any(mark in text for mark in "@?#") or not text.isprintable():
            raise ValueError("something else" if "@" in text else repr(text[:100]))
        secure = parts.scheme == "https"
        return cls(
            secure=secure, host=parts.hostname, port=port or (443 if secure else 80), prefix=parts.path.rstrip("/")
        )

    @property
    def origin(self) -> str:
        """The address with its port, without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}"


def is_loopback(host: str) -> bool:
    """True if only this machine can answer at the host, and only its processes reach it."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
