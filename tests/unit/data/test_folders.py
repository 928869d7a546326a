"""Folders as people have them: which pictures are trained on is said, or asked; none is left out in silence."""

import shutil
from collections.abc import Callable
from pathlib import Path, PurePath

import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.support.pictures import grey, png_bytes, write_folder, write_idx
from vae_search.data.formats.choices import Choices
from vae_search.data.formats.pictures import encoded_images
from vae_search.data.formats.roles import role_of
from vae_search.data.sources import Source, read_source
from vae_search.data.splits import Protocol
from vae_search.errors import BadData


def read(folder: Path) -> Source:
    return read_source(str(folder), cache=folder)


def refusal(folder: Path) -> str:
    with pytest.raises(BadData) as error:
        read(folder)
    assert len(str(error.value).splitlines()) <= 3
    return str(error.value)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("training", "testing"),
        ("Train", "Test"),
        ("train_set", "test-images"),
        ("seg_train", "seg_test"),
        ("mnist_png/training", "mnist_png/testing"),
        ("train2017", "test2017"),
    ],
)
def test_folders_that_say_training_and_testing_are_the_two_splits(tmp_path, train, test):
    write_folder(tmp_path / train / "a", grey()[:50])
    write_folder(tmp_path / train / "b", grey()[50:])
    write_folder(tmp_path / test / "a", grey(30)[::-1])

    source = read(tmp_path)

    np.testing.assert_array_equal(source.train.pixels[..., 0], grey())
    np.testing.assert_array_equal(source.test.pixels[..., 0], grey(30)[::-1])


HELD_OUT = ["val", "valid", "Validation", "dev", "eval", "holdout", "held_out", "val2017"]


@pytest.mark.parametrize("name", HELD_OUT)
def test_a_folder_that_holds_pictures_out_is_the_part_to_choose_models_by(tmp_path, name):
    write_folder(tmp_path / "train", grey())
    write_folder(tmp_path / name, grey(40)[::-1])

    source = read(tmp_path)

    assert source.protocol == Protocol(validation=40, is_own=True)
    np.testing.assert_array_equal(source.train.pixels[100:, ..., 0], grey(40)[::-1])


@pytest.mark.parametrize("name", HELD_OUT)
def test_beside_folders_that_say_nothing_a_folder_that_holds_pictures_out_is_refused_by_name(tmp_path, name):
    write_folder(tmp_path / "cats", grey())
    write_folder(tmp_path / name, grey(30))

    assert f"{name} says that its 30 pictures are not to be trained on" in refusal(tmp_path)


def sort_into_train(folder: Path) -> None:
    (folder / "train").mkdir()
    shutil.move(folder / "cats", folder / "train" / "cats")


def rename_the_class(folder: Path) -> None:
    (folder / "val").rename(folder / "class_val")


@pytest.mark.parametrize(
    ("hint", "follow", "count"),
    [
        ("Move the others into a folder train beside it, class folders inside", sort_into_train, 140),
        ("If it is a class, rename it to class_val", rename_the_class, 140),
    ],
)
def test_the_hints_for_a_validation_folder_work(tmp_path, hint, follow: Callable[[Path], None], count):
    folder = tmp_path / "pets"
    write_folder(folder / "cats", grey())
    write_folder(folder / "val", grey(40))
    assert hint in refusal(folder).replace("\n", " ")

    follow(folder)

    assert len(read(folder).train) == count


def test_too_few_pictures_to_choose_models_by_are_pooled_and_said(tmp_path):
    write_folder(tmp_path / "train", grey())
    write_folder(tmp_path / "val", grey(16))

    source = read(tmp_path)

    assert (len(source.train), source.protocol) == (116, None)
    assert "16 images for validation are fewer than 32" in " ".join(source.notes)


@pytest.mark.parametrize("inside", ["cats/test", "cats/val/1", "train/cats/test"])
def test_a_folder_further_down_that_says_so_is_refused(tmp_path, inside):
    write_folder(tmp_path / "train" / "cats" if inside.startswith("train") else tmp_path / "cats" / "train", grey())
    write_folder(tmp_path / inside, grey(30))
    write_folder(tmp_path / "train" / "dogs" if inside.startswith("train") else tmp_path / "dogs", grey(20))

    assert f"{inside.removesuffix('/1')} says that its pictures are not to be trained on" in refusal(tmp_path)


@pytest.mark.parametrize("above", [".", "cats"])
def test_a_class_that_is_called_so_may_be_renamed_as_the_refusal_says(tmp_path, above):
    valid = write_folder(tmp_path / above / "valid", grey())
    write_folder(tmp_path / above / "invalid", grey(20))
    write_folder(tmp_path / "other", grey(20))
    assert "to class_valid" in refusal(tmp_path)

    valid.rename(valid.with_name("class_valid"))

    assert len(read(tmp_path).train) == 140


def test_a_class_train_among_test_images_is_a_class(tmp_path):
    for part in ("train", "test"):
        for name in ("bus", "train"):
            write_folder(tmp_path / part / name, grey(40))

    source = read(tmp_path)

    assert (len(source.train), len(source.test)) == (80, 80)


@pytest.mark.parametrize("name", ["contest", "class_test", "tests_failed", "training_day_photos", "cats", "0", "evil"])
def test_other_names_say_nothing(name):
    assert role_of(name) is None


def test_two_folders_for_one_part_are_refused(tmp_path):
    for name in ("train", "training", "test"):
        write_folder(tmp_path / name, grey(40))

    assert "train and training do" in refusal(tmp_path)


def test_a_linked_class_folder_inside_is_read(tmp_path):
    write_folder(tmp_path / "cats", grey()[:50])
    write_folder(tmp_path / ".pool" / "dogs", grey()[50:])
    (tmp_path / "dogs").symlink_to(".pool/dogs")

    source = read(tmp_path)

    np.testing.assert_array_equal(source.train.pixels[..., 0], grey())
    assert source.notes == ()


def test_a_linked_class_folder_outside_is_refused_and_a_copy_of_it_is_read(tmp_path):
    folder, link = tmp_path / "pets", tmp_path / "pets" / "dogs"
    write_folder(folder / "cats", grey()[:50])
    write_folder(tmp_path / "pool" / "dogs", grey()[50:])
    link.symlink_to(tmp_path / "pool" / "dogs")
    assert "dogs is a link out of this folder" in refusal(folder)

    link.unlink()
    shutil.copytree(tmp_path / "pool" / "dogs", link)

    np.testing.assert_array_equal(read(folder).train.pixels[..., 0], grey())


def test_links_to_folders_that_are_read_already_and_circles_are_said_and_read_once(tmp_path):
    write_folder(tmp_path / "cats", grey())
    (tmp_path / "again").symlink_to("cats")
    (tmp_path / "cats" / "up").symlink_to(tmp_path)

    source = read(tmp_path)

    assert len(source.train) == 100
    assert source.notes == ("Not read twice, as links to folders that are read: again, cats/up.",)


def test_a_link_to_nothing_is_refused(tmp_path):
    write_folder(tmp_path / "cats", grey())
    (tmp_path / "dogs").symlink_to("gone")

    assert "dogs is a link to nothing" in refusal(tmp_path)


def test_files_that_are_no_pictures_by_their_endings_are_counted(tmp_path):
    write_folder(tmp_path, grey())
    for name in ("a.svg", "b.SVG", "labels.csv", "README", ".hidden"):
        (tmp_path / name).write_bytes(b"x")

    (note,) = read(tmp_path).notes

    assert note == "Left out, as no pictures by their endings: 4 files (2 .svg, 1 .csv, 1 without an ending)."


def turned(image: np.ndarray, path: Path, orientation: int) -> None:
    """A picture that is seen as `image` by whoever heeds its orientation."""
    undo = {2: np.fliplr, 3: lambda a: np.rot90(a, 2), 6: np.rot90, 8: lambda a: np.rot90(a, -1)}
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    picture = Image.fromarray(np.ascontiguousarray(undo.get(orientation, np.array)(image)))
    options = {".tif": {"compression": "tiff_lzw"}, ".jpg": {"quality": 100}, ".webp": {"lossless": True}}
    picture.save(path, exif=exif, **options.get(path.suffix, {}))


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "jpg"])
def test_pictures_are_read_as_they_are_to_be_seen(tmp_path, suffix):
    blocks = np.kron(np.random.default_rng(3).integers(0, 2, (40, 3, 2)), np.ones((8, 8))).astype(np.uint8) * 255
    for number, image in enumerate(blocks):
        turned(image, tmp_path / f"{number:02}.{suffix}", [1, 2, 3, 6, 8][number % 5])

    source = read(tmp_path)

    assert source.train.pixels.shape[1:3] == (24, 16)
    assert np.abs(source.train.pixels[..., 0].astype(int) - blocks).max() < 30  # JPEG is not exact
    assert source.notes == ("Set upright, or mirrored, as their EXIF orientation says: 32 pictures.",)


def test_a_turned_tiff_that_pillow_would_mix_up_is_refused(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(grey()[0]).save(tmp_path / "0.tif", exif=exif)

    assert "Save the pictures upright, or compressed" in refusal(tmp_path)


def test_damaged_metadata_do_not_stop_a_picture(tmp_path):
    write_folder(tmp_path, grey())
    Image.fromarray(grey()[0]).save(tmp_path / "0000.png", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")

    assert len(read(tmp_path).train) == 100


def test_listing_takes_a_few_steps_for_each_file_however_many_there_are(tmp_path, monkeypatch):
    for part in ("train", "test"):
        write_folder(tmp_path / part, grey(200))
    hashed = 0
    once = PurePath.__hash__

    def count(path: PurePath) -> int:
        nonlocal hashed
        hashed += 1
        return once(path)

    monkeypatch.setattr(PurePath, "__hash__", count)

    read(tmp_path)

    assert hashed < 20 * 400  # a set of all paths for each of them is 160,000


def test_how_far_many_pictures_are_is_told_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setattr(encoded_images, "TOLD_EACH", 40)
    write_folder(tmp_path, grey())
    told: list[str] = []

    read_source(str(tmp_path), cache=tmp_path, choices=Choices(on_progress=told.append))

    assert told == ["decoded 40 of 100 pictures", "decoded 80 of 100 pictures"]


@pytest.mark.parametrize("given", ["folder", "file"])
def test_idx_files_of_other_names_are_read_with_the_part_beside_them(tmp_path, given):
    write_idx(tmp_path / "k49", grey(), grey(30))
    for file in sorted((tmp_path / "k49").iterdir()):
        file.rename(file.with_name("k49-" + file.name.replace("t10k", "test")))

    source = read(tmp_path / "k49" / ("k49-train-images-idx3-ubyte.gz" if given == "file" else ""))

    np.testing.assert_array_equal(source.train.pixels[..., 0], grey())
    np.testing.assert_array_equal(source.test.pixels[..., 0], grey(30))


def test_idx_files_of_two_sets_are_refused_and_one_of_them_is_read_by_its_file(tmp_path):
    for name in ("letters", "digits"):
        write_idx(tmp_path / name, grey(), grey(30))
        for file in sorted((tmp_path / name).iterdir()):
            file.rename(tmp_path / f"emnist-{name}-{file.name.replace('t10k', 'test')}")
        (tmp_path / name).rmdir()
    message = refusal(tmp_path)
    assert "it holds 2: emnist-digits, emnist-letters" in message

    given = message.rpartition("such as ")[2].removesuffix(".")

    np.testing.assert_array_equal(read(tmp_path / given).train.pixels[..., 0], grey().swapaxes(1, 2))


def test_an_idx_file_of_a_folder_that_can_be_read_stands_for_that_folder(tmp_path):
    write_idx(tmp_path, grey(), grey(30))

    assert len(read(tmp_path / "train-images-idx3-ubyte.gz").test) == 30


def test_pictures_of_several_depths_are_read_once_they_are_converted_as_the_refusal_says(tmp_path):
    deep = np.random.default_rng(9).integers(0, 2**16, (100, 6, 5)).astype(np.uint16)
    folder = write_folder(tmp_path / "a", deep)
    write_folder(tmp_path / "b", grey(20))
    line = refusal(tmp_path).rpartition("Convert those of 16 bits: ")[2]

    for file in sorted(folder.glob("*.png")):
        with Image.open(file) as picture:
            eval(line, {"Image": Image, "numpy": np, "picture": picture}).save(file)  # noqa: S307 - our own text

    np.testing.assert_array_equal(read(tmp_path).train.pixels[:100, ..., 0], deep >> 8)


def test_a_picture_bomb_among_good_pictures_ends_all_threads(tmp_path):
    write_folder(tmp_path, grey(200))
    (tmp_path / "0003.png").write_bytes(png_bytes(np.zeros((600, 4), np.uint8)))

    assert "0003.png" in refusal(tmp_path)
