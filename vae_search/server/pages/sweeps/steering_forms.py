"""Forms to steer a sweep: which of them a person gets, and what each says will happen."""

from collections.abc import Mapping
from dataclasses import dataclass

from vae_search.queue.state import ItemState, QueueItem
from vae_search.server.tokens import Person, Role
from vae_search.services.browsing.sweep_pages import SweepStanding
from vae_search.spec.parameters import CategoricalParameter, FixedParameter, Parameter, condition_text
from vae_search.store.control.present_spec import live_values

SAID = {
    "stopped": "The sweep was asked to stop. Its workers save their epochs first, so this may take a moment.",
    "resumed": "The sweep will go on: it stands in the queue.",
    "enqueued": "The config is next in line, beside what the sampler draws.",
    "trial-stopped": "The trial was asked to stop. It ends as PRUNED, with what it has measured.",
    "changed": "The settings are changed. A driver at work follows within seconds; else the next one does.",
}
KEYS = {
    "budget.trials": "Budget, trials",
    "budget.minutes": "Budget, minutes",
    "resources.concurrency": "Trials at once",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a form.

    Args:
        choices: texts to choose from; empty if anything may be typed.
        hint: what may be given, and under which condition.
    """

    name: str
    label: str
    value: str
    choices: tuple[str, ...] = ()
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """Rights of a person over a sweep, as forms.

    Args:
        refusal: why it is nothing; None if there is something.
    """

    refusal: str | None
    can_stop: bool = False
    can_resume: bool = False
    settings: tuple[Field, ...] = ()
    params: tuple[Field, ...] = ()


def steering_of(person: Person, found: SweepStanding, item: QueueItem | None, given: Mapping[str, str]) -> Steering:
    """The forms of a sweep's page for a person.

    Args:
        found: how the sweep stands.
        item: of the queue, the newest of this sweep.
        given: what stood in a form that was refused.
    """
    owner = None if item is None else item.owner
    if not person.role.reaches(Role.SUBMITTER):
        return Steering(refusal="To change a sweep needs the role submitter.")
    if person.name != owner and not person.role.reaches(Role.APPROVER):
        whose = "was not submitted to the queue" if owner is None else f"belongs to {owner}"
        return Steering(refusal=f"This sweep {whose}: only its owner and approvers may change it.")
    spec, facts = found.spec, found.facts
    settings = tuple(
        Field(name=key, label=KEYS[key], value=given.get(key, "" if value is None else str(value)))
        for key, value in live_values(spec).items()
    )
    is_queued = item is not None and item.state in (ItemState.WAITING, ItemState.RUNNING)
    return Steering(
        refusal=None,
        can_stop=facts["state"] == "running" or is_queued,
        can_resume=facts["state"] == "interrupted" and not is_queued,
        settings=settings,
        params=_params(spec.search_space.searched, given),
    )


def _params(searched: tuple[Parameter, ...], given: Mapping[str, str]) -> tuple[Field, ...]:
    """A field for each name that is searched; one that several conditions divide has all their hints."""
    found: dict[str, Field] = {}
    for each in searched:
        before = found.get(each.name)
        hint = _hint(each) if before is None else f"{before.hint}; {_hint(each)}"
        choices = tuple(map(str, each.choices)) if isinstance(each, CategoricalParameter) and before is None else ()
        found[each.name] = Field(
            name=each.name, label=each.name, value=given.get(f"param.{each.name}", ""), choices=choices, hint=hint
        )
    return tuple(found.values())


def _hint(each: Parameter) -> str:
    if isinstance(each, FixedParameter):
        values = f"{each.value}"
    elif isinstance(each, CategoricalParameter):
        values = ", ".join(map(str, each.choices))
    else:
        values = f"{each.low:g} to {each.high:g}"
    return f"{values} if {condition_text(each.when)}" if each.when else values
