"""Pages of the queue: its order, and orders about an item that say what will happen before they are given."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from vae_search.errors import InvalidSpec, NotFound
from vae_search.queue.entries import PRIORITIES, QueueAction
from vae_search.queue.state import ItemState, QueueItem, QueueState
from vae_search.server.pages.forms import Form, SentForm, see
from vae_search.server.pages.rendering import render
from vae_search.server.routes.parameters import ItemNumber
from vae_search.server.routes.queue import order
from vae_search.server.service import ByPerson, InService, Service
from vae_search.server.tokens import Person, Role
from vae_search.server.wall import opened_to
from vae_search.services.browsing.queue_facts import item_facts
from vae_search.store.sweeps import sweep_record

router = APIRouter(include_in_schema=False)

MOST_OVER = 100  # of the items that are over, the newest first
DONE = {
    "submit": "The sweep is in the queue.",
    "fork": "The fork is in the queue, with what it has borrowed.",
    "up": "Moved up.",
    "down": "Moved down.",
    "prioritize": "The priority is changed.",
    "hold": "Held.",
    "release": "Released.",
    "cancel": "Cancelled.",
}


@router.get("/queue")
@opened_to(Role.VIEWER)
def show_queue(
    request: Request,
    service: InService,
    person: ByPerson,
    everything: Annotated[bool, Query(alias="all")] = False,
    done: Annotated[str | None, Query(max_length=20)] = None,
) -> Response:
    """Show the queue in its order, and below what is over."""
    state = _state(service)
    going = [item for item in state.items if not item.state.is_final]
    over = [item for item in reversed(state.items) if item.state.is_final]
    return render(
        request,
        "team/queue.html",
        here="queue",
        stream="/events",
        twin="/api/v1/queue",
        items=[_shown(item, person) for item in going],
        over=[_shown(item, person) for item in over[:MOST_OVER]] if everything else [],
        over_count=len(over),
        everything=everything,
        dispatcher=service.pulse.state(),
        done=DONE.get(done or ""),
    )


@router.get("/queue/{item}")
@opened_to(Role.VIEWER)
def show_item(
    request: Request,
    service: InService,
    person: ByPerson,
    item: ItemNumber,
    done: Annotated[str | None, Query(max_length=20)] = None,
) -> Response:
    """Show an item: its spec, its attempts, and what each order would do."""
    state = _state(service)
    found = state.item(item)
    if found is None:
        raise NotFound(f"queue: there is no item {item}.")
    has_begun = sweep_record.find(service.store, found.sweep) is not None
    return render(
        request,
        "team/queue_item.html",
        here="queue",
        stream="/events",
        twin=f"/api/v1/queue/{item}",
        item=_shown(found, person),
        attempts=found.attempts,
        spec=found.spec,
        before=_waiting_before(state, found),
        has_begun=has_begun,
        consequences=_consequences(found),
        priorities=PRIORITIES,
        done=DONE.get(done or ""),
    )


@router.post("/queue/{item}")
@opened_to(Role.SUBMITTER)
def give_order(service: InService, person: ByPerson, item: ItemNumber, form: SentForm) -> Response:
    """Carry out the order whose button was pressed."""
    wanted, reason = form.text("order", longest=20) or "", form.text("reason")
    if wanted in ("up", "down"):
        _move(service, person, item, is_up=wanted == "up", reason=reason)
    elif wanted == "prioritize":
        order(service, person, QueueAction.PRIORITIZE, item, priority=_priority(form), reason=reason)
    elif wanted in (QueueAction.HOLD, QueueAction.RELEASE, QueueAction.CANCEL):
        order(service, person, QueueAction(wanted), item, reason=reason)
    else:
        raise InvalidSpec(f"order: must be one of {', '.join(DONE)}.")
    return see("/queue" if form.text("from") == "queue" else f"/queue/{item}", done=wanted)


def _move(service: Service, person: Person, number: int, *, is_up: bool, reason: str | None) -> None:
    """Put an item one place higher or lower among those that are not over."""
    going = [item.number for item in _state(service).items if not item.state.is_final]
    if number not in going:
        raise NotFound(f"queue: item {number} is not there, or is over.")
    place = going.index(number)
    if (place == 0) if is_up else (place == len(going) - 1):
        return
    before = going[place - 1] if is_up else next(iter(going[place + 2 :]), None)
    order(service, person, QueueAction.MOVE, number, before=before, reason=reason)


def _priority(form: Form) -> int:
    found = form.whole("priority")
    if found is None or found not in PRIORITIES:
        raise InvalidSpec(f"priority: must be a whole number from {PRIORITIES[0]} to {PRIORITIES[-1]}.")
    return found


def _state(service: Service) -> QueueState:
    return service.queued()


def _shown(item: QueueItem, person: Person) -> dict[str, Any]:
    """An item's facts, whether this person may give orders about it, and why it stands as it does."""
    last = item.attempts[-1] if item.attempts else None
    reason = item.parked or (None if last is None else last.reason)
    may = person.role.reaches(Role.SUBMITTER) and (person.name == item.owner or person.role.reaches(Role.APPROVER))
    return item_facts(item) | {
        "is_over": item.state.is_final,
        "may_order": may and not item.state.is_final,
        "is_unwanted": item.is_unwanted,
        "reason": reason,
        "can_hold": item.wanted is ItemState.WAITING and item.parked is None,
        "can_release": item.wanted is ItemState.HELD or item.parked is not None,
    }


def _waiting_before(state: QueueState, item: QueueItem) -> int:
    """Items of the same or a higher priority that stand before one that waits."""
    if item.state is not ItemState.WAITING:
        return 0
    place = state.items.index(item)
    return sum(
        each.state in (ItemState.WAITING, ItemState.RUNNING)
        and (each.priority > item.priority or (each.priority == item.priority and position < place))
        for position, each in enumerate(state.items)
        if each is not item
    )


def _consequences(item: QueueItem) -> dict[str, str]:
    """Sentences on what each order would do to an item as it stands."""
    if item.has_driver:
        hold = "Its driver is asked to stop; running trials save their epochs, and go on after a release."
        cancel = "Its driver is stopped, and it never runs again. The trials that have ended stay in the store."
    else:
        hold = "It keeps its place, and does not start until it is released."
        cancel = "It never runs. What it may have stored already stays in the store."
    release = "It may start again as soon as its turn comes."
    if item.parked is not None:
        release = "It is tried once more, although it was parked. Mend the cause first, or it will be parked again."
    return {"hold": hold, "release": release, "cancel": cancel}
