"""Home page: the sweeps of the store."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from vae_search.server.pages.rendering import render
from vae_search.server.service import InService
from vae_search.server.tokens import Role
from vae_search.server.wall import opened_to
from vae_search.services.browsing.sweep_pages import sweep_page

router = APIRouter(include_in_schema=False)

SWEEPS_OF_A_PAGE = 50


@router.get("/")
@opened_to(Role.VIEWER)
def show_home(
    service: InService,
    request: Request,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    state: Annotated[Literal["running", "finished", "interrupted"] | None, Query()] = None,
) -> Response:
    """Show the sweeps of the store, by name."""
    found = sweep_page(service.sweeps, limit=SWEEPS_OF_A_PAGE, after=cursor, state=state)
    return render(request, "home.html", here="home", twin="/api/v1/sweeps", found=found)
