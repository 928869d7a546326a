"""Sizes of an evaluation: images and draws that are held at once. Without TensorFlow, for estimates of its cost."""

from math import prod

# Fixed: the noise of an image follows from its place in a batch, and another size would change a score's last bits. A
# last batch that is not full costs what its images cost.
EVALUATION_BATCH = 500
IWAE_CHUNK = 10  # importance samples whose noise is drawn at once
MOST_OUTPUTS = 2**25  # floats of the decoder held at once; a likelihood needs several times that in between
TRIAL_IWAE_SAMPLES = 16  # costs a trial of 45 epochs half a percent; finalists are scored with more


def draws_at_once(image_shape: tuple[int, int, int], outputs: int) -> int:
    """Importance samples of a whole batch whose images are held at once.

    Args:
        outputs: that the likelihood needs of the network for each value of a pixel.
    """
    return max(1, min(IWAE_CHUNK, MOST_OUTPUTS // (EVALUATION_BATCH * prod(image_shape) * outputs)))
