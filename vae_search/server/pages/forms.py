"""Forms of pages: fields as a browser sends them without JavaScript, bounded, and the way back to a local page."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated
from urllib.parse import parse_qs, urlencode, urlsplit

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse

from vae_search.core.text import printable
from vae_search.errors import InvalidSpec
from vae_search.server.problems import RefusalError

FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 200
LONGEST_FIELD = 100_000  # characters; a spec is the longest
SUGGESTED_SWEEPS = 500  # names that a field knows


class Form:
    """Fields of a form; what was left empty counts as not given."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)

    def text(self, name: str, *, longest: int = 500) -> str | None:
        """A field without the blanks around it; None if it is empty.

        Raises:
            InvalidSpec: It is longer than it may be.
        """
        value = self.fields.get(name, "").strip()
        if len(value) > longest:
            raise InvalidSpec(f"{name}: may have at most {longest:,} characters, but has {len(value):,}.")
        return value or None

    def whole(self, name: str) -> int | None:
        """A field as a whole number; None if it is empty.

        Raises:
            InvalidSpec: It is no whole number.
        """
        value = self.text(name, longest=20)
        if value is None:
            return None
        if not value.removeprefix("-").isdecimal():
            raise InvalidSpec(f"{name}: must be a whole number, but is {printable(value)!r}.")
        return int(value)


async def form_of(request: Request) -> Form:
    """The form that a request brings; the wall has bounded its body.

    Raises:
        RefusalError: It is none.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != FORM:
        raise RefusalError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"This takes forms: {FORM}.")
    try:
        found = parse_qs((await request.body()).decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise RefusalError(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"A form must be UTF-8 and have at most {MOST_FIELDS} fields."
        ) from None
    return Form({name: values[-1][: LONGEST_FIELD + 1] for name, values in found.items()})


SentForm = Annotated[Form, Depends(form_of)]


def local_path(given: str | None) -> str:
    """`given` if it is a path of this service, else the home page: nobody is sent elsewhere after logging in."""
    path = given or "/"
    parts = urlsplit(path)
    is_local = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path if is_local and not parts.scheme and not parts.netloc else "/"


def address(path: str, **query: object) -> str:
    """A path with a query of what is given; None and empty texts are left out."""
    given = {name: value for name, value in query.items() if value is not None and value != ""}
    return f"{path}?{urlencode(given)}" if given else path


def see(path: str, **query: object) -> RedirectResponse:
    """The answer to a form that was carried out: look at this page now."""
    return RedirectResponse(address(path, **query), status_code=HTTPStatus.SEE_OTHER)
