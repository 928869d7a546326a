"""Specs: check one, estimate what it would cost, and the schema for editors."""

from typing import Any

from fastapi import APIRouter

from vae_search.server.child_processes.estimates import estimated
from vae_search.server.examples import SPEC_BODY
from vae_search.server.routes.queue import SpecBody
from vae_search.server.service import InService
from vae_search.server.submissions import checked_spec
from vae_search.server.tokens import Role
from vae_search.server.wall import opened_to
from vae_search.spec.sweep_spec import json_schema
from vae_search.spec.template import STARTERS

router = APIRouter(tags=["specs"])


@router.post("/specs:validate", openapi_extra=SPEC_BODY)
@opened_to(Role.VIEWER)
def validate(service: InService, body: SpecBody) -> dict[str, Any]:
    """Check a spec and show it with every default; all mistakes are told at once, with their lines."""
    spec, _ = checked_spec(body, service.options.roots)
    return spec.to_json()


@router.post("/specs:estimate", openapi_extra=SPEC_BODY)
@opened_to(Role.SUBMITTER)
def estimate(service: InService, body: SpecBody) -> dict[str, Any]:
    """Estimate time, memory and disk space of a sweep on the service's machine; takes seconds."""
    _, text = checked_spec(body, service.options.roots)
    with service.query_slot():
        return estimated(text, location=service.options.location)


@router.get("/schema")
@opened_to(Role.VIEWER)
def schema() -> dict[str, Any]:
    """Show the JSON Schema of a spec."""
    return json_schema()


@router.get("/templates")
@opened_to(Role.VIEWER)
def templates() -> dict[str, Any]:
    """List specs to start from; each may be submitted as it stands."""
    return {"items": [{"title": title, "spec": spec} for title, spec in STARTERS.items()]}
