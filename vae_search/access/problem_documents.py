"""Errors out of problem documents (RFC 9457): the same class, words and exit code as on the store itself."""

import json
from http import HTTPStatus
from typing import Any

from vae_search.core.text import kebab, printable
from vae_search.errors import (
    PROBLEM_MEDIA_TYPE,
    PROBLEM_URN,
    InvalidSpec,
    StoreUnavailable,
    VaeSearchError,
    kinds_of_exit_code,
)

_PASSING = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
HOW_TO_LOG_IN = (
    "Put the token into VAE_SEARCH_TOKEN, or name a file of mode 0600 with --token-file or VAE_SEARCH_TOKEN_FILE."
)


def error_of(status: int, media_type: str, content: bytes, *, server: str) -> VaeSearchError:
    """The error that an answer tells of.

    Args:
        server: what the user calls it.
    """
    document = _document(media_type, content)
    if document is None:
        said = f"answers {status} {_phrase(status)}, but not as the service does"
        kind = StoreUnavailable if status in _PASSING else VaeSearchError
        return kind(f"{server}: {said}. Is the address right?")
    detail = "\n".join(printable(line, 1000) for line in str(document.get("detail", "")).splitlines()[:3])
    name = str(document.get("type", "")).removeprefix(PROBLEM_URN)
    exit_code = document.get("exit_code")
    if isinstance(exit_code, int) and (kind_of_error := error_kind(exit_code, name=name)) is not None:
        return kind_of_error(detail)
    if status == HTTPStatus.UNAUTHORIZED:
        return VaeSearchError(f"{server}: {detail}\n{HOW_TO_LOG_IN}")
    if status in _PASSING:
        return StoreUnavailable(f"{server}: {detail}")
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return InvalidSpec(f"{server}: {detail}")
    return VaeSearchError(f"{server}: {detail or _phrase(status)}")


def error_kind(exit_code: int, *, name: str = "") -> type[VaeSearchError] | None:
    """The class of errors with an exit code: the one that is called `name` in kebab case, else the most general one."""
    kinds = kinds_of_exit_code(exit_code)
    return next((kind for kind in kinds if kebab(kind.__name__) == name), kinds[0] if kinds else None)


def _document(media_type: str, content: bytes) -> dict[str, Any] | None:
    if media_type != PROBLEM_MEDIA_TYPE:
        return None
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
