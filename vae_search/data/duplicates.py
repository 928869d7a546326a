"""Images that are copies of others, pixel by pixel."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from vae_search.data.image_checks import Images, blocks
from vae_search.data.splits import Split

DIGEST_BYTES = 16  # a false copy among a hundred thousand images is rarer than 1 in 10²⁸


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """Exact copies in a data set."""

    copies: int
    """images that equal one before them, in whatever part"""
    in_train: Mapping[str, int]
    """images that equal a training image, by held-out part: select, judge, test"""


def count_duplicates(images: Images, own_test: Images | None, split: Split) -> Duplicates:
    """Count copies within and across the parts of a data set, before their pixels are binarised.

    Args:
        own_test: the source's own test images.
    """
    sources = [images] if own_test is None else [images, own_test]
    # Equal intensities may be other bytes from one file to the next.
    as_floats = len({(source.pixels.dtype, source.scale) for source in sources}) > 1
    digests = [_digests(source, as_floats=as_floats) for source in sources]
    train = digests[0][split.train]
    parts = {
        "select": digests[0][split.select],
        "judge": digests[0][split.judge],
        "test": digests[1] if split.test is None else digests[0][split.test],
    }
    return Duplicates(
        copies=sum(map(len, digests)) - len(np.unique(np.concatenate(digests))),
        in_train={name: int(np.isin(part, train).sum()) for name, part in parts.items()},
    )


def _digests(images: Images, *, as_floats: bool) -> np.ndarray:
    """(count,) strings of DIGEST_BYTES; the zeros that NumPy drops at the end of one are the same for equal digests."""
    found = np.empty(len(images), f"S{DIGEST_BYTES}")
    position = 0
    for block in blocks(images.pixels):
        values = (block / np.float64(images.scale)).astype(np.float32) if as_floats else np.ascontiguousarray(block)
        for row in values.reshape(len(values), -1).view(np.uint8):
            found[position] = blake2b(row.data, digest_size=DIGEST_BYTES).digest()
            position += 1
    return found
