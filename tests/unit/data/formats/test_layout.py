"""Axes of arrays: the count is found, in memory and where an array is read in ranges."""

import numpy as np
import pytest

from vae_search.data.formats.arrays.layout import COUNTED_LAST, in_order


@pytest.mark.parametrize("shape", [(64, 64, 300), (128, 128, 512), (28, 28, 200)])
def test_squares_that_matlab_counted_last_are_read_so(shape):
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    ordered, notes = in_order({"train": images}, by_columns=True)

    np.testing.assert_array_equal(ordered["train"], np.moveaxis(images, -1, 0))
    assert notes == [COUNTED_LAST]


@pytest.mark.parametrize("by_columns", [False, True])
@pytest.mark.parametrize("shape", [(200, 28, 28), (64, 64, 64), (300, 64, 64)])
def test_images_that_are_counted_first_stay_so(shape, by_columns):
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    ordered, notes = in_order({"train": images}, by_columns=by_columns)

    assert ordered["train"] is images
    assert notes == []


def test_numpys_arrays_of_as_many_images_as_rows_are_read_as_before():
    images = np.random.default_rng(0).integers(0, 256, (64, 64, 300), np.uint8)

    ordered, notes = in_order({"train": images})

    assert ordered["train"] is images
    assert notes == []
