"""Raw pixels in TFRecords: bytes are read, wider numbers are refused and never taken for larger images."""

import numpy as np
import pytest

from tests.support.people_files import tables
from tests.support.people_files.drawings import drawings
from vae_search.data.sources import read_source
from vae_search.errors import BadData


def records(folder, images, **stated):
    made = [tables.example({"image_raw": image.tobytes(), **stated}) for image in images]
    return tables.tfrecords(folder / "a.tfrecord", made)


def floats(count=200):
    return (drawings(count) / 255).astype("<f4")


def with_alpha(count=200):
    colour = drawings(count, 28, 28, 3)
    return np.concatenate([colour, np.full((*colour.shape[:3], 1), 255, np.uint8)], axis=-1)


@pytest.mark.parametrize("make", [floats, with_alpha])
def test_four_bytes_a_pixel_are_refused_where_the_size_is_stated(tmp_path, make):
    with pytest.raises(BadData, match=r"1 or 3 bytes for each of 28×28 pixels, .* 3,136, as of float32 or RGBA"):
        read_source(str(records(tmp_path, make(), height=28, width=28)), cache=tmp_path)


@pytest.mark.parametrize(
    ("make", "kind"), [(floats, "float32"), (lambda: floats() * 2 - 1, "float32"), (with_alpha, "RGBA")]
)
def test_four_bytes_a_pixel_are_refused_where_no_size_is_stated(tmp_path, make, kind):
    with pytest.raises(BadData, match=f"3,136 may be {kind} of 28×28 pixels"):
        read_source(str(records(tmp_path, make())), cache=tmp_path)


@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_of_square_images_of_an_even_side_are_read_without_their_size(tmp_path, channels):
    images = drawings(200, 28, 28, channels).reshape(200, 28, 28, channels)

    found = read_source(str(records(tmp_path, images)), cache=tmp_path)

    np.testing.assert_array_equal(found.train.pixels, images)
