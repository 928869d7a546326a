"""Forms that steer a sweep: each calls what the API calls, and leads back to the page that it came from."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import Response

from vae_search.errors import InvalidSpec, VaeSearchError
from vae_search.server.pages.forms import Form, SentForm, see
from vae_search.server.pages.sweeps.steering_forms import KEYS
from vae_search.server.pages.sweeps.sweep import sweep_page
from vae_search.server.problems import RefusalError, status_of
from vae_search.server.routes import control
from vae_search.server.routes import sweeps as api
from vae_search.server.routes.parameters import SweepName, TrialNumber
from vae_search.server.service import ByPerson, InService, Service
from vae_search.server.tokens import Role
from vae_search.server.wall import opened_to
from vae_search.services.control.commands import NO_LIMIT
from vae_search.spec.hyperparameters import rule_of
from vae_search.store.control.present_spec import live_values, read_present_spec

router = APIRouter(include_in_schema=False, prefix="/sweeps/{sweep}")

NOTHING_ASKED: Mapping[str, object] = {"order": None, "descending": None, "state": "", "where": ""}


@router.post("/stop")
@opened_to(Role.SUBMITTER)
def stop(service: InService, request: Request, person: ByPerson, sweep: SweepName, form: SentForm) -> Response:
    """Stop a sweep; its workers save their epochs."""
    return _done(service, request, sweep, form, "stopped", lambda: api.stop(service, person, sweep))


@router.post("/resume")
@opened_to(Role.SUBMITTER)
def resume(service: InService, request: Request, person: ByPerson, sweep: SweepName, form: SentForm) -> Response:
    """Let a sweep go on: release its item of the queue, or queue it."""
    return _done(service, request, sweep, form, "resumed", lambda: control.resume(service, person, sweep))


@router.post("/enqueue")
@opened_to(Role.SUBMITTER)
def enqueue(service: InService, request: Request, person: ByPerson, sweep: SweepName, form: SentForm) -> Response:
    """Have a config tried next."""

    def carry_out() -> None:
        control.enqueue_trial(service, person, sweep, control.NewTrial(params=_config(form)))

    return _done(service, request, sweep, form, "enqueued", carry_out)


@router.post("/change")
@opened_to(Role.SUBMITTER)
def change(service: InService, request: Request, person: ByPerson, sweep: SweepName, form: SentForm) -> Response:
    """Change the budget, or how many trials run at once."""

    def carry_out() -> None:
        present = live_values(read_present_spec(service.store, sweep))
        wanted = {key: form.text(key, longest=40) or NO_LIMIT for key in KEYS if key in form.fields}
        settings: dict[str, int | float | str] = {
            key: value
            for key, value in wanted.items()
            if value != (NO_LIMIT if present[key] is None else str(present[key]))
        }
        if not settings:
            raise InvalidSpec("Nothing was changed: all values are as they were.")
        control.change(service, person, sweep, control.Changes(settings=settings))

    return _done(service, request, sweep, form, "changed", carry_out)


@router.post("/trials/{trial}/stop")
@opened_to(Role.SUBMITTER)
def stop_trial(
    service: InService, request: Request, person: ByPerson, sweep: SweepName, trial: TrialNumber, form: SentForm
) -> Response:
    """Let a trial end as it stands."""
    return _done(
        service, request, sweep, form, "trial-stopped", lambda: control.stop_trial(service, person, sweep, trial)
    )


def _done(
    service: Service, request: Request, sweep: str, form: Form, said: str, carry_out: Callable[[], object]
) -> Response:
    """Carry something out and lead to the sweep's page, which says so, or says why it was refused."""
    try:
        carry_out()
    except RefusalError as refusal:
        lines, status = refusal.detail.splitlines(), refusal.status
    except VaeSearchError as error:
        lines, status = str(error).splitlines(), status_of(error)
        if status is HTTPStatus.NOT_FOUND and not _exists(service, sweep):
            raise
    else:
        return see(f"/sweeps/{quote(sweep, safe='')}", said=said)
    return sweep_page(service, request, sweep, NOTHING_ASKED, trouble=lines, given=form.fields, status=status)


def _exists(service: Service, sweep: str) -> bool:
    try:
        service.sweeps.facts(sweep)
    except VaeSearchError:
        return False
    return True


def _config(form: Form) -> dict[str, Any]:
    """The parameters of a form in their own types; what was left empty is drawn."""
    found: dict[str, Any] = {}
    for field in form.fields:
        name = field.removeprefix("param.")
        text = form.text(field, longest=200)
        if field.startswith("param.") and text is not None:
            found[name] = _value(name, text)
    if len(found) > control.MOST_KEYS:
        raise InvalidSpec(f"A config may name at most {control.MOST_KEYS} parameters, but names {len(found)}.")
    if not found:
        raise InvalidSpec("Give at least one parameter; the others are drawn by the sampler.")
    return found


def _value(name: str, text: str) -> int | float | str:
    """A value as YAML reads it; the search space says whether it may be."""
    kind = rule_of(name).kind
    for convert in (int, float):
        if kind is not str:
            try:
                return convert(text)
            except ValueError:
                continue
    return text
