"""Static files of pages: their addresses hold a digest of the content, so that browsers may keep them for ever."""

import gzip
import hashlib
import mimetypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Header, Response

from vae_search.errors import NotFound
from vae_search.server.wall import ANYONE, opened_to
from vae_search.services.browsing.figures import plotly_script

router = APIRouter(include_in_schema=False)

FOLDER = files("vae_search.server") / "static"
NAMES = (
    "page.css",
    "live.js",
    "figures.js",
    "parallel.js",
    "htmx/htmx.min.js",
    "team.css",
    "spec_editor.js",
    "latents.js",
)
PLOTLY = "plotly.min.js"
KEPT = "public, max-age=31536000, immutable"
LEAST_ZIPPED_BYTES = 1024


@dataclass(frozen=True, kw_only=True)
class StaticFile:
    """One file, read when it is first asked for."""

    name: str
    read: Callable[[], bytes]

    @cached_property
    def content(self) -> bytes:
        """Every byte of it."""
        return self.read()

    @cached_property
    def zipped(self) -> bytes:
        """The same, for clients that take gzip."""
        return gzip.compress(self.content, mtime=0)

    @cached_property
    def digest(self) -> str:
        """Mark of the content, as it stands in the address."""
        return hashlib.sha256(self.content).hexdigest()[:16]


FILES = {name: StaticFile(name=name, read=(FOLDER / name).read_bytes) for name in NAMES}
FILES[PLOTLY] = StaticFile(name=PLOTLY, read=partial(plotly_script))


def static(name: str) -> str:
    """Address of a static file as it is now."""
    return f"/static/{FILES[name].digest}/{name}"


@router.get("/static/{digest}/{name:path}")
@opened_to(ANYONE)  # the login page needs them, and they are the same wherever this program runs
def show(digest: str, name: str, accept_encoding: Annotated[str, Header()] = "") -> Response:
    """Fetch a file of the pages; another version of this program has other addresses."""
    file = FILES.get(name)
    if file is None or file.digest != digest:
        raise NotFound(f"static files: there is no {name!r} of this version. Load the page anew.")
    headers = {"Cache-Control": KEPT, "Vary": "Accept-Encoding"}
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    if "gzip" in accept_encoding and len(file.content) > LEAST_ZIPPED_BYTES:
        return Response(file.zipped, media_type=kind, headers=headers | {"Content-Encoding": "gzip"})
    return Response(file.content, media_type=kind, headers=headers)
