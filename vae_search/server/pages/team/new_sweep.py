"""Page of a new sweep: a spec is written, checked line by line, estimated and submitted; it needs no script."""

import re
import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from vae_search.errors import InvalidSpec, NotFound, VaeSearchError
from vae_search.queue.entries import PRIORITIES
from vae_search.server.child_processes.estimates import estimated
from vae_search.server.pages.forms import LONGEST_FIELD, Form, SentForm, see
from vae_search.server.pages.rendering import render
from vae_search.server.problems import RefusalError, spec_errors, status_of
from vae_search.server.routes.queue import SpecBody, queue_sweep
from vae_search.server.service import ByPerson, InService, Service
from vae_search.server.submissions import checked_spec
from vae_search.server.tokens import Person, Role
from vae_search.server.wall import opened_to
from vae_search.spec.template import STARTERS
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import sweep_record

router = APIRouter(include_in_schema=False)

SHOWN_ERRORS = 50
LONGEST_STEM = 55  # characters of a name that a number is added to
NAME_LINE = re.compile(r"^(name:[ ]*)([a-z0-9][a-z0-9-]*)([ ]*(?:#.*)?)$", re.MULTILINE)


@router.get("/new")
@opened_to(Role.VIEWER)
def show_editor(
    request: Request,
    service: InService,
    template: Annotated[str | None, Query(max_length=200)] = None,
    like: Annotated[str | None, Query(max_length=200, description="A sweep whose spec to start from.")] = None,
) -> Response:
    """Show the editor: with a template, the spec of a sweep, or the first template."""
    if like is not None:
        sweep_record.read_stored(service.store, like)
        spec = service.store.read(SweepPaths(like).spec).decode(errors="replace")
        spec = _under_free_name(service, spec)
    elif template is None:
        spec = _under_free_name(service, next(iter(STARTERS.values())))
    elif template in STARTERS:
        spec = _under_free_name(service, STARTERS[template])
    else:
        raise NotFound(f"templates: there is none of this name. There are: {'; '.join(STARTERS)}.")
    return _page(request, spec)


@router.post("/new/check")
@opened_to(Role.VIEWER)
def check(service: InService, body: SpecBody) -> JSONResponse:
    """Check a spec while it is written; what is wrong with it is no error of the request."""
    return JSONResponse({"errors": _errors(service, body)})


@router.post("/new")
@opened_to(Role.SUBMITTER)
def submit(request: Request, service: InService, person: ByPerson, form: SentForm) -> Response:
    """Check, estimate or submit what was written, by the button that was pressed."""
    written = form.fields.get("spec", "").replace("\r\n", "\n")  # browsers send lines so
    priority, key = form.fields.get("priority", "0"), form.text("key", longest=100)
    more: dict[str, Any] = {"priority": priority, "key": key}
    content = written.encode()
    action = form.text("do") or "check"
    if action == "check":
        return _page(request, written, errors=_errors(service, content), is_checked=True, **more)
    try:
        if len(written) > LONGEST_FIELD:
            raise InvalidSpec(f"A page takes specs of {LONGEST_FIELD:,} characters; send a longer one by the API.")
        if action == "estimate":
            return _page(request, written, estimate=_estimate(service, content), is_checked=True, **more)
        item = _queued(service, person, content, form)
    except InvalidSpec as error:
        found = spec_errors(error.every)[:SHOWN_ERRORS]
        return _page(request, written, status=status_of(error), errors=found, is_checked=True, **more)
    except VaeSearchError as error:
        return _page(request, written, status=status_of(error), trouble=str(error).splitlines(), **more)
    except RefusalError as refusal:
        return _page(request, written, status=refusal.status, trouble=[refusal.detail], **more)
    return see(f"/queue/{item}", done="submit")


def _queued(service: Service, person: Person, content: bytes, form: Form) -> int:
    priority = form.whole("priority") or 0
    if priority not in PRIORITIES:
        raise InvalidSpec(f"priority: must be a whole number from {PRIORITIES[0]} to {PRIORITIES[-1]}.")
    key = form.text("key", longest=100)
    return queue_sweep(service, person, content, priority=priority, idempotency_key=key).number


def _estimate(service: Service, content: bytes) -> dict[str, Any]:
    _, text = checked_spec(content, service.options.roots)
    with service.query_slot():
        return estimated(text, location=service.options.location)


def _errors(service: Service, content: bytes) -> list[dict[str, Any]]:
    try:
        checked_spec(content, service.options.roots)
    except InvalidSpec as error:
        return spec_errors(error.every)[:SHOWN_ERRORS]
    return []


def free_name(service: Service, wanted: str) -> str:
    """The name, or it with a number, that no sweep of the store or of the queue has."""
    taken = {*service.sweeps.names(), *(item.sweep for item in service.queued().items)}
    if wanted not in taken:
        return wanted
    stem = wanted[:LONGEST_STEM].rstrip("-")
    return next(name for number in range(2, len(taken) + 3) if (name := f"{stem}-{number}") not in taken)


def _under_free_name(service: Service, spec: str) -> str:
    """A spec to start from, whose name is not another sweep's; nothing else in it changes."""
    return NAME_LINE.sub(lambda found: f"{found[1]}{free_name(service, found[2])}{found[3]}", spec, count=1)


def at_their_lines(errors: list[dict[str, Any]], spec: str) -> list[dict[str, Any]]:
    """Mistakes, each with the text of its line."""
    lines = spec.splitlines()
    return [
        each | {"text": lines[each["line"] - 1] if each["line"] and each["line"] <= len(lines) else None}
        for each in errors
    ]


def _page(
    request: Request,
    spec: str,
    *,
    status: int = 200,
    errors: list[dict[str, Any]] | None = None,
    is_checked: bool = False,
    estimate: dict[str, Any] | None = None,
    trouble: list[str] | None = None,
    priority: str = "0",
    key: str | None = None,
) -> Response:
    return render(
        request,
        "team/new_sweep.html",
        status=status,
        here="new",
        twin="/api/v1/templates",
        spec=spec,
        errors=at_their_lines(errors or [], spec),
        words=None,
        is_checked=is_checked,
        estimate=estimate,
        trouble=trouble or [],
        priority=priority,
        key=key or secrets.token_hex(16),
        starters=list(STARTERS),
        priorities=PRIORITIES,
    )
