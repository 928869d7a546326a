"""Comparability: hashes of everything that a score depends on except the model."""

import hashlib
import json

from vae_search.data.binarization import BINARISATION_SEED
from vae_search.data.dataset import Dataset

# One more whenever the same weights and images would get another score, or trials would be ranked by another one.
# 2: the ELBO is the mean of several draws; instability is measured anew; trials may be ranked by IWAE-16.
METRIC_VERSION = 2
JUDGED_ALIKE = (
    1,
)  # earlier versions whose IWAE bounds of judge images, which a promotion compares, are the same measure


def comparability_key(dataset: Dataset, *, likelihood: str, metric_version: int = METRIC_VERSION) -> str:
    """Hash of the whole task; two scores must share it to be compared (invariant I7)."""
    return _hash(_task(dataset) | {"likelihood": likelihood, "metric_version": metric_version})


def keys_judged_alike(dataset: Dataset, *, likelihood: str) -> tuple[str, ...]:
    """Keys of the same task under earlier versions of the metric, whose judge bounds may be compared with today's."""
    return tuple(comparability_key(dataset, likelihood=likelihood, metric_version=version) for version in JUDGED_ALIKE)


def pixels_key(dataset: Dataset) -> str | None:
    """Hash of the pixels; two scores must share it to be compared in bits per dimension, whatever their likelihoods.

    None where pixels are binarised: that is a task of its own, and a draw's bits say nothing of the image's. The others
    are whole numbers, whose probability each of their likelihoods gives or bounds from below: `discretized_logistic` is
    one, `gaussian` a density whose uniform dequantisation makes such a bound (Theis et al. 2016). -log2 of either, for
    each value of a pixel, is what a coder with that model would need; a density's own nats would depend on the scale.
    """
    return _hash(_task(dataset) | {"metric_version": METRIC_VERSION}) if dataset.binarize == "none" else None


def _task(dataset: Dataset) -> dict[str, object]:
    """Everything that a score depends on except model, likelihood and metric."""
    shown = dataset.shown_labels
    task: dict[str, object] = {
        "fingerprint": dataset.fingerprint,
        "split": dataset.split,
        "binarize": dataset.binarize,
        "binarisation_seed": BINARISATION_SEED if dataset.binarize == "dynamic" else None,
    }
    return task if shown is None else task | {"condition": "label", "labels": shown.sha256}


def _hash(task: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(task, sort_keys=True).encode()).hexdigest()
