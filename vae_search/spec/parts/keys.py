"""Keys that each mapping of a spec may have, for the words about one that it may not."""

from collections.abc import Mapping, Sequence

from vae_search.core.validation import KeyPath
from vae_search.spec.hyperparameters import RULES
from vae_search.spec.parts.gain_stop import GainStop
from vae_search.spec.parts.warm_start import WarmStart
from vae_search.spec.sections import Budget, Confirm, DataSpec, Objective, Promote, Pruning, Resize, Resources

KEYS_OF_PARTS: Mapping[KeyPath, Sequence[str]] = {
    ("data",): tuple(DataSpec.model_fields),
    ("search_space",): tuple(RULES),
    ("warm_start",): tuple(field.alias or name for name, field in WarmStart.model_fields.items()),
    ("budget",): tuple(Budget.model_fields),
    ("budget", "stop"): tuple(GainStop.model_fields),
    ("pruning",): tuple(Pruning.model_fields),
    ("objective",): tuple(Objective.model_fields),
    ("confirm",): tuple(Confirm.model_fields),
    ("promote",): tuple(Promote.model_fields),
    ("resources",): tuple(Resources.model_fields),
    ("data", "resize"): tuple(Resize.model_fields),
}
