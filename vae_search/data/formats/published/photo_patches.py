"""Small colour images that need no download: patches of the two photographs that come with scikit-learn.

`china.jpg` by danielbuechele and `flower.jpg` by vultilion, CC BY 2.0 (scikit-learn's datasets/images/README.txt).

Each photograph is cut into 5 × 8 blocks, and a block belongs to one part whole, so that no held-out patch shares a
pixel with a training patch. The five blocks of a column go to three groups of training blocks, one of validation and
one of test; from column to column the groups move by two rows, as a knight does in chess, so that every part has sky,
building, flower and leaves. Which group is which, and which columns of validation come first, was chosen so that the
halves of validation differ by at most 8 % in mean colour, in mean gradient and in the entropy of their binarisation;
even against odd columns they differed twofold, and trials were chosen by other images than they were judged by.
Training patches overlap and keep away from the edge of their block; the others do not overlap, since errors of means
are computed as of independent images.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

PATCH = 16  # pixels along a side
BLOCK = 80
ROWS = 5  # of blocks
TRAIN_GROUPS, VALIDATION_GROUP, TEST_GROUP = (0, 3, 4), 1, 2
COLUMN_ORDER = (0, 2, 5, 6, 1, 3, 4, 7)
GUARD = 8  # pixels at least between a training patch and a held-out one
TRAIN_STEP = 6  # from one training patch to the next
VALIDATION_COUNT = 400  # 2 photographs × 8 blocks × 5 × 5 patches


def read_photo_patches() -> tuple[np.ndarray, np.ndarray]:
    """Training patches with the VALIDATION_COUNT of validation last, and test patches.

    The halves of validation are from the first and the other four of COLUMN_ORDER.

    Returns:
        (4288, 16, 16, 3) and (400, 16, 16, 3), uint8.
    """
    # Importing scikit-learn takes a second, and no other data set but the digits needs it.
    from sklearn.datasets import load_sample_images

    photographs = load_sample_images().images
    inner = slice(GUARD, BLOCK - GUARD)
    trained = [block[inner, inner] for group in TRAIN_GROUPS for block in _blocks(photographs, group)]
    train = [_patches(area, step=TRAIN_STEP) for area in trained]
    validation = _blocks(photographs, VALIDATION_GROUP)
    half = len(validation) // 2
    select, judge = _held_out(validation[:half]), _held_out(validation[half:])
    return np.concatenate([*train, select, judge]), _held_out(_blocks(photographs, TEST_GROUP))


def _blocks(photographs: list[np.ndarray], group: int) -> list[np.ndarray]:
    """One block of each column of each photograph, in COLUMN_ORDER; each (BLOCK, BLOCK, 3)."""
    corners = [(BLOCK * ((group - 2 * column) % ROWS), BLOCK * column) for column in COLUMN_ORDER]
    return [photo[top : top + BLOCK, left : left + BLOCK] for top, left in corners for photo in photographs]


def _held_out(blocks: list[np.ndarray]) -> np.ndarray:
    """Patches that do not overlap, one of each block and then the next: the first few, which are drawn, are varied."""
    patches = np.stack([_patches(block, step=PATCH) for block in blocks], axis=1)
    return patches.reshape(-1, *patches.shape[2:])


def _patches(area: np.ndarray, *, step: int) -> np.ndarray:
    """All patches of an area (height, width, 3) at this distance: (count, PATCH, PATCH, 3)."""
    windows = sliding_window_view(area, (PATCH, PATCH), axis=(0, 1))[::step, ::step]
    return np.moveaxis(windows, 2, -1).reshape(-1, PATCH, PATCH, area.shape[2])
