"""Models: champions, versions and their files, and the way back to an older version."""

import mimetypes
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from vae_search.server.routes.parameters import ModelName, VersionNumber
from vae_search.server.service import ByPerson, InService
from vae_search.server.tokens import Role
from vae_search.server.wall import opened_to
from vae_search.services.browsing import model_facts as browsing
from vae_search.services.models import champions
from vae_search.services.payloads import model_facts

router = APIRouter(tags=["models"])

KEPT_BY_BROWSERS = "private, max-age=3600"  # what was decoded of a version stays as it is
SHOWN = ("image/png", "application/json", "text/markdown")  # in a browser; all else is kept as a file


class Return(BaseModel):
    """Return to an older version."""

    model_config = ConfigDict(extra="forbid")
    to: int | None = Field(default=None, ge=1, lt=2**31, description="The version; default: the champion before.")
    why: str = Field(min_length=1, max_length=500, description="For the log.")


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
    return service.traversals.read(model, version).facts


@router.get(
    "/models/{model}/versions/{version}/traversal.png",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}},
)
@opened_to(Role.VIEWER)
def traversal_sheet(service: InService, model: ModelName, version: VersionNumber) -> Response:
    """Show the sheet: a unit in each row, from -3 to 3 standard deviations of the prior."""
    found = service.traversals.read(model, version)
    return Response(found.sheet, media_type="image/png", headers={"Cache-Control": KEPT_BY_BROWSERS})


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
