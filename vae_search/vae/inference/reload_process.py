"""Child process of the reload check: score a written model from its files alone. Started by `reload_check.py`.

`python -m vae_search.vae.inference.reload_process FOLDER IMAGES.npy [LABELS.npy]` prints one line of JSON: the scores,
or why the files cannot be scored. Whatever is not the files' fault ends it with a traceback.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import tensorflow as tf

from vae_search.data.image_checks import decoded_limit_bytes
from vae_search.data.pixel_statistics import intensities
from vae_search.vae.inference.model import VaeModel
from vae_search.vae.inference.reload_check import PROBLEM, ReloadedScore
from vae_search.vae.inference.saved_model import CONFIG_FILE, WEIGHTS_FILE
from vae_search.vae.inference.scoring import check_classes, scored
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.objective.evaluation import Evaluator
from vae_search.vae.objective.evaluation_size import EVALUATION_BATCH

FLOAT_BYTES = 4
MACHINE_TROUBLE = (
    tf.errors.ResourceExhaustedError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.UnavailableError,
)


def score_folder(folder: Path, images: np.ndarray, labels: np.ndarray | None = None) -> ReloadedScore:
    """Load both forms of a model from `folder` and score them on images.

    Of a Keras network of somebody's own there is one form that needs no code: its SavedModel, scored in two ways.

    Args:
        images: (n, height, width, channels) uint8 in 0 … levels - 1.
        labels: (n,) int64, of a conditional model.

    Raises:
        ValueError: A file is damaged or hostile.
        OSError: A file is missing.
    """
    description = ModelDescription.from_json((folder / CONFIG_FILE).read_bytes())
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    model = VaeModel.from_version(files[CONFIG_FILE], files[WEIGHTS_FILE], saved_model=files)
    check_classes(description, labels)
    topology, weights = scored(model.trained, description)
    evaluator = Evaluator.of(description, topology)
    distortion, rate = evaluator.neg_elbo(weights, images, labels)
    some = images[: max(EVALUATION_BATCH, decoded_limit_bytes() // (FLOAT_BYTES * images[0].size))]
    of_one_draw = evaluator.neg_elbo(weights, some, labels, draws=1)  # as the SavedModel's signature has it
    seen = tf.constant(intensities(some, description.levels))
    given = {} if labels is None else {"labels": tf.constant(labels[: len(some)], tf.int64)}
    elbo = tf.saved_model.load(str(folder)).signatures["elbo"](images=seen, **given)["elbo"]
    return ReloadedScore(
        neg_elbo=distortion + rate,
        saved_model_difference=abs(sum(of_one_draw) + float(np.mean(elbo.numpy(), dtype=np.float64))),
    )


def answer(folder: Path, images: np.ndarray, labels: np.ndarray | None = None) -> dict[str, object]:
    """The scores, or the reason why the files in `folder` cannot be scored."""
    try:
        return asdict(score_folder(folder, images, labels))
    except MACHINE_TROUBLE:
        raise
    except (ValueError, KeyError, TypeError, FileNotFoundError, tf.errors.OpError) as error:
        return {PROBLEM: f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    fits = Path(sys.argv[2]).stat().st_size <= decoded_limit_bytes()
    of_images = np.load(sys.argv[3], allow_pickle=False) if len(sys.argv) > 3 else None
    scored_images = np.load(sys.argv[2], mmap_mode=None if fits else "r", allow_pickle=False)
    told = answer(Path(sys.argv[1]), scored_images, of_images)
    sys.stdout.write(json.dumps(told) + "\n")
