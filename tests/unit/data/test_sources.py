import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.pictures import colour, grey, png_by_hand, png_bytes, write_folder, write_idx, write_parquet
from vae_search.data.sources import read_source
from vae_search.data.splits import Protocol
from vae_search.errors import BadData


@pytest.mark.parametrize("zipped", [True, False])
def test_an_idx_folder_is_read_as_it_was_written(tmp_path, zipped):
    folder = write_idx(tmp_path / "idx", grey(), grey(30)[::-1], zipped=zipped)

    source = read_source(str(folder), cache=tmp_path)

    np.testing.assert_array_equal(source.train.pixels[..., 0], grey())
    np.testing.assert_array_equal(source.test.pixels[..., 0], grey(30)[::-1])
    assert source.train.scale == 255


@pytest.mark.parametrize(("name", "hint"), [("fashion", " Did you mean fashion_mnist?"), ("celeba", "")])
def test_a_name_that_is_neither_built_in_nor_there_is_told_what_is_built_in(tmp_path, name, hint):
    with pytest.raises(BadData) as refusal:
        read_source(str(tmp_path / name), cache=tmp_path)

    first, second = str(refusal.value).splitlines()
    assert first == f"{tmp_path / name}: must be readable, but: No such file or directory.{hint}"
    assert second.endswith("built in: digits, photo_patches, mnist, fashion_mnist, cifar10.")


def test_a_place_below_the_current_folder_is_named_from_there(tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    monkeypatch.chdir(tmp_path)

    with pytest.raises(BadData, match=r"^images/a\.npz: must be readable"):
        read_source(str(tmp_path / "images" / "a.npz"), cache=tmp_path)


def test_an_npz_may_have_a_test_split(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=grey(), x_test=grey(20), y_train=np.zeros(100), y_test=np.zeros(20))
    np.savez(tmp_path / "b.npz", x_train=colour())

    both, one = (read_source(str(tmp_path / name), cache=tmp_path) for name in ("a.npz", "b.npz"))

    assert both.test.pixels.shape == (20, 6, 5, 1)
    assert one.test is None
    np.testing.assert_array_equal(one.train.pixels, colour())


def test_arrays_of_an_npz_that_are_left_out_are_said(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=grey(), y_train=np.zeros(100), x_val=grey(30), meta=np.zeros(3))

    assert read_source(str(tmp_path / "a.npz"), cache=tmp_path).notes == ("Left out of the file: x_val, meta.",)


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
        ((grey() / 255.0).astype(np.float16), np.uint8, 255.0),
        (grey().astype(np.float32) * np.float32(1 / 255), np.uint8, 255.0),
        (np.minimum(grey() // 15, 16) / 16, np.uint8, 16.0),
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
    np.testing.assert_allclose(images.pixels[..., 0] / images.scale, intensity, atol=3e-4)  # float16 has 11 bits


def test_an_idx_folder_may_lack_test_images(tmp_path):
    write_idx(tmp_path, grey(), grey())
    (tmp_path / "t10k-images-idx3-ubyte.gz").unlink()

    assert read_source(str(tmp_path), cache=tmp_path).test is None


def test_hidden_files_and_folders_hold_no_images(tmp_path):
    write_folder(tmp_path / "cats", grey())
    write_folder(tmp_path / ".ipynb_checkpoints", grey(3))
    write_folder(tmp_path / "cats" / ".ipynb_checkpoints", grey(3))
    write_folder(tmp_path / "__MACOSX" / "cats", grey(3))
    (tmp_path / "cats" / "._0001.png").write_bytes(b"\0\5\x16\7 what macOS writes beside a picture")

    source = read_source(str(tmp_path), cache=tmp_path)

    np.testing.assert_array_equal(source.train.pixels[..., 0], grey())


def test_colours_of_16_bits_are_read_over_their_full_range(tmp_path):
    deep = np.random.default_rng(4).integers(0, 2**16, (40, 5, 6, 3)).astype(">u2")
    for number, image in enumerate(deep):
        rows = b"".join(b"\0" + row.tobytes() for row in image)
        (tmp_path / f"{number:02}.png").write_bytes(png_by_hand(6, 5, bits=16, kind=2, rows=rows))

    source = read_source(str(tmp_path), cache=tmp_path)

    np.testing.assert_array_equal(source.train.pixels, deep >> 8)


@pytest.mark.parametrize("name", ["A.NPY", "A.NPZ", "A.PARQUET"])
def test_endings_may_be_in_capitals(tmp_path, name):
    with (tmp_path / name).open("wb") as file:
        if name == "A.NPY":
            np.save(file, grey(100, 6, 6))
        elif name == "A.NPZ":
            np.savez(file, x_train=grey(100, 6, 6))
        else:
            pq.write_table(pa.table({"image": [png_bytes(image) for image in grey(100, 6, 6)]}), file)

    source = read_source(str(tmp_path / name), cache=tmp_path)

    np.testing.assert_array_equal(source.train.pixels[..., 0], grey(100, 6, 6))


def test_pictures_may_end_in_capitals(tmp_path):
    write_folder(tmp_path, grey())
    (tmp_path / "0000.png").rename(tmp_path / "0000.PNG")

    assert len(read_source(str(tmp_path), cache=tmp_path).train) == 100


def test_pickled_labels_do_not_block_good_images(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=grey(), y_train=np.array([{"label": 1}] * 100, dtype=object))

    source = read_source(str(tmp_path / "a.npz"), cache=tmp_path)

    np.testing.assert_array_equal(source.train.pixels[..., 0], grey())


def test_the_digits_have_seventeen_grey_levels(tmp_path):
    source = read_source("digits", cache=tmp_path)

    assert source.train.pixels.shape == (1797, 8, 8, 1)
    assert source.train.scale == 16
    assert source.protocol == Protocol(validation=300, test=297)


def test_a_name_is_found_in_the_cache_without_the_network(tmp_path, fashion_mnist_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    (tmp_path / "fashion-mnist").symlink_to(fashion_mnist_path)

    source = read_source("fashion_mnist", cache=tmp_path)

    assert source.train.pixels.shape == (60_000, 28, 28, 1)
    assert source.protocol == Protocol(validation=10_000)
