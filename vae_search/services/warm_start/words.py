"""Words on what a sweep took from earlier ones, from its status as a payload, for the command line and pages."""

from collections.abc import Mapping
from typing import Any


def warm_lines(status: Mapping[str, Any]) -> list[str]:
    """Say what a sweep took from earlier ones when it began; nothing for one that looked at none."""
    kept = status.get("warm_start")
    if kept is None:
        return []
    lines = [
        f"Its sampler began with {each['trials']} trials of {each['sweep']}, which count neither as trials nor as best."
        for each in kept["borrowed"]
    ]
    lines += [
        f"Taken to be tried: the best confirmed config of {each['sweep']}, its trial {each['trial']}."
        for each in kept["configs"]
    ]
    return lines or ["It looked for earlier sweeps to learn from, and found none."]
