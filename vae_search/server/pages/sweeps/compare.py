"""Page of a comparison: the best configs of several sweeps side by side, or why they have no common measure."""

from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from vae_search.errors import VaeSearchError
from vae_search.server.pages.forms import SUGGESTED_SWEEPS
from vae_search.server.pages.rendering import render
from vae_search.server.problems import status_of
from vae_search.server.service import InService
from vae_search.server.tokens import Role
from vae_search.server.wall import opened_to
from vae_search.services import comparison
from vae_search.services.payloads import Facts, comparison_facts

router = APIRouter(include_in_schema=False)

MOST_SWEEPS = 20


@router.get("/compare")
@opened_to(Role.VIEWER)
def show_comparison(
    service: InService,
    request: Request,
    sweep: Annotated[list[str] | None, Query(max_length=MOST_SWEEPS)] = None,
) -> Response:
    """Compare sweeps; with fewer than two, ask for more."""
    names = [*dict.fromkeys(name.strip() for name in sweep or () if name.strip())]
    compared: Facts | None = None
    trouble: list[str] = []
    status = HTTPStatus.OK
    if len(names) > 1:
        try:
            compared = comparison_facts(comparison.compare(service.store, names, known=service.sweeps.known))
        except VaeSearchError as error:
            trouble, status = str(error).splitlines(), status_of(error)
    params = sorted({name for each in compared["sweeps"] for name in each["params"]}) if compared else []
    query = urlencode([("sweep", name) for name in names])
    return render(
        request,
        "compare.html",
        status=status,
        here="home",
        twin=None if compared is None else f"/api/v1/compare?{query}",
        names=names,
        sweeps=service.sweeps.names()[:SUGGESTED_SWEEPS],
        compared=compared,
        params=params,
        trouble=trouble,
    )
