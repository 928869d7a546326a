"""Sweeps: all of a store, one, its best configs, its events and logs, and the request that it stops."""

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from http import HTTPStatus
from itertools import chain, islice
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from vae_search.server.event_streams import stream
from vae_search.server.problems import RefusalError
from vae_search.server.routes.parameters import Limit, SweepName, TrialNumber, Where, page
from vae_search.server.service import ByPerson, InService, Service, WhileAdmitted
from vae_search.server.tokens import Person, Role
from vae_search.server.wall import opened_to
from vae_search.server.watchers import Listener
from vae_search.services import comparison, queries, sweep_status
from vae_search.services.browsing.queue_facts import item_facts
from vae_search.services.browsing.sweep_pages import sweep_page
from vae_search.services.control.standing import detail_facts
from vae_search.services.payloads import best_facts, comparison_facts
from vae_search.services.queue import orders
from vae_search.store.ledger.logs import log_lines
from vae_search.store.sweeps.folders import sweep_folders

router = APIRouter(tags=["sweeps"])

MOST_LOG_LINES = 10_000
MOST_RANKED = 100_000  # trials of one answer
RANKED_FREELY = 500  # more take the place of a query


@router.get("/sweeps")
@opened_to(Role.VIEWER)
def list_sweeps(
    service: InService,
    request: Request,
    limit: Limit = 50,
    cursor: Annotated[str | None, Query(description="From `next` of the page before.", max_length=200)] = None,
    state: Annotated[Literal["running", "finished", "interrupted"] | None, Query(description="Only these.")] = None,
    remarks: Annotated[bool, Query(description="Also sentences on folders that are no sweep.")] = False,
) -> dict[str, Any]:
    """List the sweeps of the store by name, each with its state, counts and best value."""
    found = sweep_page(service.sweeps, limit=limit, after=cursor, state=state)
    told = [*sweep_status.remarks(sweep_folders(service.store))] if remarks and found.next is None else []
    return page(
        request,
        [*found.sweeps],
        next_cursor=found.next,
        total=found.total,
        troubles=[*found.troubles],
        remarks=told,
    )


@router.get("/sweeps/{sweep}")
@opened_to(Role.VIEWER)
def show_sweep(
    service: InService,
    sweep: SweepName,
    details: Annotated[
        bool, Query(description="Also its size, its settings, the commands to it, and its model; slower.")
    ] = False,
) -> dict[str, Any]:
    """Show how a sweep stands, with its spec as it is run now, or will be, and its item in the queue."""
    found = service.sweeps.standing(sweep)
    item = next((item for item in reversed(service.queued().items) if item.sweep == sweep), None)
    queued = None if item is None else item_facts(item)
    more = detail_facts(service.store, sweep) if details else {}
    return found.facts | more | {"spec": found.spec.to_json(), "queued": queued}


@router.get("/sweeps/{sweep}/best")
@opened_to(Role.VIEWER)
def best(
    service: InService,
    sweep: SweepName,
    n: Annotated[int, Query(description="How many.", ge=1, le=MOST_RANKED)] = 5,
    by: Annotated[
        str, Query(description="objective, neg_elbo, instability, train_flops, metric_NAME.", max_length=60)
    ] = "objective",
    where: Where = None,
    pareto: Annotated[bool, Query(description="Those that no other beats in any criterion.")] = False,
    every_state: Annotated[bool, Query(alias="all", description="Pruned and failed trials as well.")] = False,
) -> dict[str, Any]:
    """Rank the completed trials of a sweep; by the objective, confirmed configs come first."""
    with nullcontext() if where is None and n <= RANKED_FREELY else service.query_slot():
        known = service.sweeps.known(sweep)
        ranking = (
            queries.pareto(service.store, sweep, count=n, where=where, known=known)
            if pareto
            else queries.best(service.store, sweep, count=n, by=by, every_state=every_state, where=where, known=known)
        )
    return best_facts(ranking)


@router.get("/compare")
@opened_to(Role.VIEWER)
def compare(
    service: InService, sweep: Annotated[list[str], Query(description="Two or more sweeps.", max_length=20)]
) -> dict[str, Any]:
    """Put the best configs of several sweeps side by side; sweeps without a common measure are refused."""
    compared = comparison.compare(service.store, sweep, known=service.sweeps.known)
    return comparison_facts(compared) | {"damaged": [*compared.damaged]}


@router.get(
    "/sweeps/{sweep}/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"example": 'event: progress\ndata: {"finished": 3}\n\n'}}}},
)
@opened_to(Role.VIEWER)
async def events(
    service: InService,
    admitted: WhileAdmitted,
    sweep: SweepName,
    last_event_id: Annotated[str | None, Header(description="The last event that was seen.", max_length=100)] = None,
) -> StreamingResponse:
    """Stream a sweep's events: `progress` at once and after every change, `trial` for each that ends, `trouble`, `end`.

    A client that comes back with `Last-Event-ID` gets what it has missed, if that is still kept. The stream ends within
    seconds of its token's revocation.
    """
    listener = Listener()
    watcher = await run_in_threadpool(service.watchers.listen, sweep, listener, last_seen=last_event_id)
    return StreamingResponse(
        stream(watcher, listener, admitted=admitted),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


@router.get("/sweeps/{sweep}/logs", response_class=PlainTextResponse)
@opened_to(Role.VIEWER)
def logs(
    service: InService,
    sweep: SweepName,
    trial: Annotated[TrialNumber | None, Query(description="Only what names it.")] = None,
    tail: Annotated[int, Query(description="The last lines.", ge=1, le=MOST_LOG_LINES)] = 1000,
    whole: Annotated[bool, Query(description="All lines instead.")] = False,
) -> Response:
    """Show the last lines of a sweep's logs, each file under a line with its name."""
    lines = log_lines(service.store, sweep, trial=trial)
    if whole:
        first = [*islice(lines, 1)]  # what is refused is refused before the answer begins
        return StreamingResponse(_blocks(chain(first, lines)), media_type="text/plain")
    return PlainTextResponse("\n".join(deque(lines, maxlen=tail)) + "\n")


@router.post("/sweeps/{sweep}:stop", status_code=HTTPStatus.ACCEPTED)
@opened_to(Role.SUBMITTER)
def stop(service: InService, person: ByPerson, sweep: SweepName) -> dict[str, Any]:
    """Stop a sweep; its workers save their epochs. One from the queue is held there, until it is released."""
    with service.queue() as queue:
        item = queue.state().of_sweep(sweep)
        if item is not None:
            check_owner(person, item.owner)
        else:
            _check_unowned(person)
        return {"sweep": sweep, "queued": orders.stop(service.store, queue, sweep, actor=person.name)}


def _blocks(lines: Iterable[str]) -> Iterator[str]:
    """Many lines at a time: each piece of an answer costs a change of threads."""
    rest = iter(lines)
    while block := [*islice(rest, 1000)]:
        yield "\n".join(block) + "\n"


def owner_of(service: Service, sweep: str) -> str | None:
    """Owner of a sweep: whoever has submitted it last, whatever has become of that; None if nobody has."""
    item = service.queued(now=True).newest_of(sweep)
    return None if item is None else item.owner


def check_owner(person: Person, owner: str | None) -> None:
    """Refuse orders about what belongs to another, but by an approver.

    Raises:
        RefusalError: They are refused.
    """
    if person.name != owner and not person.role.reaches(Role.APPROVER):
        raise RefusalError(
            HTTPStatus.FORBIDDEN,
            f"This belongs to {owner or 'nobody'}: only its owner and approvers may change it, but {person.name} is "
            f"{person.role}.",
        )


def _check_unowned(person: Person) -> None:
    """Refuse to stop a sweep that somebody runs by hand, but by an approver."""
    if not person.role.reaches(Role.APPROVER):
        raise RefusalError(
            HTTPStatus.FORBIDDEN, "This sweep does not run from the queue, so only an approver may stop it here."
        )
