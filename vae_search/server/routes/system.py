"""The service itself: whether it lives and is ready, its figures, its documentation."""

from collections import Counter
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from vae_search.errors import VaeSearchError
from vae_search.queue.state import ItemState
from vae_search.server.metrics import MEDIA_TYPE
from vae_search.server.service import PULSES, ByPerson, InService, Service
from vae_search.server.tokens import Role
from vae_search.server.wall import ANYONE, opened_to
from vae_search.services.browsing.cluster_facts import cluster_facts
from vae_search.services.browsing.sweep_pages import sweep_page
from vae_search.version import VERSION

router = APIRouter(tags=["system"])

MOST_SWEEPS = 100_000  # all of them


@router.get("/healthz", response_class=PlainTextResponse)
@opened_to(ANYONE)
def alive(service: InService) -> PlainTextResponse:
    """Say that this process answers, and that its dispatcher has not failed; 503 if it has: start the process anew."""
    background = service.options.background
    if background is not None and not background.is_alive:
        return PlainTextResponse("the dispatcher of this process has failed\n", HTTPStatus.SERVICE_UNAVAILABLE)
    return PlainTextResponse("ok\n")


@router.get("/readyz")
@opened_to(ANYONE)
def ready(service: InService) -> JSONResponse:
    """Say whether requests can be answered: 503 if the store cannot be read.

    However often it is asked, one small file is read every few seconds: the dispatcher's heartbeat. A dispatcher that
    is silent or not there is named, and keeps nobody from reading and submitting: what is submitted waits in the store
    until one leads.
    """
    try:
        facts = {"store": "readable", "dispatcher": service.pulse.state()}
    except VaeSearchError:  # what is wrong is for the log, not for anyone
        facts = {"store": "unreadable", "dispatcher": "unknown"}
    is_ready = facts["store"] == "readable"
    return JSONResponse(facts, status_code=HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE)


@router.get("/metrics", response_class=PlainTextResponse)
@opened_to(Role.VIEWER)
def metrics(service: InService) -> Response:
    """Show the figures of the store and of this process, for Prometheus."""
    found = sweep_page(service.sweeps, limit=MOST_SWEEPS).sweeps
    items = Counter(item.state.value for item in service.queued().items)
    pulse = service.pulse.state()
    hooks = service.hooks()
    finished = sum(facts["finished"] for facts in found)
    gauges: dict[str, tuple[str, dict[str, float]]] = {
        "vae_search_sweeps": ("Sweeps of the store.", dict(Counter(facts["state"] for facts in found))),
        "vae_search_queue_items": ("Sweeps in the queue.", {state.value: items[state.value] for state in ItemState}),
        "vae_search_dispatcher": (
            "1 for how the dispatcher of the queue is.",
            {state: float(state == pulse) for state in PULSES},
        ),
        "vae_search_webhook_deliveries": (
            "Deliveries of webhooks that have not arrived: they wait, or were given up.",
            {
                "waiting": sum(len(hook["waiting"]) for hook in hooks),
                "dead": sum(len(hook["dead"]) + hook["dropped"] for hook in hooks),
            },
        ),
        "vae_search_trials_finished": ("Trials that have ended.", {"": finished}),
        "vae_search_watched_sweeps": ("Sweeps with a live stream.", {"": service.watchers.watched}),
    }
    return Response(service.metrics.text(gauges), media_type=MEDIA_TYPE)


@router.get("/openapi.json")
@opened_to(Role.VIEWER)
def openapi(request: Request) -> dict[str, Any]:
    """Show the documentation of the API (OpenAPI 3.1)."""
    found: dict[str, Any] = request.app.openapi()
    return found


@router.get("/api/v1/me")
@opened_to(Role.VIEWER)
def me(person: ByPerson) -> dict[str, Any]:
    """Show whose token this is, and what it may do."""
    return {"name": person.name, "role": person.role.value, "version": VERSION}


@router.get("/api/v1/cluster")
@opened_to(Role.VIEWER)
def cluster(service: InService) -> dict[str, Any]:
    """Show the machines that sweeps run on, and how many trials of each running sweep they hold at once."""
    return machines(service)


def machines(service: Service) -> dict[str, Any]:
    """Facts of the cluster, or of this machine, for the sweeps that run."""
    running = sweep_page(service.sweeps, limit=MOST_SWEEPS, state="running").sweeps
    specs = {facts["sweep"]: service.sweeps.standing(facts["sweep"]).spec for facts in running}
    return cluster_facts(service.options.address, {name: spec.resources for name, spec in specs.items()})
