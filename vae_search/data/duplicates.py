"""Images that are copies of others, pixel by pixel."""

from collections.abc import Mapping, Sequence
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
    train = {digests[0][position] for position in split.train}
    parts = {
        "select": [digests[0][position] for position in split.select],
        "judge": [digests[0][position] for position in split.judge],
        "test": digests[1] if split.test is None else [digests[0][position] for position in split.test],
    }
    return Duplicates(
        copies=sum(map(len, digests)) - len(set().union(*digests)),
        in_train={name: _count(part, train) for name, part in parts.items()},
    )


def _count(digests: Sequence[bytes], among: set[bytes]) -> int:
    return sum(digest in among for digest in digests)


def _digests(images: Images, *, as_floats: bool) -> list[bytes]:
    found = []
    for block in blocks(images.pixels):
        values = (block / np.float64(images.scale)).astype(np.float32) if as_floats else np.ascontiguousarray(block)
        rows = values.reshape(len(values), -1).view(np.uint8)
        found += [blake2b(row.data, digest_size=DIGEST_BYTES).digest() for row in rows]
    return found
