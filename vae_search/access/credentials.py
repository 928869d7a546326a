"""Token of a service: from the environment or a file, never from the command line, where other users would see it."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from vae_search.core.settings import TOKEN_FILE_VARIABLE, TOKEN_VARIABLE
from vae_search.core.text import short_path
from vae_search.errors import VaeSearchError

MOST_BYTES = 4096  # of the file; a token has fewer than a hundred


def find_token(environment: Mapping[str, str]) -> str | None:
    """The token that the environment holds or names a file of; None if it does neither.

    Raises:
        VaeSearchError: The file cannot be used, or what was found can be no token.
    """
    if value := environment.get(TOKEN_VARIABLE):
        return _checked(value, came_from=TOKEN_VARIABLE)
    if named := environment.get(TOKEN_FILE_VARIABLE):
        path = Path(named).expanduser()
        return _checked(_text(path), came_from=short_path(path))
    return None


def _text(path: Path) -> str:
    """Text of a file that nobody but its owner can read."""
    shown = short_path(path)
    try:
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            content = file.read(MOST_BYTES)
    except OSError as error:
        raise VaeSearchError(f"{shown}: must hold the token, but cannot be read: {error.strerror}.") from error
    if facts.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(facts.st_mode)
        raise VaeSearchError(
            f"{shown}: only its owner may read a token, but its mode is {mode:04o}. Change it: chmod 600 {shown}"
        )
    return content.decode("ascii", errors="replace")


def _checked(value: str, *, came_from: str) -> str:
    token = value.strip()
    if not token or not (token.isascii() and token.isprintable()) or " " in token:
        found = "characters that no token has" if token else "nothing"
        raise VaeSearchError(f"{came_from}: must hold the token of a service, but holds {found}.")
    return token
