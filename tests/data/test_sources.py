import numpy as np
import pyarrow as pa
import pytest

from tests.data.pictures import colour, grey, png_bytes, write_folder, write_idx, write_parquet
from vae_search.data.sources import read_source


@pytest.mark.parametrize("zipped", [True, False])
def test_an_idx_folder_is_read_as_it_was_written(tmp_path, zipped):
    folder = write_idx(tmp_path / "idx", grey(), grey(30)[::-1], zipped=zipped)

    source = read_source(str(folder), cache=tmp_path)

    np.testing.assert_array_equal(source.train.pixels[..., 0], grey())
    np.testing.assert_array_equal(source.test.pixels[..., 0], grey(30)[::-1])
    assert source.train.scale == 255


def test_an_npz_may_have_a_test_split(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=grey(), x_test=grey(20), y_train=np.zeros(100), y_test=np.zeros(20))
    np.savez(tmp_path / "b.npz", x_train=colour())

    both, one = (read_source(str(tmp_path / name), cache=tmp_path) for name in ("a.npz", "b.npz"))

    assert both.test.pixels.shape == (20, 6, 5, 1)
    assert one.test is None
    np.testing.assert_array_equal(one.train.pixels, colour())


def test_a_folder_of_pictures_is_read_in_the_order_of_its_paths(tmp_path):
    write_folder(tmp_path / "b", grey()[50:])
    write_folder(tmp_path / "a", grey()[:50])

    source = read_source(str(tmp_path), cache=tmp_path)

    np.testing.assert_array_equal(source.train.pixels[..., 0], grey())


def test_the_subfolders_train_and_test_are_what_they_say(tmp_path):
    write_folder(tmp_path / "train" / "cats", colour())
    write_folder(tmp_path / "test", colour(40))

    source = read_source(str(tmp_path), cache=tmp_path)

    assert source.train.pixels.shape == (100, 6, 5, 3)
    assert source.test.pixels.shape == (40, 6, 5, 3)


def test_parquet_files_hold_encoded_pictures_or_lists_of_pixels(tmp_path):
    square = grey(100, 6, 6)
    encoded = [png_bytes(image) for image in square]
    files = [
        write_parquet(tmp_path / "bytes.parquet", image=encoded, label=[0] * 100),
        write_parquet(tmp_path / "hub.parquet", image=[{"bytes": b, "path": "x"} for b in encoded]),
        write_parquet(tmp_path / "lists.parquet", pixels=pa.array([i.ravel().tolist() for i in square])),
    ]

    for path in files:
        source = read_source(str(path), cache=tmp_path)
        np.testing.assert_array_equal(source.train.pixels[..., 0], square, err_msg=path.name)


@pytest.mark.parametrize(
    ("array", "dtype", "scale"),
    [
        (grey(), np.uint8, 255.0),
        (grey().astype(np.int64), np.uint8, 255.0),
        (grey() / 255.0, np.uint8, 255.0),
        ((grey() / 255.0).astype(np.float16), np.float32, 1.0),
        (grey() > 127, np.uint8, 1.0),
        ((grey() > 127).astype(np.int32), np.uint8, 1.0),
        (np.sqrt(grey() / 255.0), np.float32, 1.0),
    ],
)
def test_every_usual_type_of_pixel_comes_out_as_the_same_intensity(tmp_path, array, dtype, scale):
    np.save(tmp_path / "a.npy", array)

    images = read_source(str(tmp_path / "a.npy"), cache=tmp_path).train

    intensity = array / 255.0 if array.max() > 1 else array.astype(np.float64)
    assert (images.pixels.dtype, images.scale) == (dtype, scale)
    np.testing.assert_allclose(images.pixels[..., 0] / images.scale, intensity, atol=1e-6)


def test_the_digits_have_seventeen_grey_levels(tmp_path):
    source = read_source("digits", cache=tmp_path)

    assert source.train.pixels.shape == (1797, 8, 8, 1)
    assert source.train.scale == 16
    assert (source.validation, source.test_count) == (300, 297)


def test_a_name_is_found_in_the_cache_without_the_network(tmp_path, fashion_mnist_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    (tmp_path / "fashion-mnist").symlink_to(fashion_mnist_path)

    source = read_source("fashion_mnist", cache=tmp_path)

    assert source.train.pixels.shape == (60_000, 28, 28, 1)
    assert source.validation == 10_000


def test_a_name_that_cannot_be_had_says_where_to_put_it(tmp_path, monkeypatch):
    from vae_search.data import downloads
    from vae_search.errors import BadData

    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(downloads, "MNIST_URL", "http://127.0.0.1:9/mnist.npz")

    with pytest.raises(BadData, match="by hand") as error:
        read_source("mnist", cache=tmp_path)

    assert str(tmp_path) in str(error.value)
    assert len(str(error.value).splitlines()) == 3
