"""Page of a promotion: what a sweep's finalists would meet if they asked, and what came of it when they did."""

import re
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from vae_search.core.references import NAME_LAW, NAME_PATTERN
from vae_search.core.text import printable
from vae_search.errors import InvalidSpec, VaeSearchError
from vae_search.server.child_processes.promotions import MOST_AT_ONCE, Promotion
from vae_search.server.pages.forms import SUGGESTED_SWEEPS, SentForm, address, see
from vae_search.server.pages.rendering import render
from vae_search.server.problems import RefusalError, status_of
from vae_search.server.routes import models as api
from vae_search.server.routes.sweeps import check_owner, owner_of
from vae_search.server.service import ByPerson, InService, Service
from vae_search.server.tokens import Person, Role
from vae_search.server.wall import opened_to
from vae_search.services.models.promotion_outlook import PromotionOutlook, promotion_outlook

router = APIRouter(include_in_schema=False)

SHOWN = 10  # of the promotions that this process knows
SAID = {
    "promoted": "It is champion now.",
    "waiting": "It has passed, and waits for an approver's yes.",
    "rejected": "It was refused.",
    "kept": "It had been promoted before; nothing has changed.",
}

OfSweep = Annotated[str, Query(max_length=200)]


@router.get("/promote")
@opened_to(Role.SUBMITTER)
def show_promotion(
    service: InService, request: Request, person: ByPerson, sweep: OfSweep = "", model: OfSweep = ""
) -> Response:
    """Say what will happen if the finalists of a sweep ask to become a model's champion."""
    return _page(service, request, person, sweep.strip(), model.strip() or None)


@router.post("/promote")
@opened_to(Role.SUBMITTER)
def promote(service: InService, request: Request, person: ByPerson, form: SentForm) -> Response:
    """Let them ask, as the API does, and lead back to the page, which follows it."""
    sweep, model = form.text("sweep", longest=200) or "", form.text("model", longest=200)
    trouble: list[str] = []
    status = HTTPStatus.OK
    try:
        _check_name("sweep", sweep)
        _check_name("model", model or "")
        api.promote(service, person, model or "", api.Asking(sweep=sweep))
    except RefusalError as refusal:
        trouble, status = refusal.detail.splitlines(), refusal.status
    except VaeSearchError as error:
        trouble, status = str(error).splitlines(), status_of(error)
    else:
        return see("/promote", sweep=sweep, model=model)
    return _page(service, request, person, sweep, model, trouble=trouble, status=status)


def _page(
    service: Service,
    request: Request,
    person: Person,
    sweep: str,
    model: str | None,
    *,
    trouble: list[str] | None = None,
    status: int = HTTPStatus.OK,
) -> Response:
    outlook: PromotionOutlook | None = None
    refusal: str | None = None
    told = trouble or []
    if sweep:
        try:
            _check_name("sweep", sweep)
            _check_name("model", model or "any")
            outlook = promotion_outlook(service.store, sweep, model=model)
            refusal = outlook.refusal or _refusal(service, person, sweep)
        except VaeSearchError as error:
            told, status = told or str(error).splitlines(), status_of(error)
    name = model if outlook is None else outlook.model
    asked = service.promotions.of(sweep=sweep)[:SHOWN] if sweep else []
    return render(
        request,
        "team/promote.html",
        status=status,
        here="models",
        stream="/events",
        twin=None if outlook is None or name is None else f"/api/v1/models/{name}/promotions",
        here_address=address("/promote", sweep=sweep, model=model),
        sweep=sweep,
        model=name,
        outlook=outlook,
        refusal=refusal,
        trouble=told,
        asked=[_shown(each) for each in asked],
        is_running=any(each.state == "running" and each.model == name for each in asked),
        at_once=MOST_AT_ONCE,
        sweeps=service.sweeps.names()[:SUGGESTED_SWEEPS],
    )


def _check_name(field: str, name: str) -> None:
    if not re.fullmatch(NAME_PATTERN, name):
        raise InvalidSpec(f"{field}: {NAME_LAW}, but this is {printable(name, 200)!r}.")


def _refusal(service: Service, person: Person, sweep: str) -> str | None:
    """Reason why this person may not let them ask; None if he may."""
    try:
        check_owner(person, owner_of(service, sweep))
    except RefusalError as refusal:
        return refusal.detail
    reason = service.options.roots.refusal_of(service.sweeps.standing(sweep).spec.data)
    return None if reason is None else f"The images of {sweep} {reason}"


def _shown(promotion: Promotion) -> dict[str, Any]:
    """A promotion that was asked for here, and what came of it in a sentence."""
    decision = promotion.decision
    said, reasons = promotion.error, []
    if decision is not None:
        said, reasons = f"{decision['candidate']}: {SAID[decision['outcome']]}", decision["reasons"]
    return {
        "sweep": promotion.sweep,
        "model": promotion.model,
        "asked_by": promotion.asked_by,
        "asked_at": promotion.asked_at,
        "state": promotion.state,
        "said": said,
        "reasons": reasons,
        "version": None if decision is None else decision["version"],
        "outcome": None if decision is None else decision["outcome"],
    }
