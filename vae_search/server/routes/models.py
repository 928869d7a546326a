"""Models: champions, versions and their files; asking for promotion, approval, and the way back to an older version."""

import mimetypes
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from vae_search.core.references import NAME_PATTERN
from vae_search.server.child_processes.promotions import Promotion
from vae_search.server.problems import RefusalError
from vae_search.server.routes.parameters import ModelName, VersionNumber
from vae_search.server.routes.sweeps import check_owner, owner_of
from vae_search.server.service import ByPerson, InService
from vae_search.server.tokens import Role
from vae_search.server.wall import opened_to
from vae_search.services.browsing import model_facts as browsing
from vae_search.services.browsing.contest_facts import contest_facts
from vae_search.services.models import approval, champions
from vae_search.services.models.approval import LONGEST_WHY
from vae_search.services.payloads import model_facts
from vae_search.store.sweeps import sweep_record

router = APIRouter(tags=["models"])

SHOWN = ("image/png", "application/json", "text/markdown")  # in a browser; all else is kept as a file


class Return(BaseModel):
    """Return to an older version."""

    model_config = ConfigDict(extra="forbid")
    to: int | None = Field(default=None, ge=1, lt=2**31, description="The version; default: the champion before.")
    why: str = Field(min_length=1, max_length=500, description="For the log.")


class Asking(BaseModel):
    """Request of a sweep for promotion."""

    model_config = ConfigDict(extra="forbid")
    sweep: str = Field(pattern=NAME_PATTERN, description="The sweep whose finalists ask.")


class Word(BaseModel):
    """Word of somebody who approves or rejects."""

    model_config = ConfigDict(extra="forbid")
    version: int = Field(ge=1, lt=2**31, description="The version that waits.")
    why: str = Field(min_length=1, max_length=LONGEST_WHY, description="For the log.")
    entry: int | None = Field(
        default=None,
        ge=1,
        lt=2**31,
        description="Number of the log's entry whose verdicts were looked at; refused if the version waits on others.",
    )


@router.get("/models")
@opened_to(Role.VIEWER)
def list_models(service: InService) -> dict[str, Any]:
    """List the models and their champions."""
    states, troubles = champions.model_states(service.store)
    return {"items": [model_facts(state) for state in states], "troubles": troubles}


@router.get("/models/{model}")
@opened_to(Role.VIEWER)
def show_model(service: InService, model: ModelName) -> dict[str, Any]:
    """Show a model's versions and the whole log, with every verdict."""
    return browsing.model_history(champions.model_state(service.store, model))


@router.get("/models/{model}/waiting")
@opened_to(Role.VIEWER)
def show_waiting(service: InService, request: Request, model: ModelName) -> dict[str, Any]:
    """Show the versions that wait for approval: contest, gates, pictures, and what a yes or a no will do.

    The score on the test images is left out, since nobody may choose by it.
    """
    facts = browsing.waiting_facts(service.store, model)
    here = request.url.path.removesuffix("/waiting")
    for item in facts["items"]:
        files = f"{here}/versions/{item['version']}/files"
        item["pictures"] = [{"name": name, "address": f"{files}/{name}"} for name in item["pictures"]]
    return facts


@router.get("/models/{model}/entries/{entry}")
@opened_to(Role.VIEWER)
def show_entry(
    service: InService, model: ModelName, entry: Annotated[int, Path(description="Its number.", ge=1, lt=2**31)]
) -> dict[str, Any]:
    """Show the verdicts of an entry of a model's log, with both sides of the contest seed by seed."""
    return contest_facts(service.store, champions.model_state(service.store, model), entry)


@router.get("/models/{model}/promotions")
@opened_to(Role.VIEWER)
def show_promotions(service: InService, model: ModelName) -> dict[str, Any]:
    """Show the promotions that were asked for at this process of the service; what came of them is in the log."""
    return {"items": [_promotion(each) for each in service.promotions.of(model)]}


@router.post("/models/{model}:promote", status_code=HTTPStatus.ACCEPTED)
@opened_to(Role.SUBMITTER)
def promote(
    service: InService,
    person: ByPerson,
    model: Annotated[str, Path(description="Name of a model, new or not.", pattern=NAME_PATTERN)],
    wanted: Annotated[Asking, Body(openapi_examples={"ask": {"value": {"sweep": "fashion-mlp"}}})],
) -> dict[str, Any]:
    """Let a sweep's finalists ask for promotion, beside the answer; one's own sweeps, or as an approver all.

    Asking again while one runs is the same request, and afterwards changes nothing. `GET …/promotions` and the model's
    log say what came of it.
    """
    record = sweep_record.read(service.store, wanted.sweep)
    check_owner(person, owner_of(service, wanted.sweep))
    if (reason := service.options.roots.refusal_of(record.spec.data)) is not None:
        raise RefusalError(HTTPStatus.FORBIDDEN, f"The images of {wanted.sweep} {reason}")
    return _promotion(service.promotions.ask(wanted.sweep, model=model, actor=person.name))


def _promotion(promotion: Promotion) -> dict[str, Any]:
    return asdict(promotion) | {"asked_at": promotion.asked_at.isoformat()}


@router.post("/models/{model}:approve")
@opened_to(Role.APPROVER)
def approve(
    service: InService,
    person: ByPerson,
    model: ModelName,
    word: Annotated[Word, Body(openapi_examples={"yes": {"value": {"version": 3, "why": "sevens are sharp"}}})],
) -> dict[str, Any]:
    """Make a version that waits the champion. Only against the champion that it met: else it needs a new contest."""
    return asdict(
        approval.approve(service.store, model, word.version, why=word.why, entry=word.entry, actor=person.name)
    )


@router.post("/models/{model}:reject")
@opened_to(Role.APPROVER)
def reject(
    service: InService,
    person: ByPerson,
    model: ModelName,
    word: Annotated[Word, Body(openapi_examples={"no": {"value": {"version": 3, "why": "it blurs sevens"}}})],
) -> dict[str, Any]:
    """Refuse a version that waits, for good; the champion stays."""
    return asdict(
        approval.reject(service.store, model, word.version, why=word.why, entry=word.entry, actor=person.name)
    )


@router.get("/models/{model}/versions/{version}")
@opened_to(Role.VIEWER)
def show_version(service: InService, model: ModelName, version: VersionNumber) -> dict[str, Any]:
    """Show a version's card, and its files with their sizes."""
    return browsing.version_facts(service.store, model, version)


@router.get("/models/{model}/versions/{version}/files/{path:path}", response_class=Response)
@opened_to(Role.VIEWER)
def version_file(
    service: InService,
    model: ModelName,
    version: VersionNumber,
    path: Annotated[str, Path(description="A name from the version's manifest.", examples=["card.json"])],
) -> Response:
    """Fetch a file of a version, every byte checked; only what its manifest names."""
    content = browsing.version_file(service.store, model, version, path)
    kind = mimetypes.guess_type(path)[0]
    if kind in SHOWN:
        return Response(content, media_type=kind)
    return Response(content, media_type="application/octet-stream", headers={"Content-Disposition": "attachment"})


@router.get("/models/{model}/versions/{version}/traversal")
@opened_to(Role.VIEWER)
def show_traversal(service: InService, model: ModelName, version: VersionNumber) -> dict[str, Any]:
    """Show the latent units that tell most, each with its KL and the values that it takes on the sheet of pictures.

    The first time takes some seconds: the model is decoded in a process of its own.
    """
    return service.traversals.read(service.traversals.key(model, version)).facts


@router.get(
    "/models/{model}/versions/{version}/traversal.png",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}, 304: {"description": "The picture of this `ETag` holds."}},
)
@opened_to(Role.VIEWER)
def traversal_sheet(
    service: InService,
    model: ModelName,
    version: VersionNumber,
    if_none_match: Annotated[str, Header(description="`ETag` of a picture that is there.")] = "",
) -> Response:
    """Show the sheet: a unit in each row, from -3 to 3 standard deviations of the prior."""
    key = service.traversals.key(model, version)
    headers = {"ETag": key.etag, "Cache-Control": "private, no-cache"}
    if if_none_match == key.etag:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(service.traversals.read(key).sheet, media_type="image/png", headers=headers)


@router.post("/models/{model}:rollback")
@opened_to(Role.APPROVER)
def roll_back(
    service: InService,
    person: ByPerson,
    model: ModelName,
    wanted: Annotated[Return, Body(openapi_examples={"back": {"value": {"why": "it blurs sevens"}}})],
) -> dict[str, Any]:
    """Make an older version the champion again."""
    champion = champions.roll_back(service.store, model, to=wanted.to, why=wanted.why, actor=person.name)
    return {"model": model, "champion": champion}
