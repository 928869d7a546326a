"""Cluster page: the machines that sweeps run on, and how many trials of each running sweep they hold."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from vae_search.server.pages.rendering import render
from vae_search.server.routes.system import machines
from vae_search.server.service import InService
from vae_search.server.tokens import Role
from vae_search.server.wall import opened_to

router = APIRouter(include_in_schema=False)


@router.get("/cluster")
@opened_to(Role.VIEWER)
def show_cluster(request: Request, service: InService) -> Response:
    """Show the nodes of the cluster, or this machine."""
    facts = machines(service)
    return render(
        request,
        "team/cluster.html",
        here="cluster",
        twin="/api/v1/cluster",
        facts=facts,
        trouble=(facts["trouble"] or "").splitlines(),
        dispatcher=service.pulse.state(),
    )
