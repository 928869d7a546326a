"""Cost estimates in a process of their own: they read images and load TensorFlow, which the service must not."""

import json
from pathlib import Path
from typing import Any

from vae_search.core.scratch import scratch_folder
from vae_search.errors import VaeSearchError
from vae_search.server.child_processes.commands import printed

TIMEOUT_S = 120.0


def estimated(text: str, *, location: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """Estimate what a sweep would cost, as `run --dry-run --json` does.

    Args:
        text: of a spec that may be run; its paths are absolute.
        location: of the store.

    Raises:
        VaeSearchError: What the command ended with.
        ProcessLost: It took too long, or ended without a word.
    """
    with scratch_folder("estimate-") as folder:
        spec = Path(folder) / "spec.yaml"
        spec.write_text(text, encoding="utf-8")
        command = ["run", str(spec), "--dry-run", "--json", "--store", location]
        try:
            said = printed(command, what="the estimate", folder=folder, timeout_s=timeout_s)
        except VaeSearchError as error:
            raise type(error)(str(error).replace(str(spec), "spec")) from error
    found: dict[str, Any] = json.loads(said)
    return found
