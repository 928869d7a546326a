"""Audit: who did what and why."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from vae_search.server.routes.parameters import Limit, page
from vae_search.server.service import InService
from vae_search.server.tokens import Role
from vae_search.server.wall import opened_to

router = APIRouter(tags=["audit"])

Name = Annotated[str | None, Query(max_length=200)]


@router.get("/audit")
@opened_to(Role.VIEWER)
def list_audit(
    service: InService,
    request: Request,
    limit: Limit = 50,
    cursor: Annotated[int, Query(description="From `next` of the page before.", ge=0, lt=2**31)] = 0,
    model: Name = None,
    sweep: Name = None,
    actor: Name = None,
) -> dict[str, Any]:
    """List the entries of the models' logs and of the queue, the newest first."""
    found = service.audit.page(limit=limit, skip=cursor, model=model, sweep=sweep, actor=actor)
    shown = cursor + len(found.entries)
    return page(
        request,
        [*found.entries],
        next_cursor=shown if shown < found.total else None,
        total=found.total,
        troubles=[*found.troubles],
    )
