"""Black-and-white images for scoring, and what binarisation costs."""

import numpy as np

from vae_search.core.dataset_summary import DatasetSummary
from vae_search.data.image_checks import BLACK_AND_WHITE, Images, blocks
from vae_search.data.random_access.mapped_images import Keep, MappedImages, PixelArray, in_memory
from vae_search.errors import BadData

BINARISATION_SEED = 777


def draw_evaluation_sets(
    validation: Images, test: Images, *, keep_validation: Keep = in_memory, keep_test: Keep = in_memory
) -> tuple[np.ndarray, np.ndarray]:
    """Draw each pixel of the validation images, then of the test images, from Bernoulli(intensity): uint8 0/1.

    The published protocol for dynamically binarised MNIST and Fashion-MNIST (Exemplar VAE, Norouzi et al. 2020): both
    sets once, in this order, from NumPy's legacy generator with seed 777, so that scores compare with the literature.

    Args:
        keep_validation, keep_test: put what is drawn where there is room for it.
    """
    # The protocol names this generator, and its stream is frozen for good, which default_rng's is not.
    generator = np.random.RandomState(BINARISATION_SEED)
    return _drawn(validation, generator, keep_validation), _drawn(test, generator, keep_test)


def above_half(images: Images) -> PixelArray:
    """Intensity > 0.5: uint8 0/1."""
    if isinstance(images.pixels, MappedImages):
        return images.pixels.above(images.scale / 2)
    found = ((block > images.scale / 2).astype(np.uint8) for block in blocks(images.pixels))
    return in_memory(found, images.pixels.shape, np.dtype(np.uint8))


def bernoulli_entropy(images: Images) -> np.ndarray:
    """The entropy of each image's binarisation in nats, sum over pixels of h(intensity): (count,) float64.

    h(x) = -x log x - (1-x) log(1-x). No model explains images drawn from the intensities in fewer nats on average.
    """
    if images.pixels.dtype == np.uint8:
        table = _pixel_entropy(np.arange(int(images.scale) + 1) / images.scale)
        per_block = [table[block].sum(axis=(1, 2, 3)) for block in blocks(images.pixels)]
    else:
        per_block = [_pixel_entropy(block.astype(np.float64)).sum(axis=(1, 2, 3)) for block in blocks(images.pixels)]
    return np.concatenate(per_block)


def check_binarisation(images: DatasetSummary, *, binarize: str, where: str) -> None:
    """Refuse what a sweep would silently make of images that another binarisation is for.

    Raises:
        BadData: Colours would be black and white in each channel, or black and white would be taken as grey.
    """
    if images.is_binary and binarize == "none":
        raise BadData(f"{where}: {BLACK_AND_WHITE}")
    if images.is_coloured and not images.is_binary and binarize != "none":
        as_bytes = " Save the images as uint8 in 0 … 255," if images.white <= 1 else ""
        raise BadData(
            f"{where}: data.binarize: {binarize} leaves black and white in each channel, but these images are in "
            "colour.\n"
            f"For colours as they are:{as_bytes} set data.binarize: none and likelihood: discretized_logistic."
        )


def _drawn(images: Images, generator: np.random.RandomState, keep: Keep) -> np.ndarray:
    # NumPy draws pixel by pixel, so that blocks give what one call would; that one would need 17 bytes per pixel.
    drawn = (generator.binomial(1, block.astype(np.float64) / images.scale) for block in blocks(images.pixels))
    return keep(drawn, images.pixels.shape, np.dtype(np.uint8))


def _pixel_entropy(intensity: np.ndarray) -> np.ndarray:
    above_0, below_1 = np.maximum(intensity, 1e-300), np.minimum(intensity, 1 - 2**-53)  # 0 log 0 = 0
    entropy: np.ndarray = -intensity * np.log(above_0) - (1 - intensity) * np.log1p(-below_1)
    return entropy
