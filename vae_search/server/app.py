"""Application of the service: routes behind the wall, and what starts and ends with it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import iter_route_contexts
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from vae_search.errors import PROBLEM_MEDIA_TYPE, VaeSearchError
from vae_search.server.answers import API, describe_answers
from vae_search.server.examples import PROBLEM
from vae_search.server.pages import login, static_files
from vae_search.server.pages.refusals import for_reader
from vae_search.server.pages.sweeps import changes, compare, fork, home, steering, sweep, trial
from vae_search.server.pages.team import audit as audit_page
from vae_search.server.pages.team import cluster as cluster_page
from vae_search.server.pages.team import models as models_page
from vae_search.server.pages.team import new_sweep as new_sweep_page
from vae_search.server.pages.team import promote as promote_page
from vae_search.server.pages.team import queue as queue_page
from vae_search.server.pages.team import sql as sql_page
from vae_search.server.pages.team import verdicts as verdicts_page
from vae_search.server.problems import MAX_ERRORS, ProblemDocument, RefusalError, problem, problem_of
from vae_search.server.routes import (
    audit,
    control,
    models,
    query,
    queue,
    sessions,
    specs,
    sweeps,
    system,
    trials,
    webhooks,
)
from vae_search.server.service import Options, Service
from vae_search.server.wall import ANYONE, Wall, declared_role
from vae_search.version import VERSION

_OF_API = (sweeps, trials, control, queue, query, specs, models, audit, webhooks, sessions)
_OF_PAGES = (home, changes, sweep, trial, steering, fork, compare, login, static_files)
_OF_TEAM_PAGES = (
    *(new_sweep_page, queue_page, models_page, promote_page, verdicts_page),
    *(sql_page, audit_page, cluster_page),
)


def create_app(options: Options) -> FastAPI:
    """Make the application; nothing is started before its lifespan begins."""
    service = Service(options)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.sweeps.begin()
        service.digests.begin()
        if options.background is not None:
            options.background.start()
        try:
            yield
        finally:
            service.watchers.end()
            service.sweeps.end()
            service.digests.end()
            await run_in_threadpool(service.promotions.end)
            if options.background is not None:
                await run_in_threadpool(options.background.stop)

    # The generated pages fetch scripts from elsewhere, and the document itself is behind the wall: see `routes/system`.
    app = FastAPI(
        title="vae-search",
        version=VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        description="Hyperparameter search for variational autoencoders, as a service.",
    )
    app.state.service = service
    api = APIRouter(prefix=API)
    for part in _OF_API:
        api.include_router(part.router)
    app.include_router(api)
    app.include_router(system.router)
    for page in (*_OF_PAGES, *_OF_TEAM_PAGES):
        app.include_router(page.router)
    app.add_middleware(
        Wall,
        routes=lambda: app.router.routes,
        tokens=options.tokens,
        local=service.local,
        hosts=options.hosts,
        metrics=service.metrics,
        shown=for_reader,
    )
    app.add_exception_handler(VaeSearchError, _told(problem_of))
    app.add_exception_handler(RefusalError, _told(_of_refusal))
    app.add_exception_handler(RequestValidationError, _told(_of_request))
    app.add_exception_handler(HTTPException, _told(_of_http))
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    return app


def _told(make: Callable[[Any], ProblemDocument]) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(request: Request, error: Exception) -> Response:
        return for_reader(request.scope, make(error))

    return handle


def _of_refusal(error: RefusalError) -> ProblemDocument:
    return problem(error.status, error.detail, headers=error.headers)


def _of_http(error: HTTPException) -> ProblemDocument:
    return problem(error.status_code, str(error.detail), headers=error.headers)


def _of_request(error: RequestValidationError) -> ProblemDocument:
    """The problem of parameters or a body that are not as the documentation says; what was sent is not repeated."""
    found = [
        {"line": None, "key": ".".join(map(str, each["loc"])), "detail": each["msg"]}
        for each in error.errors()[:MAX_ERRORS]
    ]
    lines = [f"{each['key']}: {each['detail']}." for each in found[:3]]
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "\n".join(lines), kind="invalid-request", exit_code=2, errors=found)


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document: with the role that each operation needs, and problem documents for what goes wrong."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, openapi_version="3.1.0"
    )
    document.setdefault("components", {})["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "cookie": {"type": "apiKey", "in": "cookie", "name": "vae_search"},
    }
    document["components"].setdefault("schemas", {})["Problem"] = {
        "type": "object",
        "description": "RFC 9457",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "One to three lines."},
            "exit_code": {"type": "integer", "description": "Of the command that would have met the same."},
            "errors": {"type": "array", "items": {"type": "object"}, "description": "Every mistake, with its line."},
        },
    }
    describe_answers(document)
    refused = {
        "description": "Refused, or in trouble",
        "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": PROBLEM}},
    }
    for route in iter_route_contexts(app.router.routes):
        operations = document["paths"].get(route.path_format, {})
        role = declared_role(route)
        for method in route.methods or ():
            if (operation := operations.get(method.lower())) is not None:
                operation["x-role"] = str(role)
                operation["security"] = [] if role == ANYONE else [{"bearer": []}, {"cookie": []}]
                operation["responses"].pop("422", None)
                operation["responses"]["default"] = refused
    app.openapi_schema = document
    return document
