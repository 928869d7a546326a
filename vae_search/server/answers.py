"""Answers of the API as the OpenAPI document describes them; `services/payloads.py` and `services/browsing/` make them.

They are described, not filtered: a test holds the answers of a filled store to these schemas. Objects are open, so that
a later version may tell more; what is named here is always there.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

API = "/api/v1"
REFERENCE = "#/components/schemas/{model}"


class SweepSummary(BaseModel):
    """Status of a sweep."""

    sweep: str
    state: str = Field(description="running, finished or interrupted")
    trials: int = Field(description="Of the budget.")
    finished: int = Field(description="Trials that have ended.")
    complete: int
    pruned: int
    failed: int
    best_trial: int | None
    best_objective: float | None = Field(description="Nats per image.")
    front: list[dict[str, Any]] | None
    confirm_runs: int
    cpu_s: float
    model: str | None = Field(description="That it may promote to.")
    source: str = Field(description="Of the images.")
    in_flight: int
    driver_s: float
    driver: str | None = Field(description="Process and machine; null if none runs.")
    damaged: list[str] = Field(description="Files that could not be read.")


class Attempt(BaseModel):
    """One driver's work on an item of the queue."""

    began_at: str
    ended_at: str | None
    exit_code: int | None
    reason: str | None


class Item(BaseModel):
    """One sweep in the queue."""

    item: int
    sweep: str
    state: str = Field(description="waiting, held, running, parked, done or cancelled")
    wanted: str
    owner: str | None
    priority: int
    submitted_at: str
    attempts: int
    parked: str | None = Field(description="Why no further attempt is made.")
    last_attempt: Attempt | None


class ItemWithSpec(Item):
    """One sweep in the queue, with its spec as it was submitted."""

    spec: str


class Sweep(SweepSummary):
    """Status of a sweep, with its spec and its item in the queue."""

    spec: dict[str, Any]
    queued: Item | None


class SweepPage(BaseModel):
    """Some sweeps of the store, by name."""

    items: list[SweepSummary]
    next: str | None = Field(description="Address of the next page.")
    total: int
    troubles: list[str]


class Trial(BaseModel):
    """One finished trial."""

    trial: int
    state: str = Field(description="COMPLETE, PRUNED or FAIL")
    objective: float | None
    neg_elbo: float | None = Field(description="Nats per image.")
    instability: float | None
    epochs: int
    train_flops: float
    params: dict[str, int | float | str | None]


class TrialPage(BaseModel):
    """Some trials of a sweep, in the order that was asked for."""

    items: list[Trial]
    next: str | None = Field(description="Address of the next page.")
    total: int
    damaged: list[str]


class Curve(BaseModel):
    """The epochs of a finished trial."""

    sweep: str
    trial: int
    items: list[dict[str, Any]]


class Queue(BaseModel):
    """The queue in its order."""

    items: list[Item]
    dispatcher: str | None = Field(description="Machine of the last one that led.")
    entries: int


class Model(BaseModel):
    """One model and its champion."""

    model: str
    champion: int | None
    versions: int
    contests: int
    entries: int


class Models(BaseModel):
    """All models of the store."""

    items: list[Model]
    troubles: list[str]


class ModelVersion(BaseModel):
    """One version of a model."""

    version: int
    state: str
    candidate: str


class ModelHistory(BaseModel):
    """A model with its versions and its log."""

    model: str
    champion: int | None
    challenger: int | None
    champions: list[int]
    versions: list[ModelVersion]
    log: list[dict[str, Any]]


class AuditPage(BaseModel):
    """Entries of the logs, the newest first."""

    items: list[dict[str, Any]]
    next: str | None
    total: int
    troubles: list[str]


class Delivery(BaseModel):
    """An event that has not reached a hook."""

    event: str
    type: str
    attempts: int
    due_at: str
    trouble: str | None
    asked_by: str | None
    body: str


class Hook(BaseModel):
    """A receiver of events."""

    hook: str
    receiver: str = Field(description="Scheme, host and port.")
    delivered: int
    delivered_at: str | None
    waiting: list[Delivery]
    dead: list[Delivery]
    dropped: int
    damaged: str | None = Field(description="What is wrong with its outbox; it is silent until that is mended.")


class Hooks(BaseModel):
    """All receivers."""

    items: list[Hook]


class Person(BaseModel):
    """Holder of a token."""

    name: str
    role: str
    version: str


ANSWERS: Mapping[tuple[str, str], type[BaseModel]] = {
    ("get", f"{API}/sweeps"): SweepPage,
    ("get", f"{API}/sweeps/{{sweep}}"): Sweep,
    ("get", f"{API}/sweeps/{{sweep}}/trials"): TrialPage,
    ("get", f"{API}/sweeps/{{sweep}}/trials/{{trial}}"): Trial,
    ("get", f"{API}/sweeps/{{sweep}}/trials/{{trial}}/curve"): Curve,
    ("post", f"{API}/sweeps"): Item,
    ("get", f"{API}/queue"): Queue,
    ("get", f"{API}/queue/{{item}}"): ItemWithSpec,
    **{("post", f"{API}/queue/{{item}}:{what}"): Item for what in ("move", "prioritize", "hold", "release", "cancel")},
    ("get", f"{API}/models"): Models,
    ("get", f"{API}/models/{{model}}"): ModelHistory,
    ("get", f"{API}/audit"): AuditPage,
    ("get", f"{API}/webhooks"): Hooks,
    ("get", f"{API}/me"): Person,
}


def describe_answers(document: dict[str, Any]) -> None:
    """Add the schemas of answers to an OpenAPI document."""
    models = sorted({*ANSWERS.values()}, key=lambda model: model.__name__)
    _, found = models_json_schema([(model, "serialization") for model in models], ref_template=REFERENCE)
    document["components"].setdefault("schemas", {}).update(found["$defs"])
    for (method, path), model in ANSWERS.items():
        responses = document["paths"].get(path, {}).get(method, {}).get("responses", {})
        for status in responses.keys() & {"200", "201"}:
            reference = {"$ref": REFERENCE.format(model=model.__name__)}
            responses[status].setdefault("content", {})["application/json"] = {"schema": reference}
