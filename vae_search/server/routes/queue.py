"""The queue: submit a sweep, see what waits, and give orders about it."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from vae_search.errors import NotFound
from vae_search.queue.entries import PRIORITIES, QueueAction
from vae_search.queue.state import QueueItem
from vae_search.server.examples import SPEC_BODY
from vae_search.server.routes.parameters import ItemNumber
from vae_search.server.routes.sweeps import check_owner, owner_of
from vae_search.server.service import ByPerson, InService, Service
from vae_search.server.submissions import checked_spec
from vae_search.server.tokens import Person, Role
from vae_search.server.wall import opened_to
from vae_search.services.browsing.queue_facts import item_facts, queue_facts
from vae_search.services.queue import orders
from vae_search.store.sweeps import sweep_record

router = APIRouter(tags=["queue"])

Priority = Annotated[int, Field(description="Higher ones run first.", ge=PRIORITIES[0], le=PRIORITIES[-1])]


class Reason(BaseModel):
    """Reason of an order, for the log."""

    model_config = ConfigDict(extra="forbid")
    reason: str | None = Field(default=None, max_length=500, description="Why, in your words.")


class Place(Reason):
    """Place in the queue."""

    before: int | None = Field(default=None, ge=1, lt=2**31, description="The item to stand before; none: last.")


class NewPriority(Reason):
    """Priority of an item."""

    priority: Priority


GivenReason = Annotated[Reason | None, Body(openapi_examples={"why": {"value": {"reason": "the cluster is full"}}})]


async def body_of(request: Request) -> bytes:
    """The body, which the wall has bounded."""
    return await request.body()


SpecBody = Annotated[bytes, Depends(body_of)]


@router.post("/sweeps", status_code=HTTPStatus.CREATED, openapi_extra=SPEC_BODY)
@opened_to(Role.SUBMITTER)
def submit(
    service: InService,
    person: ByPerson,
    body: SpecBody,
    response: Response,
    priority: Annotated[int, Query(description="Higher ones run first.", ge=PRIORITIES[0], le=PRIORITIES[-1])] = 0,
    idempotency_key: Annotated[
        str | None,
        Header(description="Your own mark: the same order again is the same item.", min_length=1, max_length=200),
    ] = None,
) -> dict[str, Any]:
    """Queue a sweep. The body is the spec, in YAML or JSON; all its mistakes are told at once, with their lines."""
    item = queue_sweep(service, person, body, priority=priority, idempotency_key=idempotency_key)
    response.headers["Location"] = f"/api/v1/queue/{item.number}"
    return item_facts(item)


@router.get("/queue")
@opened_to(Role.VIEWER)
def list_queue(
    service: InService,
    everything: Annotated[bool, Query(alias="all", description="Also what is done or cancelled.")] = False,
) -> dict[str, Any]:
    """List the queue in its order; higher priorities run first, and owners take turns."""
    state = service.queued()
    facts = queue_facts(state)
    if not everything:
        facts["items"] = [item_facts(item) for item in state.items if not item.state.is_final]
    return facts


@router.get("/queue/{item}")
@opened_to(Role.VIEWER)
def show_item(service: InService, item: ItemNumber) -> dict[str, Any]:
    """Show an item of the queue, with the spec as it was submitted."""
    found = service.queued().item(item)
    if found is None:
        raise NotFound(f"queue: there is no item {item}.")
    return item_facts(found) | {"spec": found.spec}


@router.post("/queue/{item}:move")
@opened_to(Role.SUBMITTER)
def move(
    service: InService,
    person: ByPerson,
    item: ItemNumber,
    place: Annotated[Place, Body(openapi_examples={"last": {"value": {"before": None}}})],
) -> dict[str, Any]:
    """Put an item before another one, or last."""
    return order(service, person, QueueAction.MOVE, item, before=place.before, reason=place.reason)


@router.post("/queue/{item}:prioritize")
@opened_to(Role.SUBMITTER)
def prioritize(
    service: InService,
    person: ByPerson,
    item: ItemNumber,
    wanted: Annotated[NewPriority, Body(openapi_examples={"soon": {"value": {"priority": 10}}})],
) -> dict[str, Any]:
    """Give an item another priority."""
    return order(service, person, QueueAction.PRIORITIZE, item, priority=wanted.priority, reason=wanted.reason)


@router.post("/queue/{item}:hold")
@opened_to(Role.SUBMITTER)
def hold(service: InService, person: ByPerson, item: ItemNumber, why: GivenReason = None) -> dict[str, Any]:
    """Keep an item from running; one that runs is stopped and saves its epochs."""
    return order(service, person, QueueAction.HOLD, item, reason=_reason(why))


@router.post("/queue/{item}:release")
@opened_to(Role.SUBMITTER)
def release(service: InService, person: ByPerson, item: ItemNumber, why: GivenReason = None) -> dict[str, Any]:
    """Let an item run again that was held, or parked after it failed."""
    return order(service, person, QueueAction.RELEASE, item, reason=_reason(why))


@router.post("/queue/{item}:cancel")
@opened_to(Role.SUBMITTER)
def cancel(service: InService, person: ByPerson, item: ItemNumber, why: GivenReason = None) -> dict[str, Any]:
    """Never run an item again; what it has stored stays."""
    return order(service, person, QueueAction.CANCEL, item, reason=_reason(why))


def _reason(why: Reason | None) -> str | None:
    return None if why is None else why.reason


def queue_sweep(
    service: Service, person: Person, content: bytes, *, priority: int, idempotency_key: str | None
) -> QueueItem:
    """Queue what a person has sent; the same order again, by its key, is the same item.

    Raises:
        InvalidSpec: The spec is wrong, or names what it may not; one line for each mistake.
        Conflict: Its sweep is in the queue already, or was begun with another spec.
        RefusalError: Its sweep belongs to another.
    """
    spec, text = checked_spec(content, service.options.roots)
    orders.check_may_run(service.store, spec)
    if sweep_record.find_stored(service.store, spec.name) is not None:
        check_owner(person, owner_of(service, spec.name))
    with service.queue() as queue:
        return queue.submit(
            text, sweep=spec.name, actor=person.name, priority=priority, idempotency_key=idempotency_key
        )


def order(service: Service, person: Person, action: QueueAction, item: int, **what: object) -> dict[str, Any]:
    """Give an order about an item, as its owner or an approver; the item afterwards.

    Raises:
        RefusalError: It belongs to another.
        NotFound, Conflict: There is no such item, or it is over.
    """
    with service.queue() as queue:
        present = queue.state().item(item)
        if present is not None:
            check_owner(person, present.owner)
        return item_facts(queue.order(action, item, actor=person.name, **what))
