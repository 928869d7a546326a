"""Ray authentication token: find it where Ray's own programs would look for it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vae_search.errors import ClusterTrouble


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """The token that Ray's own programs would use here."""

    value: str
    came_from: str
    """`RAY_AUTH_TOKEN`, or the file"""
    path: Path | None

    def __repr__(self) -> str:
        return f"Token(came_from={self.came_from!r})"


def find_token() -> str | None:
    """The token that Ray would use in this environment, or None.

    Raises:
        ClusterTrouble: The file that RAY_AUTH_TOKEN_PATH names cannot be used; Ray would not look further.
    """
    token = locate_token(os.environ, home=Path.home())
    return None if token is None else token.value


def locate_token(environment: Mapping[str, str], *, home: Path) -> Token | None:
    """Ray's precedence: RAY_AUTH_TOKEN, then the file RAY_AUTH_TOKEN_PATH, then ~/.ray/auth_token.

    Raises:
        ClusterTrouble: The file that is named cannot be read or is empty, or what was found can be no token.
    """
    if value := environment.get("RAY_AUTH_TOKEN"):
        return _checked(Token(value=value.strip(), came_from="RAY_AUTH_TOKEN", path=None))
    named = environment.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named) if named else home / ".ray" / "auth_token"
    try:
        value = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        if not named and isinstance(error, FileNotFoundError):
            return None
        reason = error.strerror if isinstance(error, OSError) else "it holds no plain text"
        raise ClusterTrouble(f"{path}: must hold the cluster's token, but cannot be read: {reason}.") from error
    if not value and not named:
        return None
    return _checked(Token(value=value, came_from=str(path), path=path))


def _checked(token: Token) -> Token:
    if not token.value or not (token.value.isascii() and token.value.isprintable()) or " " in token.value:
        found = "is empty" if not token.value else "has characters that no token has"
        raise ClusterTrouble(f"{token.came_from}: must hold the cluster's token, but {found}.")
    return token
