"""Cost estimates in a process of their own: they read images and load TensorFlow, which the service must not."""

import json
import sys
from pathlib import Path
from typing import Any

from vae_search.core.scratch import scratch_folder
from vae_search.errors import ProcessLost, kind_of_exit_code
from vae_search.services.children.programs import ended

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
        command = [sys.executable, "-m", "vae_search", "run", str(spec), "--dry-run", "--json", "--store", location]
        done = ended(command, folder=folder, timeout_s=timeout_s, what="estimate")
    if done.returncode == 0:
        found: dict[str, Any] = json.loads(done.stdout)
        return found
    said = done.stderr.rpartition("error: ")[2].strip() or "the estimate ended without a word."
    kind = kind_of_exit_code(done.returncode, otherwise=ProcessLost)
    raise kind(said.replace(str(spec), "spec"))
