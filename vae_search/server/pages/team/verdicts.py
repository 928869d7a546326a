"""Words on models: approve, reject, roll back. A page says first what will happen; its button does it."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from vae_search.errors import Conflict, InvalidSpec, NotFound
from vae_search.server.pages.forms import SentForm, see
from vae_search.server.pages.rendering import render
from vae_search.server.pages.team.contest_picture import contest_picture
from vae_search.server.pages.team.models import PICTURES
from vae_search.server.routes.parameters import ModelName, VersionNumber
from vae_search.server.service import ByPerson, InService
from vae_search.server.tokens import Role
from vae_search.server.wall import opened_to
from vae_search.services.browsing.model_facts import waiting_facts
from vae_search.services.models import approval, champions
from vae_search.services.payloads import Facts

router = APIRouter(include_in_schema=False)

WORDS = {"approve": "Approve", "reject": "Reject"}


@router.get("/models/{model}/versions/{version}/decide")
@opened_to(Role.APPROVER)
def ask_about_waiting(request: Request, service: InService, model: ModelName, version: VersionNumber) -> Response:
    """Show the evidence of a version that waits, and what a yes or a no will do."""
    item = _waiting(service, model, version)
    return render(
        request,
        "team/decide.html",
        here="models",
        twin=f"/api/v1/models/{model}/waiting",
        model=model,
        item=item,
        evidence=item["evidence"],
        picture=contest_picture(item["evidence"]),
        titles=PICTURES,
    )


@router.post("/models/{model}/versions/{version}/decide")
@opened_to(Role.APPROVER)
def decide(service: InService, person: ByPerson, model: ModelName, version: VersionNumber, form: SentForm) -> Response:
    """Approve or reject a version that waits, by the verdicts that were shown."""
    word, why, entry = form.text("word", longest=20), _why(form), form.whole("entry")
    if word == "approve":
        approval.approve(service.store, model, version, why=why, entry=entry, actor=person.name)
    elif word == "reject":
        approval.reject(service.store, model, version, why=why, entry=entry, actor=person.name)
    else:
        raise InvalidSpec(f"word: must be one of {', '.join(WORDS)}.")
    return see(f"/models/{model}", done=word)


@router.get("/models/{model}/rollback")
@opened_to(Role.APPROVER)
def ask_about_rollback(
    request: Request, service: InService, model: ModelName, to: Annotated[int | None, Query(ge=1, lt=2**31)] = None
) -> Response:
    """Say what going back to an older version will do."""
    state = champions.model_state(service.store, model)
    if to is None and len(state.champions) < 2:
        raise NotFound(f"model {model}: there is no champion before the present one to go back to.")
    target = state.promoted(state.champions[-2] if to is None else to)
    if target.number == state.champion:
        raise Conflict(f"model {model}: version {target.number} is the champion already.")
    return render(
        request,
        "team/rollback.html",
        here="models",
        model=model,
        champion=state.champion,
        present="" if state.champion is None else state.versions[state.champion].candidate,
        target=target,
    )


@router.post("/models/{model}/rollback")
@opened_to(Role.APPROVER)
def roll_back(service: InService, person: ByPerson, model: ModelName, form: SentForm) -> Response:
    """Make an older version the champion again, unless the champion is another than the page has said."""
    to, seen, why = form.whole("to"), form.whole("champion"), _why(form)
    if to is None or to < 1:
        raise InvalidSpec("to: must be the number of a version.")
    champion = champions.model_state(service.store, model).champion
    if champion != seen:
        raise Conflict(f"model {model}: version {champion} has become champion meanwhile. Look at the model again.")
    champions.roll_back(service.store, model, to=to, why=why, actor=person.name)
    return see(f"/models/{model}", done="rollback")


def _waiting(service: InService, model: str, version: int) -> Facts:
    items = waiting_facts(service.store, model)["items"]
    found: Facts | None = next((item for item in items if item["version"] == version), None)
    if found is None:
        raise NotFound(f"model {model}: version {version} does not wait for approval (any more).")
    return found


def _why(form: SentForm) -> str:
    why = form.text("why")
    if why is None:
        raise InvalidSpec("why: must be given, for the log. Go back, and say why.")
    return why
