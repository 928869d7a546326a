"""A sweep that is run from a service's queue: the exit code that its item ends with."""

from collections.abc import Mapping
from typing import Any

from vae_search.access.problem_documents import error_kind
from vae_search.errors import Interrupted, VaeSearchError


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
