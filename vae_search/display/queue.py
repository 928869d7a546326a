"""Queue of a store: its items as a table, and one as a sentence."""

from typing import Any

from vae_search.core.text import printable
from vae_search.display.console import console, say, show_json
from vae_search.display.tables import show_table
from vae_search.services.payloads import Facts

HEADS = ("item", "state", "owner", "priority", "sweep", "attempts", "reason")
REASON_CHARACTERS = 60


def show_queue(facts: Facts, *, as_json: bool) -> None:
    """Print the items in the order of the queue, and whether anybody works them off."""
    if as_json:
        show_json(facts)
        return
    if not facts["items"]:
        say("The queue is empty. `vae-search queue add` puts a spec into it.")
        return
    rows = [
        [
            str(item["item"]),
            _state(item),
            printable(item["owner"] or "–"),
            str(item["priority"]),
            item["sweep"],
            str(item["attempts"]),
            printable((_reason(item) or "").split("\n")[0], REASON_CHARACTERS),
        ]
        for item in facts["items"]
    ]
    show_table(console(), HEADS, rows, left=("state", "owner", "sweep", "reason"))
    if facts["dispatcher"] is None:
        say_unled()


def show_item(item: Facts, *, as_json: bool) -> None:
    """Print one item after an order about it."""
    if as_json:
        show_json(item)
        return
    say(f"Item {item['item']}, sweep {item['sweep']}: {_state(item)}, priority {item['priority']}.")


def say_unled() -> None:
    """Say that nobody works the queue off, and what would."""
    say("Nobody works the queue off. `vae-search queue run` does, and so does `vae-search serve`.")


def _state(item: Facts) -> str:
    """State in a word, with what people want where that is yet to come."""
    is_coming = item["state"] == "running" and item["wanted"] != "waiting"
    return f"{item['state']}, to be {item['wanted']}" if is_coming else str(item["state"])


def _reason(item: Facts) -> str | None:
    """Cause that it is held or parked, or last words of the driver that it had last."""
    last: dict[str, Any] | None = item["last_attempt"]
    found: str | None = item["why"] or item["parked"] or (None if last is None else last["reason"])
    return found
