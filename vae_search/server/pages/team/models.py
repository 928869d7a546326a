"""Pages of models: champion with the contest that it won, what waits for approval, versions, history and latents."""

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from vae_search.core.dataset_summary import Classes, DatasetSummary
from vae_search.errors import NotFound
from vae_search.server.pages.forms import SUGGESTED_SWEEPS
from vae_search.server.pages.rendering import render
from vae_search.server.pages.team.contest_picture import contest_picture
from vae_search.server.routes.parameters import ModelName, VersionNumber
from vae_search.server.service import InService
from vae_search.server.tokens import Role
from vae_search.server.wall import opened_to
from vae_search.services.browsing import model_facts as browsing
from vae_search.services.browsing.contest_facts import contest_facts
from vae_search.services.models import champions
from vae_search.services.payloads import Facts, model_facts

router = APIRouter(include_in_schema=False)

API = "/api/v1/models"
PICTURES = {
    "samples.png": "Samples from the prior",
    "reconstructions.png": "Held-out images, each with what it becomes",
}
CROWNING = ("promote", "approve", "rollback")  # actions from which on a version is champion
DONE = {
    "approve": "Approved: it is champion now.",
    "reject": "Rejected: the champion stays.",
    "rollback": "Rolled back: the older version is champion now.",
}
MOST_HISTORY = 100  # entries, the newest first; the audit has all
SHOWN_TILE_PX = 112

EntryNumber = Annotated[int, Path(ge=1, lt=2**31)]


@router.get("/models")
@opened_to(Role.VIEWER)
def show_models(request: Request, service: InService) -> Response:
    """Show the models and their champions."""
    states, troubles = champions.model_states(service.store)
    rows = [
        model_facts(state)
        | {
            "waiting": len(state.waiting),
            "candidate": None if state.champion is None else state.versions[state.champion].candidate,
            "at": state.entries[-1].at,
        }
        for state in states
    ]
    return render(request, "team/models.html", here="models", twin=API, models=rows, trouble=troubles)


@router.get("/models/{model}")
@opened_to(Role.VIEWER)
def show_model(
    request: Request,
    service: InService,
    model: ModelName,
    done: Annotated[str | None, Query(max_length=20)] = None,
) -> Response:
    """Show a model: its champion and why, what waits, its versions and its history."""
    state = champions.model_state(service.store, model)
    history = browsing.history_lines(state)
    waiting = browsing.waiting_facts(service.store, model)["items"]
    judged = [line["entry"] for line in history if line["judged"] and line["version"] == state.champion]
    evidence = None
    if state.champion is not None and judged:
        evidence = contest_facts(service.store, state, judged[-1])
    crowned = [line for line in history if line["version"] == state.champion and line["action"] in CROWNING]
    return render(
        request,
        "team/model.html",
        here="models",
        twin=f"{API}/{model}",
        model=model,
        done=DONE.get(done or ""),
        champion=state.champion,
        candidate=None if state.champion is None else state.versions[state.champion].candidate,
        crowned=crowned[-1] if crowned else None,
        needs_approval=state.needs_approval,
        waiting=[item | {"picture": contest_picture(item["evidence"])} for item in waiting],
        evidence=evidence,
        picture=None if evidence is None else contest_picture(evidence),
        pictures={}
        if state.champion is None
        else _titled(browsing.picture_names(service.store, state, state.champion)),
        versions=sorted(state.versions.values(), key=lambda version: -version.number),
        can_go_back=len(state.champions) > 1,
        history=history[: -MOST_HISTORY - 1 : -1],
        entries=len(history),
        sweeps=service.sweeps.names()[:SUGGESTED_SWEEPS],
    )


@router.get("/models/{model}/verdicts/{entry}")
@opened_to(Role.VIEWER)
def show_verdict(request: Request, service: InService, model: ModelName, entry: EntryNumber) -> Response:
    """Show the gates and the contest of one entry of a model's log."""
    state = champions.model_state(service.store, model)
    evidence = contest_facts(service.store, state, entry)
    (line,) = [line for line in browsing.history_lines(state) if line["entry"] == entry]
    return render(
        request,
        "team/verdict.html",
        here="models",
        twin=f"{API}/{model}/entries/{entry}",
        model=model,
        line=line,
        evidence=evidence,
        picture=contest_picture(evidence),
    )


@router.get("/models/{model}/versions/{version}")
@opened_to(Role.VIEWER)
def show_version(request: Request, service: InService, model: ModelName, version: VersionNumber) -> Response:
    """Show a version's card: scores, parameters, seeds, pictures and files."""
    facts = browsing.version_facts(service.store, model, version)
    state = champions.model_state(service.store, model)
    images = DatasetSummary.from_json(facts["card"].get("images"))
    classes = None if images is None else images.classes
    return render(
        request,
        "team/version.html",
        here="models",
        twin=f"{API}/{model}/versions/{version}",
        model=model,
        shown=version,
        facts=facts,
        card=facts["card"],
        champion=state.champion,
        classes=classes,
        pictures=_titled(facts["files"], classes),
    )


@router.get("/models/{model}/versions/{version}/latents")
@opened_to(Role.VIEWER)
def show_latents(request: Request, service: InService, model: ModelName, version: VersionNumber) -> Response:
    """Show the units of a version's latent space, each with a slider that moves it through the prior."""
    facts = service.traversals.read(service.traversals.key(model, version)).facts
    if not facts["units"]:
        raise NotFound(f"model {model}: version {version} has no latent units.")
    return render(
        request,
        "team/latents.html",
        here="models",
        twin=f"{API}/{model}/versions/{version}/traversal",
        model=model,
        shown=version,
        facts=facts,
        sheet=f"{API}/{model}/versions/{version}/traversal.png",
        tiles=_tiles(facts),
    )


def _titled(names: Iterable[str], classes: Classes | None = None) -> dict[str, str]:
    """The pictures among a version's files, with their titles; those of samples say what class each row is."""
    rows = {} if classes is None else {"samples.png": f", a row for each class: {classes.in_order}"}
    return {name: PICTURES[name] + rows.get(name, "") for name in PICTURES if name in {*names}}


def _tiles(facts: Facts) -> dict[str, Any]:
    """Measures of the sheet as it is shown, in pixels of the page: small images enlarged in whole steps."""
    scale = max(1, SHOWN_TILE_PX // facts["tile_width"])
    step_x, step_y = (scale * (facts[side] + facts["gap"]) for side in ("tile_width", "tile_height"))
    gap = scale * facts["gap"]
    return {
        "width": scale * facts["tile_width"],
        "height": scale * facts["tile_height"],
        "step_x": step_x,
        "step_y": step_y,
        "gap": gap,
        "sheet_width": step_x * len(facts["values"]) + gap,
        "sheet_height": step_y * len(facts["units"]) + gap,
        "middle": len(facts["values"]) // 2,
    }
