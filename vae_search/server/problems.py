"""Problem documents (RFC 9457, `application/problem+json`): every refusal of the service, in at most three lines.

Errors of the package keep their exit codes and get a status beside them.
"""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

from vae_search import errors
from vae_search.core.text import kebab, printable

MAX_LINES = 3
MAX_ERRORS = 200  # of one document

# A lookup takes the class itself, else the nearest one above it.
STATUSES: Mapping[type[errors.VaeSearchError], HTTPStatus] = {
    errors.VaeSearchError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.InvalidSpec: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.BadData: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.CorruptStore: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.ClusterTrouble: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.NodeTrouble: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ProcessLost: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.LeaseLost: HTTPStatus.CONFLICT,
    errors.SweepFailed: HTTPStatus.CONFLICT,
    errors.StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.NotPromoted: HTTPStatus.CONFLICT,
    errors.Interrupted: HTTPStatus.SERVICE_UNAVAILABLE,
}
_SPEC_LINE = re.compile(r"spec(?::(?P<line>\d+))?: (?:(?P<key>[\w.\[\]?-]+): )?(?P<detail>.*)", re.DOTALL)


class ProblemDocument(JSONResponse):
    """A problem document as it goes to programs; `facts` are its members."""

    media_type = errors.PROBLEM_MEDIA_TYPE

    def __init__(self, facts: Mapping[str, Any], status: int, headers: Mapping[str, str]) -> None:
        super().__init__(facts, status_code=status, headers=dict(headers))
        self.facts = facts


class RefusalError(Exception):
    """A refusal that only HTTP knows: no token, a foreign origin, a body that is too large.

    Args:
        detail: one to three lines: what must hold, what was found, what to do.
    """

    def __init__(self, status: HTTPStatus, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


def status_of(error: errors.VaeSearchError) -> HTTPStatus:
    """Status of an error of the package."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


def problem(
    status: int,
    detail: str,
    *,
    kind: str | None = None,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> ProblemDocument:
    """Make a problem document.

    Args:
        kind: name of what went wrong; None where the status says it all.
        more: further members.
    """
    known = HTTPStatus(status)
    lines = detail.splitlines()[:MAX_LINES]
    body = {
        "type": "about:blank" if kind is None else f"{errors.PROBLEM_URN}{kind}",
        "title": known.phrase,
        "status": status,
        "detail": "\n".join(printable(line, 1000) for line in lines),
        **more,
    }
    return ProblemDocument(body, status, headers or {})


def problem_of(error: errors.VaeSearchError) -> ProblemDocument:
    """The problem document of an error of the package."""
    status = status_of(error)
    more: dict[str, Any] = {"exit_code": error.exit_code}
    if isinstance(error, errors.InvalidSpec):
        more["errors"] = spec_errors(error.every)
    headers = {"Retry-After": "5"} if status is HTTPStatus.SERVICE_UNAVAILABLE else {}
    return problem(status, str(error), kind=kebab(type(error).__name__), headers=headers, **more)


def spec_errors(problems: Sequence[str]) -> list[dict[str, Any]]:
    """Every problem of a spec: its line (None if it has none), its key, and the sentence."""
    found = []
    for text in problems[:MAX_ERRORS]:
        match = _SPEC_LINE.fullmatch(text)
        line, key, detail = (None, None, text) if match is None else match.group("line", "key", "detail")
        found.append({"line": None if line is None else int(line), "key": key, "detail": detail})
    return found
