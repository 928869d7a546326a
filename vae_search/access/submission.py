"""A sweep that is run from a service's queue: the text that is sent, and the exit code that its item ends with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vae_search.access.problem_documents import error_kind
from vae_search.errors import Interrupted, VaeSearchError
from vae_search.spec.from_trial import to_yaml
from vae_search.spec.sweep_spec import SpecDocument, parse_spec

_NOWHERE = Path("/nowhere")  # where no relative path can be meant


def text_to_send(document: SpecDocument) -> str:
    """The spec's text as it was written; with overrides or a relative path in it, the whole spec in their place.

    A service knows neither the overrides nor the folder that the file lies in.
    """
    try:
        if parse_spec(document.text, base=_NOWHERE) == document.spec:
            return document.text
    except VaeSearchError:  # only with the overrides is it a valid one
        pass
    return to_yaml(document.spec)


def raise_if_unfinished(item: Mapping[str, Any]) -> None:
    """End as the driver of a queue's item ended.

    Args:
        item: of `item_facts`.

    Raises:
        VaeSearchError: The item is not done; with the exit code of its last driver.
    """
    if item["state"] == "done":
        return
    last = item["last_attempt"] or {}
    if item["parked"] is not None:
        kind = error_kind(last.get("exit_code") or VaeSearchError.exit_code) or VaeSearchError
        raise kind(item["parked"])
    raise Interrupted(f"sweep {item['sweep']}: item {item['item']} of the queue is {item['state']}.")
