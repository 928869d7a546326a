"""Control of sweeps: try a config, stop a trial, change settings, go on with a sweep, fork it."""

import json
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Response
from pydantic import BaseModel, ConfigDict, Field

from vae_search.errors import Conflict, InvalidSpec
from vae_search.queue.entries import PRIORITIES, QueueAction
from vae_search.server.routes.parameters import SweepName, TrialNumber
from vae_search.server.routes.sweeps import check_owner, owner_of
from vae_search.server.service import ByPerson, InService, Service
from vae_search.server.submissions import checked_spec, refuse_own_code
from vae_search.server.tokens import Person, Role
from vae_search.server.wall import opened_to
from vae_search.services.browsing.queue_facts import item_facts
from vae_search.services.control import commands, forking
from vae_search.spec.from_trial import to_yaml
from vae_search.spec.sections import DataSpec
from vae_search.store.control.present_spec import read_present_spec
from vae_search.store.leases.heartbeat import read_heartbeat

router = APIRouter(tags=["control"])

MOST_KEYS = 64
IdempotencyKey = Annotated[
    str | None,
    Header(description="Your own mark: the same order again is carried out once.", min_length=1, max_length=200),
]
Value = int | float | Annotated[str, Field(max_length=200)]


class NewTrial(BaseModel):
    """Config that is to be tried next."""

    model_config = ConfigDict(extra="forbid")
    params: dict[str, Value] = Field(
        max_length=MOST_KEYS, description="Values by parameter; the sampler draws those that are left out."
    )


class Changes(BaseModel):
    """Settings that may change while a sweep runs."""

    model_config = ConfigDict(extra="forbid")
    settings: dict[str, Value] = Field(
        min_length=1,
        max_length=MOST_KEYS,
        description="Values by key of the spec: budget.trials, budget.minutes, resources.concurrency.",
    )


class NewFork(BaseModel):
    """Fork of a sweep."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(min_length=1, max_length=200, description="Name of the fork.")
    changes: dict[str, Any] = Field(
        default={}, max_length=MOST_KEYS, description="New values by key of the spec, such as budget.trials."
    )
    spec: str | None = Field(default=None, description="The fork's whole spec in YAML; none: the sweep's own.")
    priority: int = Field(default=0, ge=PRIORITIES[0], le=PRIORITIES[-1], description="Higher ones run first.")


@router.post("/sweeps/{sweep}/trials", status_code=HTTPStatus.ACCEPTED)
@opened_to(Role.SUBMITTER)
def enqueue_trial(
    service: InService,
    person: ByPerson,
    sweep: SweepName,
    wanted: Annotated[NewTrial, Body(openapi_examples={"config": {"value": {"params": {"latent_dim": 8}}}})],
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Have a config tried next, beside those of the sampler."""
    _check_may_control(service, person, sweep)
    number = commands.enqueue_config(
        service.store,
        sweep,
        wanted.params,
        actor=person.name,
        now=service.options.now,
        idempotency_key=idempotency_key,
    )
    service.sweeps.outdate(sweep)
    return {"sweep": sweep, "command": number, "driven": commands.is_driven(service.store, sweep)}


@router.post("/sweeps/{sweep}/trials/{trial}:stop", status_code=HTTPStatus.ACCEPTED)
@opened_to(Role.SUBMITTER)
def stop_trial(service: InService, person: ByPerson, sweep: SweepName, trial: TrialNumber) -> dict[str, Any]:
    """Let a trial end as it stands: pruned, with what it has measured."""
    _check_may_control(service, person, sweep)
    number = commands.stop_trial(service.store, sweep, trial, actor=person.name, now=service.options.now)
    service.sweeps.outdate(sweep)
    driven = commands.is_driven(service.store, sweep)
    return {"sweep": sweep, "trial": trial, "command": number, "driven": driven}


@router.patch("/sweeps/{sweep}", status_code=HTTPStatus.ACCEPTED)
@opened_to(Role.SUBMITTER)
def change(
    service: InService,
    person: ByPerson,
    sweep: SweepName,
    wanted: Annotated[Changes, Body(openapi_examples={"more": {"value": {"settings": {"budget.trials": 48}}}})],
) -> dict[str, Any]:
    """Change settings of a sweep, whether it runs or not: its budget, or how many trials run at once."""
    _check_may_control(service, person, sweep)
    number = commands.change_settings(service.store, sweep, wanted.settings, actor=person.name, now=service.options.now)
    service.sweeps.outdate(sweep)
    return {"sweep": sweep, "command": number, "driven": commands.is_driven(service.store, sweep)}


@router.post("/sweeps/{sweep}:resume", status_code=HTTPStatus.ACCEPTED)
@opened_to(Role.SUBMITTER)
def resume(service: InService, person: ByPerson, sweep: SweepName) -> dict[str, Any]:
    """Go on with a sweep: release its item of the queue, or queue what the store knows of it if nobody runs it."""
    with service.queue() as queue:
        item = queue.state().of_sweep(sweep)
        if item is not None:
            check_owner(person, item.owner)
            released = queue.order(QueueAction.RELEASE, item.number, actor=person.name)
            return {"sweep": sweep, "queued": item_facts(released)}
    spec = read_present_spec(service.store, sweep)
    _check_may_control(service, person, sweep)
    _check_source(service, spec.data)
    refuse_own_code(spec)
    beat = read_heartbeat(service.store, sweep)
    if beat is not None and beat.alive is not False:
        raise Conflict(f"sweep {sweep}: {beat.holder} runs it already.")
    with service.queue() as queue:
        queued = queue.submit(to_yaml(spec), sweep=sweep, actor=person.name)
    return {"sweep": sweep, "queued": item_facts(queued)}


@router.post("/sweeps/{sweep}:fork", status_code=HTTPStatus.CREATED)
@opened_to(Role.SUBMITTER)
def fork(
    service: InService,
    person: ByPerson,
    sweep: SweepName,
    wanted: Annotated[
        NewFork, Body(openapi_examples={"longer": {"value": {"name": "wider", "changes": {"budget.trials": 16}}}})
    ],
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> dict[str, Any]:
    """Queue a search of another space or budget, whose sampler knows the completed trials of a sweep that fit it."""
    given = None if wanted.spec is None else checked_spec(wanted.spec.encode(), service.options.roots)[0]
    _check_source(service, read_present_spec(service.store, sweep).data)
    texts = [f"{key}={json.dumps(value)}" for key, value in wanted.changes.items()]
    with service.queue() as queue:
        state = queue.state()
    present, before = state.of_sweep(wanted.name), state.newest_of(wanted.name)
    if before is not None:  # the fork that was made by this name
        check_owner(person, before.owner)
    if present is not None and (idempotency_key is None or present.idempotency_key != idempotency_key):
        raise Conflict(f"sweep {wanted.name}: is in the queue already, as item {present.number}. Give another name.")
    made = forking.fork(
        service.store,
        sweep,
        wanted.name,
        overrides=texts,
        spec=given,
        check=refuse_own_code,
    )
    with service.queue() as queue:
        item = queue.submit(
            made.text,
            sweep=made.spec.name,
            actor=person.name,
            priority=wanted.priority,
            idempotency_key=idempotency_key,
        )
    response.headers["Location"] = f"/api/v1/queue/{item.number}"
    return item_facts(item) | {"borrowed": made.borrowed, "left_out": dict(made.left_out)}


def _check_may_control(service: Service, person: Person, sweep: str) -> None:
    """Refuse to control a sweep, but by an approver or whoever has queued it last.

    Raises:
        NotFound: There is no such sweep.
        RefusalError: It is refused.
    """
    read_present_spec(service.store, sweep)
    check_owner(person, owner_of(service, sweep))


def _check_source(service: Service, data: DataSpec) -> None:
    """Refuse to read, for somebody over HTTP, images that a spec over HTTP may not name.

    Raises:
        InvalidSpec: They are refused.
    """
    if (reason := service.options.roots.refusal_of(data)) is not None:
        raise InvalidSpec(f"spec: data.source: {reason}")
