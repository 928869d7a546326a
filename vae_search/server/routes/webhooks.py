"""Webhooks: what waits to be delivered, what was given up, and the order to deliver it again.

Hooks themselves are the operator's: nobody makes or changes one over HTTP.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from vae_search.server.service import ByPerson, InService
from vae_search.server.tokens import Role
from vae_search.server.wall import opened_to
from vae_search.services.webhooks import outboxes

router = APIRouter(tags=["webhooks"])

EventId = Annotated[
    str, Path(description="Id of an event, as its receiver sees it.", max_length=100, examples=["evt_0123456789abcdef"])
]


@router.get("/webhooks")
@opened_to(Role.VIEWER)
def list_webhooks(service: InService) -> dict[str, Any]:
    """List the hooks with the deliveries that wait or were given up; neither full addresses nor secrets."""
    return {"items": outboxes.webhooks_facts(service.store)}


@router.post("/webhooks/{event}:redeliver")
@opened_to(Role.APPROVER)
def redeliver(
    service: InService,
    person: ByPerson,
    event: EventId,
    hook: Annotated[str | None, Query(description="Only to this one; default: all.", max_length=100)] = None,
) -> dict[str, Any]:
    """Deliver an event again that waits or was given up, with the same id and body."""
    asked = outboxes.redeliver(service.store, event, hook=hook, actor=person.name, now=service.options.now())
    return {"event": event, "hooks": asked}
