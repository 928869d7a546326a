"""Pages as HTML: templates with everything escaped, in one frame with navigation, useful without JavaScript."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from vae_search.core.text import printable
from vae_search.server.pages.static_files import static
from vae_search.server.tokens import Role
from vae_search.version import VERSION

LONGEST_TEXT = 300
UNITS = ((2 * 86_400.0, 86_400.0, "d"), (2 * 3_600.0, 3_600.0, "h"), (120.0, 60.0, "min"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Entry of the navigation."""

    key: str
    label: str
    path: str


NAVIGATION = (
    Place(key="home", label="Sweeps", path="/"),
    Place(key="new", label="New sweep", path="/new"),
    Place(key="queue", label="Queue", path="/queue"),
    Place(key="models", label="Models", path="/models"),
    Place(key="sql", label="SQL", path="/sql"),
    Place(key="audit", label="Audit", path="/audit"),
    Place(key="cluster", label="Cluster", path="/cluster"),
)
RIGHTS = {
    Role.VIEWER: "read everything, and ask in SQL",
    Role.SUBMITTER: "read everything, submit sweeps, change your own, and let them ask for promotion",
    Role.APPROVER: "read and submit, change everybody's sweeps, approve or reject models, and roll back",
}


def render(
    request: Request,
    template: str,
    *,
    status: int = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
    here: str | None = None,
    stream: str | None = None,
    twin: str | None = None,
    **facts: Any,
) -> HTMLResponse:
    """Make a page from a template of `server/templates`.

    Args:
        here: key of the navigation's entry that the page belongs to.
        stream: address of the event stream that says when the page has changed.
        twin: address of the same facts as JSON.
        facts: what the template shows; `person` is None for somebody unknown.
    """
    person = getattr(request.state, "person", None)
    text = (
        _environment()
        .get_template(template)
        .render(
            person=person,
            may_submit=person is not None and person.role.reaches(Role.SUBMITTER),
            may_approve=person is not None and person.role.reaches(Role.APPROVER),
            rights="" if person is None else RIGHTS[person.role],
            has_tokens=request.app.state.service.options.tokens is not None,
            navigation=NAVIGATION,
            here=here,
            stream=stream,
            twin=twin,
            program_version=VERSION,
            **facts,
        )
    )
    return HTMLResponse(text, status_code=status, headers=dict(headers or {}))


def number(value: float | None, digits: int = 2) -> str:
    """A value with so many digits after the point; a dash for none."""
    return "–" if value is None else f"{value:,.{digits}f}"


def short(value: object) -> str:
    """A value of any kind, four digits of a float, one line of a text."""
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else printable(str(value), LONGEST_TEXT)


def clock(seconds: float | None) -> str:
    """A length of time in one unit: `42 s`, `7 min`, `3 h`, `2 d`."""
    if seconds is None:
        return "–"
    for least_s, unit_s, unit in UNITS:
        if seconds >= least_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} s"


def moment(value: datetime | str | None) -> str:
    """A moment in UTC, to the second."""
    if value is None:
        return "–"
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{at:%Y-%m-%d %H:%M:%S}"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("vae_search.server"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"number": number, "short": short, "clock": clock, "moment": moment}
    made.globals["static"] = static
    return made
