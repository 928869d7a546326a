"""Login of a browser, by a form: the token goes into a cookie, and the browser back to the page that it wanted."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from vae_search.server.admission.request_headers import COOKIE
from vae_search.server.pages.forms import SentForm, local_path, see
from vae_search.server.pages.rendering import render
from vae_search.server.routes.sessions import keep_token
from vae_search.server.service import InService
from vae_search.server.wall import ANYONE, holder_of, opened_to

router = APIRouter(include_in_schema=False)


@router.get("/login")
@opened_to(ANYONE)
def show_login(
    request: Request, service: InService, wanted: Annotated[str, Query(alias="next", max_length=2000)] = "/"
) -> Response:
    """Show the form; without tokens there is nothing to log in to."""
    if service.options.tokens is None:
        return see("/")
    return render(request, "login.html", next=local_path(wanted), trouble=[])


@router.post("/login")
@opened_to(ANYONE)
def log_in(request: Request, service: InService, form: SentForm) -> Response:
    """Take the token, if it is known."""
    tokens = service.options.tokens
    wanted = local_path(form.text("next", longest=2000))
    if tokens is None:
        return see(wanted)
    token = form.text("token")
    if token is None or holder_of(tokens, token) is None:
        trouble = ["This token is not known, or was revoked."]
        return render(request, "login.html", status=HTTPStatus.UNAUTHORIZED, next=wanted, trouble=trouble)
    answer = see(wanted)
    keep_token(answer, token, request)
    return answer


@router.post("/logout")
@opened_to(ANYONE)
def log_out() -> Response:
    """Forget the token in this browser; it stays valid."""
    answer = see("/login")
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer
