"""Sessions of browsers: a token is kept in a cookie that no script can read and no other site can send."""

import json
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request, Response

from vae_search.server.admission.request_headers import COOKIE
from vae_search.server.problems import RefusalError
from vae_search.server.routes.queue import body_of
from vae_search.server.service import InService
from vae_search.server.wall import ANYONE, holder_of, opened_to

router = APIRouter(tags=["sessions"])

FORM = "application/x-www-form-urlencoded"
LOGIN_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object", "required": ["token"], "properties": {"token": {"type": "string"}}},
                "example": {"token": "vaes_…"},
            },
            FORM: {
                "schema": {"type": "object", "properties": {"token": {"type": "string"}}},
                "example": "token=vaes_…",
            },
        },
    }
}


@router.post("/session", openapi_extra=LOGIN_BODY)
@opened_to(ANYONE)
def log_in(
    service: InService, request: Request, response: Response, body: Annotated[bytes, Depends(body_of)]
) -> dict[str, Any]:
    """Log a browser in: its cookie holds the token from here on."""
    token = _token(body, request.headers.get("content-type", ""))
    tokens = service.options.tokens
    person = service.local if tokens is None else holder_of(tokens, token)
    if person is None:
        raise RefusalError(HTTPStatus.UNAUTHORIZED, "This token is not known, or was revoked.")
    if tokens is not None:
        keep_token(response, token, request)
    return {"name": person.name, "role": person.role.value}


def keep_token(response: Response, token: str, request: Request) -> None:
    """Put a token into the cookie of a browser."""
    response.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=request.url.scheme == "https", path="/")


@router.delete("/session", status_code=HTTPStatus.NO_CONTENT)
@opened_to(ANYONE)
def log_out(response: Response) -> None:
    """Log a browser out: its cookie goes, the token stays valid."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


def _token(body: bytes, media_type: str) -> str:
    try:
        text = body.decode()
        if media_type.partition(";")[0].strip() == FORM:
            token = parse_qs(text, max_num_fields=20).get("token", [""])[0]
        else:
            token = json.loads(text)["token"]
        if not isinstance(token, str):
            raise TypeError("it is no text")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RefusalError(
            HTTPStatus.UNPROCESSABLE_ENTITY, 'The body must be {"token": "…"}, or a form with it.'
        ) from None
    return token.strip()
