"""Approval of versions that wait: a person's yes or no, with who and why in the model's log."""

from dataclasses import dataclass
from datetime import UTC, datetime

from vae_search.core.text import printable
from vae_search.errors import CorruptStore, InvalidSpec, NotFound
from vae_search.registry.promotion.model_backend import TestScore
from vae_search.registry.registry import Registry
from vae_search.registry.state import ModelState
from vae_search.registry.version_table import recorded_card
from vae_search.services.models.champions import model_state
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.backends.base import Store

LONGEST_WHY = 500  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalOutcome:
    """Outcome for a version that waited, and the model's champion now."""

    model: str
    version: int
    candidate: str
    approved: bool
    champion: int | None
    why: str
    test: TestScore | None
    """of an approved version; nobody sees it before"""


def awaited_model(store: Store, spec: SweepSpec) -> ModelState | None:
    """The model that a sweep's spec names, if a config of the sweep waits for approval there."""
    if spec.promote is None:
        return None
    try:
        state = model_state(store, spec.promote.model)
    except (NotFound, CorruptStore):  # `models` and `verify` say what is wrong with its log
        return None
    is_ours = any(waiting.version.candidate.partition("/")[0] == spec.name for waiting in state.waiting)
    return state if is_ours else None


def approve(
    store: Store, model: str, version: int | None = None, *, why: str, entry: int | None = None, actor: str | None
) -> ApprovalOutcome:
    """Make a version that waits the champion; of several who decide at once, the log puts one first.

    Args:
        version: None means the only one that waits.
        why: for the log.
        entry: number of the log's entry whose verdicts were looked at; None: whichever the version waits on.
        actor: who says so.

    Raises:
        NotFound: There is no such model or version, or none waits.
        InvalidSpec: Several wait, and none was named; or no reason is given.
        Conflict: It does not wait, or on other verdicts, or the champion is another than in its contest.
        CorruptStore: The log or the version is damaged.
        StoreUnavailable: It is champion or not, which the message says, and is not served yet.
    """
    number = _registry(store, model, actor).approve(version, why=_checked(why), entry=entry)
    return _outcome(store, model, number, approved=True, why=why)


def reject(
    store: Store, model: str, version: int | None = None, *, why: str, entry: int | None = None, actor: str | None
) -> ApprovalOutcome:
    """Refuse a version that waits; the champion stays. Arguments and errors as for `approve`."""
    number = _registry(store, model, actor).reject(version, why=_checked(why), entry=entry)
    return _outcome(store, model, number, approved=False, why=why)


def _outcome(store: Store, model: str, number: int, *, approved: bool, why: str) -> ApprovalOutcome:
    state = model_state(store, model)
    return ApprovalOutcome(
        model=model,
        version=number,
        candidate=state.versions[number].candidate,
        approved=approved,
        champion=state.champion,
        why=why,
        test=_test(store, model, number) if approved else None,
    )


def _test(store: Store, model: str, number: int) -> TestScore:
    card, _ = recorded_card(store, model, model_state(store, model).versions[number])
    return TestScore(**card["test"])


def _registry(store: Store, model: str, actor: str | None) -> Registry:
    model_state(store, model)
    return Registry(store, model, now=lambda: datetime.now(UTC), actor=actor)


def _checked(why: str) -> str:
    """Reason as it goes into the log.

    Raises:
        InvalidSpec: It is empty or too long.
    """
    said = " ".join(why.split())
    if not said or len(said) > LONGEST_WHY:
        raise InvalidSpec(f"--why: must be 1 to {LONGEST_WHY} characters, but has {len(said)}. Say why, for the log.")
    return printable(said, LONGEST_WHY)
