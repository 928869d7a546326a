"""Page of a fork: another space or budget for a sweep that has begun, and how many of its trials fit, said first."""

import secrets
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.responses import Response

from vae_search.errors import Conflict, InvalidSpec, VaeSearchError
from vae_search.queue.entries import PRIORITIES
from vae_search.server.pages.forms import LONGEST_FIELD, SentForm, see
from vae_search.server.pages.rendering import render
from vae_search.server.pages.team.new_sweep import LONGEST_STEM, SHOWN_ERRORS, at_their_lines, free_name
from vae_search.server.problems import RefusalError, spec_errors, status_of
from vae_search.server.routes import control
from vae_search.server.routes.parameters import SweepName
from vae_search.server.routes.queue import SpecBody
from vae_search.server.service import ByPerson, InService, Service
from vae_search.server.submissions import ORIGIN, checked_spec
from vae_search.server.tokens import Role
from vae_search.server.wall import opened_to
from vae_search.services.control.forking import ForkOutlook, fork_outlook, reasons
from vae_search.spec.document import parse_yaml
from vae_search.spec.from_trial import to_yaml
from vae_search.store.control.present_spec import read_present_spec
from vae_search.store.sweeps.forks import forked_spec

router = APIRouter(include_in_schema=False, prefix="/sweeps/{sweep}/fork")


@router.get("")
@opened_to(Role.SUBMITTER)
def show_editor(service: InService, request: Request, sweep: SweepName) -> Response:
    """Show the present spec of a sweep under another name, to be changed, and how many of its trials fit it."""
    name = free_name(service, f"{sweep[:LONGEST_STEM]}-fork")
    spec = to_yaml(forked_spec(read_present_spec(service.store, sweep), name))
    return _page(service, request, sweep, spec)


@router.post("/check")
@opened_to(Role.SUBMITTER)
def check(service: InService, sweep: SweepName, body: SpecBody) -> JSONResponse:
    """Check a spec while it is written, and count the trials that fit it."""
    errors, words = _found(service, sweep, body)
    return JSONResponse({"errors": errors, "words": words})


@router.post("")
@opened_to(Role.SUBMITTER)
def fork(service: InService, request: Request, person: ByPerson, sweep: SweepName, form: SentForm) -> Response:
    """Check what was written, or queue the fork, by the button that was pressed."""
    written = form.fields.get("spec", "").replace("\r\n", "\n")  # browsers send lines so
    more: dict[str, Any] = {"priority": form.fields.get("priority", "0"), "key": form.text("key", longest=100)}
    if form.text("do") != "submit":
        return _page(service, request, sweep, written, **more)
    trouble: list[str] = []
    try:
        if len(written) > LONGEST_FIELD:
            raise InvalidSpec(f"A page takes specs of {LONGEST_FIELD:,} characters; send a longer one by the API.")
        priority = form.whole("priority") or 0
        if priority not in PRIORITIES:
            raise InvalidSpec(f"priority: must be a whole number from {PRIORITIES[0]} to {PRIORITIES[-1]}.")
        spec, _ = checked_spec(written.encode(), service.options.roots)
        wanted = control.NewFork(name=spec.name, spec=written, priority=priority)
        made = control.fork(service, person, sweep, wanted, Response(), more["key"])
    except InvalidSpec as error:
        status = status_of(error)
        trouble = [line for line in error.every if not line.startswith(ORIGIN)][:SHOWN_ERRORS]
    except VaeSearchError as error:
        status, trouble = status_of(error), str(error).splitlines()
    except RefusalError as refusal:
        status, trouble = refusal.status, [refusal.detail]
    else:
        return see(f"/queue/{made['item']}", done="fork")
    return _page(service, request, sweep, written, status=status, trouble=trouble, **more)


def _found(service: Service, sweep: str, content: bytes) -> tuple[list[dict[str, Any]], str | None]:
    """Mistakes of a fork's spec, at their lines; without any, what the fork will begin with."""
    try:
        spec, text = checked_spec(content, service.options.roots)
        document = parse_yaml(text, origin=ORIGIN)
        if spec.name == sweep:
            raise document.refusal([(("name",), "A fork needs a name of its own.")])
        with service.query_slot():
            outlook = fork_outlook(service.store, sweep, spec)
        if outlook.changes:
            keys = [change.partition(": ") for change in outlook.changes]
            told = "makes trials that are not comparable with the borrowed ones. Change it back, or run a new sweep."
            raise document.refusal([(tuple(key.split(".")), f"{change}: {told}") for key, _, change in keys])
    except InvalidSpec as error:
        return spec_errors(error.every)[:SHOWN_ERRORS], None
    except Conflict as error:  # whatever the spec says, there is no fork of this sweep
        return [{"line": None, "key": None, "detail": line} for line in str(error).splitlines()], None
    except RefusalError:  # too many count at the moment; whoever queues it is checked in any case
        return [], None
    if not outlook.borrowed:
        return [{"line": None, "key": None, "detail": _none_fits(sweep, outlook)}], None
    return [], _words(sweep, outlook)


def _words(sweep: str, outlook: ForkOutlook) -> str:
    fits = "fits" if outlook.borrowed == 1 else "fit"
    left = (
        f" Left out, by the first parameter without a place: {reasons(outlook.left_out)}." if outlook.left_out else ""
    )
    return (
        f"{outlook.borrowed} of {outlook.completed} completed trials of {sweep} {fits} this spec, so its sampler knows "
        f"them from the start. They take no place in its budget, and are never ranked or promoted as its own.{left}"
    )


def _none_fits(sweep: str, outlook: ForkOutlook) -> str:
    why = f" ({reasons(outlook.left_out)})" if outlook.left_out else ""
    done = f"none of its {outlook.completed} completed trials fits" if outlook.completed else "none has completed yet"
    return f"There is nothing to borrow of {sweep}: {done}{why}. Without any it is a new sweep: submit it as one."


def _page(
    service: Service,
    request: Request,
    sweep: str,
    spec: str,
    *,
    status: int = HTTPStatus.OK,
    trouble: list[str] | None = None,
    priority: str = "0",
    key: str | None = None,
) -> Response:
    errors, words = _found(service, sweep, spec.encode())
    return render(
        request,
        "fork.html",
        status=status,
        here="home",
        sweep=sweep,
        spec=spec,
        errors=at_their_lines(errors, spec),
        words=words,
        is_checked=True,
        trouble=trouble or [],
        priority=priority,
        key=key or secrets.token_hex(16),
        priorities=PRIORITIES,
    )
