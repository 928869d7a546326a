"""Refusals as pages: a browser gets the lines of a problem document to read, and a form if it must log in."""

from http import HTTPStatus

from fastapi import Request
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from vae_search.server.pages.rendering import render
from vae_search.server.problems import ProblemDocument

HTML = "text/html"


def for_reader(scope: Scope, document: ProblemDocument) -> Response:
    """The problem as the one who asked can read it: a page for browsers, JSON for programs and for all of the API."""
    if scope["path"].startswith("/api/") or not takes_html(Headers(scope=scope)):
        return document
    request, problem = Request(scope), document.facts
    headers = {
        name: value
        for name, value in document.headers.items()
        if name.lower() not in ("content-type", "content-length")
    }
    lines = problem["detail"].splitlines()
    if problem["status"] == HTTPStatus.UNAUTHORIZED:
        asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        # A token that was sent and refused is worth a word; that none was sent is why the form is shown.
        trouble = lines if "cookie" in request.headers else []
        wanted = asked if request.method == "GET" else "/"
        return render(request, "login.html", status=problem["status"], headers=headers, next=wanted, trouble=trouble)
    return render(
        request,
        "problem.html",
        status=problem["status"],
        headers=headers,
        title=problem["title"],
        lines=lines,
        errors=problem.get("errors", []),
    )


def takes_html(headers: Headers) -> bool:
    """True for a browser that shows a page; programs name no HTML."""
    return any(part.partition(";")[0].strip() == HTML for part in headers.get("accept", "").split(","))
