"""Audit page: who did what and why, the newest first."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from vae_search.server.pages.rendering import render
from vae_search.server.service import InService
from vae_search.server.tokens import Role
from vae_search.server.wall import opened_to

router = APIRouter(include_in_schema=False)

ENTRIES_OF_A_PAGE = 50

Name = Annotated[str | None, Query(max_length=200)]


@router.get("/audit")
@opened_to(Role.VIEWER)
def show_audit(
    request: Request,
    service: InService,
    cursor: Annotated[int, Query(ge=0, lt=2**31)] = 0,
    actor: Name = None,
    model: Name = None,
    sweep: Name = None,
) -> Response:
    """Show the entries of the models' logs and of the queue."""
    wanted = {"actor": (actor or "").strip(), "model": (model or "").strip(), "sweep": (sweep or "").strip()}
    given = {name: value or None for name, value in wanted.items()}
    found = service.audit.page(limit=ENTRIES_OF_A_PAGE, skip=cursor, **given)
    shown = cursor + len(found.entries)
    return render(
        request,
        "team/audit.html",
        here="audit",
        twin="/api/v1/audit",
        found=found,
        wanted=wanted,
        first=cursor + 1,
        last=shown,
        newer=_address(request, max(0, cursor - ENTRIES_OF_A_PAGE)) if cursor else None,
        older=_address(request, shown) if shown < found.total else None,
    )


def _address(request: Request, cursor: int) -> str:
    found = request.url.include_query_params(cursor=cursor)
    return f"{found.path}?{found.query}"
