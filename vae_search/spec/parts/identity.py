"""Identity of a sweep: the settings of its spec that may not change when it is resumed.

A key that is as it was before there was any of its kind is left out, so that older sweeps keep their identity.
"""

from collections.abc import Mapping
from typing import Any

FREE = frozenset(
    {
        *("name", "budget", "confirm", "promote", "keep", "resources"),
        *("checkpoint_s", "trial_timeout_s", "max_retries"),
    }
)
"""keys that may change, but for parts of `budget` and `resources`"""
LEFT_OUT_OF_DATA = ("array", "column", "resize", "background", "skip_damaged", "follow_links", "mirror", "condition")
"""keys of `data` that are left out where they have no value"""


def identity_of(spec: Mapping[str, Any], *, epochs: int) -> dict[str, object]:
    """Identity of a resolved spec, in plain values.

    Args:
        spec: in plain values, with every default.
        epochs: of a trial, also where `spec` leaves them to a plan.
    """
    tree = {key: part for key, part in spec.items() if key not in FREE}
    objective = spec["objective"]
    tree["objective"] = {key: part for key, part in objective.items() if key != "bound"}
    if objective["pareto"] is None:
        tree["objective"] = {"stability_weight": objective["stability_weight"]}
    if objective["bound"] == "iwae":
        tree["objective"]["bound"] = "iwae"
    tree["data"] = {key: part for key, part in spec["data"].items() if part or key not in LEFT_OUT_OF_DATA}
    if not spec["metrics"]:
        del tree["metrics"]
    if spec["precision"] == "float32":
        del tree["precision"]
    if not spec["warm_start"]:
        del tree["warm_start"]
    patience = spec["budget"]["patience"]
    budget = {"epochs": epochs} | ({} if patience is None else {"patience": patience})
    return tree | {"budget": budget, "resources": {"cpus_per_trial": spec["resources"]["cpus_per_trial"]}}
