"""Child process that lets a sweep ask for promotion; the service starts it, since measuring a model takes TensorFlow.

`python -m vae_search.services.models.promotion_process STORE SWEEP MODEL ACTOR FILE` writes the decision into the file,
or the error that it met. The model's log has the decision before.
"""

import json
import sys
from pathlib import Path

from vae_search.core.settings import cache_folder
from vae_search.errors import VaeSearchError
from vae_search.services.models import champions
from vae_search.services.payloads import Facts, decision_facts
from vae_search.store.backends.uri import open_store


def main(location: str, sweep: str, model: str, actor: str, answer: Path) -> int:
    """Let the sweep ask; the exit code."""
    told: Facts
    try:
        decision = champions.promote(open_store(location), sweep, model=model, cache=cache_folder(), actor=actor)
    except VaeSearchError as error:
        told, code = {"decision": None, "error": str(error), "exit_code": error.exit_code}, error.exit_code
    else:
        told, code = {"decision": decision_facts(decision), "error": None, "exit_code": 0}, 0
    answer.write_text(json.dumps(told))
    return code


if __name__ == "__main__":
    place, name, of_model, who, written = sys.argv[1:]
    sys.exit(main(place, name, of_model, who, Path(written)))
