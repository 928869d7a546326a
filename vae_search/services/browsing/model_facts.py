"""Facts of a model: history, versions with their files, and what somebody who approves must have before his eyes.

Of a version that waits the score on the test images is left out: whoever decides must not choose by it.
"""

from collections.abc import Mapping
from typing import Any

from vae_search.errors import CorruptStore, NotFound
from vae_search.registry.log import Action, Entry
from vae_search.registry.promotion.decision import PromotionPolicy
from vae_search.registry.registry import outdated_contest
from vae_search.registry.state import OPEN, ModelState, Version, Waiting
from vae_search.registry.version_files import CARD_FILE, CARD_TEXT_FILE, TEST_FILE, read_version
from vae_search.registry.version_table import recorded_card
from vae_search.services.browsing.contest_facts import contest_facts
from vae_search.services.browsing.plain_values import plain
from vae_search.services.models.champions import model_state
from vae_search.services.payloads import Facts, model_facts
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import from_json_bytes, to_json_bytes
from vae_search.store.sweeps import sweep_record


def model_history(state: ModelState) -> Facts:
    """A model with its versions and its log."""
    return model_facts(state) | {
        "challenger": state.challenger,
        "champions": list(state.champions),
        "versions": [_version_facts(version) for version in state.versions.values()],
        "log": [plain(entry.to_dict()) for entry in state.entries],
        "history": history_lines(state),
    }


def history_lines(state: ModelState) -> list[Facts]:
    """History of a model in sentences, the oldest entry first: `text` says what happened, `words` why, as was said."""
    said = {id(entry) for entry in state.said.values()}
    return [
        {
            "entry": number,
            "at": entry.at.isoformat(),
            "actor": entry.actor,
            "action": entry.action.value,
            "version": entry.version,
            "candidate": entry.candidate,
            "text": _sentence(entry, rejected_by_hand=id(entry) in said),
            "words": "; ".join(entry.reasons),
            "judged": entry.judged,
        }
        for number, entry in enumerate(state.entries, start=1)
    ]


def _sentence(entry: Entry, *, rejected_by_hand: bool) -> str:
    name, who = entry.candidate or "a candidate", entry.actor or "somebody"
    version = "" if entry.version is None else f"version {entry.version}"
    instead = "" if entry.champion is None else f" in place of version {entry.champion}"
    match entry.action:
        case Action.REGISTER:
            return f"{name} asked; {version} is reserved for it."
        case Action.PROMOTE:
            return f"{name} passed, and became champion as {version}{instead}."
        case Action.WAIT:
            return f"{name} passed, and waits for approval as {version}."
        case Action.APPROVE:
            return f"{who} approved {version}, {name}, which became champion{instead}."
        case Action.ROLLBACK:
            return f"{who} made {version} champion again{instead}."
        case Action.RETIRE:
            return f"{version} was retired."
    if rejected_by_hand:
        return f"{who} rejected {version}, {name}."
    return f"{name} was refused." if entry.judged else f"{version or name} was given up."


def waiting_facts(store: Store, model: str) -> Facts:
    """Versions that wait for approval, each with its evidence and what a yes or a no will do, in a sentence each.

    Raises:
        NotFound: There is no such model.
        CorruptStore: Its log, or a card, is damaged.
    """
    state = model_state(store, model)
    return {
        "model": model,
        "champion": state.champion,
        "needs_approval": state.needs_approval,
        "items": [_waiting(store, state, waiting) for waiting in state.waiting],
    }


def _waiting(store: Store, state: ModelState, waiting: Waiting) -> Facts:
    number, entry = waiting.version.number, waiting.entry
    card, files = recorded_card(store, state.model, waiting.version)
    sweep, _, trial = waiting.version.candidate.rpartition("/")
    instead = "" if state.champion is None else f" in place of version {state.champion}, which stays in the store"
    approve = f"Version {number} becomes champion of {state.model}{instead}, and is served from then on."
    stays = "the model stays without a champion" if state.champion is None else f"version {state.champion} stays"
    return {
        "version": number,
        "entry": waiting.number,
        "candidate": waiting.version.candidate,
        "sweep": sweep,
        "trial": int(trial) if trial.isdecimal() else None,
        "since": entry.at.isoformat(),
        "asked_by": entry.actor,
        "usual_limits": entry.rules_sha256 == PromotionPolicy().sha256,
        "can_be_approved": waiting.holds,
        "approving": approve if waiting.holds else outdated_contest(state.model, waiting, champion=state.champion),
        "rejecting": f"Version {number} is refused for good and {stays}; with other seeds it may ask again.",
        "params": card["params"],
        "pictures": [name for name in files if name.endswith(".png")],
        "evidence": contest_facts(store, state, waiting.number),
    }


def picture_names(store: Store, state: ModelState, number: int) -> list[str]:
    """Names of the pictures among a version's files."""
    _, files = recorded_card(store, state.model, state.versions[number])
    return [name for name in files if name.endswith(".png")]


def version_facts(store: Store, model: str, number: int) -> Facts:
    """One version: its place in the log, its card, and its files with their sizes.

    Raises:
        NotFound: There is no such model, or no whole version of this number.
        CorruptStore: A file is damaged.
    """
    version, files = _version(store, model, number)
    card = _shown_card(version, files)
    return _version_facts(version) | {
        "model": model,
        "card": card,
        "files": {name: len(content) for name, content in sorted(files.items())},
    }


def version_file(store: Store, model: str, number: int, name: str) -> bytes:
    """One file of a version, every byte checked.

    Raises:
        NotFound: There is no such model or version, or its manifest names no such file.
        CorruptStore: A file is damaged.
    """
    version, files = _version(store, model, number)
    hidden = {TEST_FILE, CARD_TEXT_FILE} if version.status in OPEN else set()
    if name not in files or name in hidden:
        shown = ", ".join(sorted(files.keys() - hidden))
        raise NotFound(f"model {model}: version {number} has no such file to show. It has: {shown}.")
    return to_json_bytes(_shown_card(version, files)) if name == CARD_FILE and hidden else files[name]


def version_of_trial(store: Store, model: str, sweep: str, trial: int) -> Facts | None:
    """The newest version that was made of a trial, with the names of its files; None if there is none to show."""
    incarnation = sweep_record.read_stored(store, sweep).incarnation
    try:
        versions = model_state(store, model).versions.values()
    except (NotFound, CorruptStore):
        return None
    for version in sorted(versions, key=lambda version: -version.number):
        is_its = version.candidate == f"{sweep}/{trial}" and version.incarnation in (None, incarnation)
        if is_its:
            try:
                files = read_version(store, model, version.number, sha256=version.manifest_sha256)
            except (NotFound, CorruptStore):
                continue
            return {"model": model, "version": version.number, "files": sorted(files)}
    return None


def _version(store: Store, model: str, number: int) -> tuple[Version, Mapping[str, bytes]]:
    version = model_state(store, model).versions.get(number)
    if version is None:
        raise NotFound(f"model {model}: there is no version {number}.")
    return version, read_version(store, model, number, sha256=version.manifest_sha256)


def _shown_card(version: Version, files: Mapping[str, bytes]) -> dict[str, Any]:
    """The card of a version, without its test score as long as nobody has decided."""
    card: dict[str, Any] = from_json_bytes(files[CARD_FILE], where=CARD_FILE)
    return card | {"test": None} if version.status in OPEN else card


def _version_facts(version: Version) -> Facts:
    return {"version": version.number, "state": version.status.value, "candidate": version.candidate}
