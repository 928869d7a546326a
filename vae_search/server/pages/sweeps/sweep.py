"""Page of a sweep: how it stands in words, its plots, its trials, its logs, and what may be done to it."""

from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from http import HTTPStatus
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from vae_search.core.criteria import METRIC
from vae_search.errors import InvalidSpec, NotFound
from vae_search.server.pages.forms import address
from vae_search.server.pages.rendering import render
from vae_search.server.pages.sweeps.drawings import Chart, chart
from vae_search.server.pages.sweeps.steering_forms import SAID, steering_of
from vae_search.server.routes.parameters import SweepName, TrialNumber
from vae_search.server.service import InService, Service
from vae_search.server.tokens import Role
from vae_search.server.wall import opened_to
from vae_search.services.browsing.queue_facts import item_facts
from vae_search.services.browsing.running_trials import InFlight
from vae_search.services.browsing.trial_pages import ORDER_PATTERN, trial_page
from vae_search.services.limits.words import limit_lines
from vae_search.services.payloads import Facts
from vae_search.services.warm_start.words import warm_lines
from vae_search.store.ledger.logs import log_lines

router = APIRouter(include_in_schema=False)

TRIALS_OF_A_PAGE = 25
LOG_LINES = 500
RUNNING_SHOWN = 64


@router.get("/sweeps/{sweep}")
@opened_to(Role.VIEWER)
def show_sweep(
    service: InService,
    request: Request,
    sweep: SweepName,
    cursor: Annotated[str, Query(max_length=10, pattern=r"^\d*$")] = "",
    order: Annotated[str, Query(pattern=ORDER_PATTERN)] = "trial",
    descending: bool = False,
    state: Literal["", "COMPLETE", "PRUNED", "FAIL"] = "",
    where: Annotated[str, Query(max_length=10_000)] = "",
    said: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Show a sweep; the query chooses and orders its trials, as in the API."""
    asked: dict[str, object] = {
        "order": None if order == "trial" else order,
        "descending": "true" if descending else None,
        "state": state,
        "where": where.strip(),
    }
    return sweep_page(service, request, sweep, asked, cursor=cursor, notice=SAID.get(said))


@router.get("/sweeps/{sweep}/figures.json")
@opened_to(Role.VIEWER)
def show_figures(service: InService, sweep: SweepName, if_none_match: Annotated[str, Header()] = "") -> Response:
    """Fetch what plotly.js draws on the page of a sweep."""
    digest = service.digests.digest(service.sweeps.facts(sweep))
    headers = {"ETag": digest.etag, "Cache-Control": "private, no-cache"}
    if if_none_match == digest.etag:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(digest.figures, media_type="application/json", headers=headers)


@router.get("/sweeps/{sweep}/logs")
@opened_to(Role.VIEWER)
def show_logs(
    service: InService, request: Request, sweep: SweepName, trial: Annotated[TrialNumber | None, Query()] = None
) -> Response:
    """Show the last lines of a sweep's logs, or those that name a trial."""
    service.sweeps.facts(sweep)
    try:
        lines = [*deque(log_lines(service.store, sweep, trial=trial), maxlen=LOG_LINES)]
        missing = None
    except NotFound as error:
        lines, missing = [], str(error)
    twin = address(f"/api/v1/sweeps/{quote(sweep, safe='')}/logs", trial=trial)
    return render(
        request,
        "logs.html",
        here="home",
        twin=twin,
        sweep=sweep,
        trial=trial,
        lines=lines,
        missing=missing,
        most=LOG_LINES,
    )


def sweep_page(
    service: Service,
    request: Request,
    sweep: str,
    asked: Mapping[str, object],
    *,
    cursor: str = "",
    notice: str | None = None,
    trouble: Sequence[str] = (),
    given: Mapping[str, str] | None = None,
    status: int = HTTPStatus.OK,
) -> Response:
    """Make the page of a sweep.

    Args:
        asked: choice and order of the trials, as the query has them.
        notice: sentence on what has just been done.
        trouble: lines on why a form was refused.
        given: fields of that form, to be mended.
    """
    found = service.sweeps.standing(sweep)
    facts = found.facts
    path = f"/sweeps/{quote(sweep, safe='')}"
    item = next((item for item in reversed(service.queued().items) if item.sweep == sweep), None)
    in_flight = service.running.read(facts) if facts["in_flight"] else None
    trials, refused = _trials(service, sweep, asked, cursor)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if refused and status == HTTPStatus.OK else status

    def ordered_by(column: str, descending: bool) -> str:
        changed = {"order": None if column == "trial" else column, "descending": "true" if descending else None}
        return address(path, **{**asked, **changed}) + "#trials"

    following = trials["next"]
    return render(
        request,
        "sweep.html",
        status=status,
        here="home",
        stream=f"/api/v1{path}/events",
        twin=f"/api/v1{path}",
        path=path,
        facts=facts,
        digest=service.digests.digest(facts),
        remarks=[*warm_lines(facts), *limit_lines(facts)],
        queued=None if item is None else item_facts(item),
        running=[] if in_flight is None else in_flight.runs[:RUNNING_SHOWN],
        epochs=None if in_flight is None else in_flight.epochs,
        chart=None if in_flight is None else _curves(in_flight),
        trials=trials,
        metrics=[*dict.fromkeys(name for trial in trials["trials"] for name in trial if name.startswith(METRIC))],
        where_refused=refused,
        asked=asked,
        order=asked["order"] or "trial",
        descending=asked["descending"] is not None,
        ordered_by=ordered_by,
        here_address=address(path, **asked, cursor=cursor),
        first_page=address(path, **asked) + "#trials" if cursor else None,
        next_page=None if following is None else address(path, **asked, cursor=following) + "#trials",
        trials_twin=address(f"/api/v1{path}/trials", **asked),
        notice=notice,
        trouble=[*trouble],
        steering=steering_of(request.state.person, found, item, given or {}),
    )


def _curves(found: InFlight) -> Chart | None:
    """The curves of the trials in flight; confirm runs are trained for longer, and compared at no rung."""
    named = [(str(run["trial"]), run["curve"]) for run in found.runs[:RUNNING_SHOWN] if not run["confirm_run"]]
    return chart(named, best=found.best, rungs=found.rungs, epochs=found.epochs)


def _trials(service: Service, sweep: str, asked: Mapping[str, object], cursor: str) -> tuple[Facts, list[str]]:
    """One page of trials, and why a condition was refused."""
    where = str(asked["where"]) or None
    try:
        with nullcontext() if where is None else service.query_slot():
            found = trial_page(
                service.store,
                sweep,
                limit=TRIALS_OF_A_PAGE,
                after=int(cursor) if cursor else None,
                order=str(asked["order"] or "trial"),
                descending=asked["descending"] is not None,
                state=str(asked["state"]) or None,
                where=where,
                leaderboard=service.sweeps.leaderboard(sweep),
            )
    except InvalidSpec as error:
        return {"trials": (), "next": None, "total": 0}, [line.removeprefix("--where ") for line in error.problems]
    return {"trials": found.trials, "next": found.next, "total": found.total}, []
