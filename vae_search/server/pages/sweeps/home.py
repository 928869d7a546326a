"""Home page: every sweep of the store with its state, best value and time left, and what waits in the queue."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from vae_search.server.pages.forms import address
from vae_search.server.pages.rendering import render
from vae_search.server.pages.sweeps.drawings import sparkline
from vae_search.server.service import InService
from vae_search.server.tokens import Role
from vae_search.server.wall import opened_to
from vae_search.services.browsing.queue_facts import item_facts
from vae_search.services.browsing.sweep_pages import sweep_page

router = APIRouter(include_in_schema=False)

SWEEPS_OF_A_PAGE = 50
WAITING_SHOWN = 20  # items of the queue; its own page has all


@router.get("/")
@opened_to(Role.VIEWER)
def show_home(
    service: InService,
    request: Request,
    cursor: Annotated[str, Query(max_length=200)] = "",
    state: Literal["", "running", "finished", "interrupted"] = "",
    name: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Show the sweeps of the store, by name, and the items of the queue that no sweep of the store belongs to yet."""
    found = sweep_page(
        service.sweeps, limit=SWEEPS_OF_A_PAGE, after=cursor or None, state=state or None, name=name.strip() or None
    )
    open_items = [item for item in service.queued().items if not item.state.is_final]
    queued = {item.sweep: item_facts(item) for item in open_items}
    begun = {*service.sweeps.names()}
    waiting = [item_facts(item) for item in open_items if item.sweep not in begun]
    asked = {"state": state, "name": name}
    return render(
        request,
        "home.html",
        here="home",
        stream="/events",
        twin=address("/api/v1/sweeps", state=state),
        found=found,
        sparks={facts["sweep"]: sparkline(facts["best_so_far"], until=facts["finished"]) for facts in found.sweeps},
        queued=queued,
        waiting=waiting[:WAITING_SHOWN],
        waiting_total=len(waiting),
        dispatcher=service.pulse.state(),
        asked=asked,
        cursor=cursor,
        here_address=address("/", **asked, cursor=cursor),
        first_page=address("/", **asked),
        next_page=None if found.next is None else address("/", **asked, cursor=found.next),
    )
