"""Trials of a sweep: pages of them, one, its learning curve."""

from contextlib import nullcontext
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response

from vae_search.errors import NotFound
from vae_search.server.child_processes.trial_pictures import PicturesKey
from vae_search.server.routes.parameters import Limit, SweepName, TrialNumber, Where, page
from vae_search.server.service import InService, Service
from vae_search.server.tokens import Role
from vae_search.server.wall import opened_to
from vae_search.services.browsing import trial_pages
from vae_search.services.browsing.trial_pages import ORDER_PATTERN, ORDERS
from vae_search.store.sweeps import sweep_record

router = APIRouter(tags=["trials"], prefix="/sweeps/{sweep}/trials")


@router.get("")
@opened_to(Role.VIEWER)
def list_trials(
    service: InService,
    request: Request,
    sweep: SweepName,
    limit: Limit = 50,
    cursor: Annotated[int | None, Query(description="From `next` of the page before.", ge=0)] = None,
    order: Annotated[
        str,
        Query(
            pattern=ORDER_PATTERN,
            description=f"{', '.join(ORDERS)}, or metric_NAME; least first, those without a value last.",
        ),
    ] = "trial",
    descending: Annotated[bool, Query(description="Greatest first.")] = False,
    state: Annotated[Literal["COMPLETE", "PRUNED", "FAIL"] | None, Query(description="Only these.")] = None,
    where: Where = None,
) -> dict[str, Any]:
    """List the finished trials of a sweep. Trials that land between two pages shift nothing."""
    with nullcontext() if where is None else service.query_slot():
        found = trial_pages.trial_page(
            service.store,
            sweep,
            limit=limit,
            after=cursor,
            order=order,
            descending=descending,
            state=state,
            where=where,
            leaderboard=service.sweeps.leaderboard(sweep),
        )
    return page(request, [*found.trials], next_cursor=found.next, total=found.total, damaged=[*found.damaged])


@router.get("/{trial}")
@opened_to(Role.VIEWER)
def show_trial(service: InService, sweep: SweepName, trial: TrialNumber) -> dict[str, Any]:
    """Show every column of a finished trial's row, and its config."""
    return trial_pages.one_trial(service.store, sweep, trial)


@router.get("/{trial}/curve")
@opened_to(Role.VIEWER)
def curve(service: InService, sweep: SweepName, trial: TrialNumber) -> dict[str, Any]:
    """Show the learning curve of a trial, an entry for each epoch; of one in flight until its newest checkpoint."""
    try:
        found = trial_pages.curve(service.store, sweep, trial)
    except NotFound:
        run = service.running.run(service.sweeps.facts(sweep), trial)
        if run is None:
            raise
        found = [{"epoch": epoch, "neg_elbo": neg_elbo} for epoch, neg_elbo in run["curve"]]
    return {"sweep": sweep, "trial": trial, "items": found}


@router.get(
    "/{trial}/pictures/{name}",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}, 304: {"description": "The picture of this `ETag` holds."}},
)
@opened_to(Role.VIEWER)
def picture(
    service: InService,
    sweep: SweepName,
    trial: TrialNumber,
    name: Annotated[Literal["samples.png", "reconstructions.png"], Path(description="Which of them.")],
    if_none_match: Annotated[str, Header(description="`ETag` of a picture that is there.")] = "",
) -> Response:
    """Show what a trial's model draws, if its weights are kept. The first time takes some seconds."""
    key = pictures_key(service, sweep, trial)
    # Another sweep may take this name, so browsers ask each time; as long as the weights stay, nothing is drawn for it.
    headers = {"ETag": key.etag, "Cache-Control": "private, no-cache"}
    if if_none_match == key.etag:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    found = service.pictures.read(key).get(name)
    if found is None:
        raise NotFound(f"trial {sweep}/{trial}: its images may not be read, or are gone, so none is reconstructed.")
    return Response(found, media_type="image/png", headers=headers)


def pictures_key(service: Service, sweep: str, trial: int) -> PicturesKey:
    """The content of a trial's pictures, from its row and the record of its sweep as they are stored now.

    Raises:
        NotFound: There is no such trial, or its weights were not kept.
    """
    sha256 = trial_pages.one_trial(service.store, sweep, trial)["artifact_sha256"]
    if sha256 is None:
        raise NotFound(f"trial {sweep}/{trial}: its weights were not kept; only the best trials keep theirs.")
    return service.pictures.key(sweep, trial, sha256=sha256, data=sweep_record.read(service.store, sweep).spec.data)
