"""Sizes of an evaluation: draws, and what is held at once. Without TensorFlow, for estimates of its cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from vae_search.spec.hyperparameters import Config

# Fixed: the noise of an image follows from its place in a batch, and another size would change a score's last bits. A
# last batch that is not full costs what its images cost.
EVALUATION_BATCH = 500
IWAE_CHUNK = 10  # draws whose noise is drawn at once
MOST_HELD = 2**26  # floats of one layer, or of all that the likelihood makes of the outputs, held at once: 256 MiB
LIKELIHOOD_COPIES = 6  # arrays of the outputs' size that a likelihood holds at once
TRIAL_IWAE_SAMPLES = 16  # costs a trial of 45 epochs half a percent; finalists are scored with more
# Images decoded for one score. On digits the error of a difference of two models is 0.23 nats by one draw, 0.09 by 16,
# and 0.08 by 64, which would cost a trial 92 % of its training instead of 32 % (benchmarks/ranking_noise.py).
ELBO_PASSES, MOST_ELBO_DRAWS = 4_000, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldAtOnce:
    """Part of an evaluation that is in memory at one time."""

    images: int
    """consecutive ones of a batch, which this number divides"""
    draws: int
    """of each of them"""


def elbo_draws(images: int) -> int:
    """Draws of z that the distortion of each of so many images is averaged over.

    The error of a mean over few images is theirs and the draws'; the draws' part falls with their number (Rainforth et
    al. 2018, "On Nesting Monte Carlo Estimators", eq. 3: variance of images / n + variance of draws / (n · draws)).
    """
    return min(MOST_ELBO_DRAWS, -(-ELBO_PASSES // images))


def iwae_flops_per_epoch(config: Config, *, epochs: int, decoder_flops: float, images: int) -> float:
    """Cost of the importance-weighted bound after each epoch that trains one, on average over all epochs.

    Args:
        epochs: of the training.
        decoder_flops: of one image through the decoder.
        images: that are scored.
    """
    share = 1.0 - config.elbo_epochs(epochs) / epochs
    return share * TRIAL_IWAE_SAMPLES * decoder_flops * images


def held_at_once(image_shape: tuple[int, int, int], outputs: int, layer_outputs: Sequence[int]) -> HeldAtOnce:
    """The largest part of a batch, and the most draws of it, that keep to the limit above.

    Args:
        outputs: that the likelihood needs of the network for each value of a pixel.
        layer_outputs: values that each layer puts out for one image.
    """
    room = MOST_HELD // max(*layer_outputs, LIKELIHOOD_COPIES * prod(image_shape) * outputs)
    if room < EVALUATION_BATCH:
        divisors = [size for size in range(1, EVALUATION_BATCH) if EVALUATION_BATCH % size == 0 and size <= room]
        return HeldAtOnce(images=max(divisors, default=1), draws=1)
    return HeldAtOnce(images=EVALUATION_BATCH, draws=min(IWAE_CHUNK, room // EVALUATION_BATCH))
