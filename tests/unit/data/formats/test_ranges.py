"""Ranges of float pixels: told apart only where the pixels reach both ends."""

import numpy as np
import pytest

from tests.support.people_files.drawings import drawings
from vae_search.data.formats.arrays.ranges import in_range, scaling_of
from vae_search.data.sources import read_source
from vae_search.errors import BadData


@pytest.mark.parametrize(("low", "high"), [(-0.5, 0.5), (-0.95, 0.5), (-0.5, 1.0)])
def test_floats_that_do_not_reach_both_ends_of_minus_one_to_one_are_not_rescaled(low, high):
    images = np.linspace(low, high, 64 * 64).reshape(64, 8, 8)

    parts, notes = in_range({"train": images}, scaling_of({"train": images}))

    assert notes == []
    assert parts["train"] is images


def test_half_a_unit_around_zero_is_refused_with_the_line_that_mends_it(tmp_path):
    centred = drawings(200) / 255
    centred = (centred - centred.min()) / (centred.max() - centred.min()) - 0.5
    np.save(tmp_path / "a.npy", centred)

    with pytest.raises(BadData, match=r"From \[-0.5, 0.5\] use images \+ 0.5."):
        read_source(str(tmp_path / "a.npy"), cache=tmp_path)

    np.save(tmp_path / "a.npy", centred + 0.5)
    assert len(read_source(str(tmp_path / "a.npy"), cache=tmp_path).train) == 200


def test_half_precision_is_taken_for_bytes_only_where_it_holds_them():
    levels = np.arange(256).repeat(16).reshape(64, 8, 8)
    between = np.linspace(-1, 1, 64 * 64).reshape(64, 8, 8)

    of_bytes, _ = in_range({"train": (levels / 127.5 - 1).astype(np.float16)}, "[-1, 1]")
    of_floats, _ = in_range({"train": between.astype(np.float16)}, "[-1, 1]")

    np.testing.assert_array_equal(of_bytes["train"], levels)
    assert of_floats["train"].dtype == np.float32
