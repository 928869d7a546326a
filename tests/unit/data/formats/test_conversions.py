"""Commands that refusals name: whoever runs one where the file lies has images that are read."""

import os
import pickle
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.support.people_files import other, pictures, tables
from tests.support.people_files.drawings import drawings, save
from vae_search.data.formats.conversions import PYTHON, SAME, SHELL, conversion
from vae_search.data.labelling.source_labels import source_labels
from vae_search.data.sources import read_source
from vae_search.errors import BadData

# In place of libraries that nothing here needs: they hand out the array that lies beside, as the real ones would.
STUB = """
import numpy
class Array(numpy.ndarray):
    pixel_array = property(numpy.asarray)
    numpy = get_fdata = lambda self: self.pixel_array
    def __getitem__(self, key): return self if key == 'images' else super().__getitem__(key)
def load(*_, **__): return numpy.load('beside.npy').view(Array)
open = dcmread = load
class Dataset:
    @staticmethod
    def from_file(name): return Dataset()
    def to_parquet(self, name):
        import shutil
        shutil.copy('beside.parquet', name)
"""
STUBBED = ("torch", "zarr", "nibabel", "datasets", "pydicom")


def refusal(path: Path) -> str:
    with pytest.raises(BadData) as error:
        read_source(str(path), cache=path.parent)
    return str(error.value)


def run(command: str, folder: Path) -> None:
    """Run the command as a person would, in the folder of the file, with our Python."""
    words = shlex.split(command, comments=True)
    assert words[0] == "python"
    env = os.environ | {"PYTHONPATH": str(folder / "stubs")}
    subprocess.run([sys.executable, *words[1:]], cwd=folder, check=True, env=env, capture_output=True)


def with_stubs(folder: Path) -> None:
    (folder / "stubs").mkdir()
    for name in STUBBED:
        (folder / "stubs" / f"{name}.py").write_text(STUB)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.pt", "a.zarr", "a.arrow", "a.nii.gz", "a.dcm", "mnist.pkl.gz"])
def test_a_conversion_leads_to_images_that_are_read(tmp_path, name):
    with_stubs(tmp_path)
    images = drawings()
    stored = {"a.nii.gz": np.moveaxis(images, 0, -1) / 1.0}.get(name, images)
    np.save(tmp_path / "beside.npy", stored)
    pq.write_table(pa.table({"image": tables.structs(images)}), tmp_path / "beside.parquet")
    if name == "a.zarr":
        other.zarr(tmp_path).rename(tmp_path / name)
    elif name == "mnist.pkl.gz":
        other.pickled(tmp_path)
    else:
        (tmp_path / name).write_bytes(b"x")

    run(refusal(tmp_path / name).splitlines()[-1], tmp_path)

    (made,) = [path for path in tmp_path.glob("x.*") if path.name != name]
    np.testing.assert_array_equal(read_source(str(made), cache=tmp_path).train.pixels[..., 0], images)


def follow(path: Path) -> None:
    run(refusal(path).splitlines()[-1], path if path.is_dir() else path.parent)


@pytest.mark.parametrize("ending", [".bin", ""])
def test_cifar_100_is_read_with_its_labels_once_it_is_converted(tmp_path, ending):
    images, fine = drawings(300, 32, 32, 3), np.arange(300, dtype=np.uint8) % 100
    flat = np.moveaxis(images, -1, 1).reshape(300, -1)
    for name, part in (("train", slice(0, 200)), ("test", slice(200, 300))):
        records = np.c_[fine[part] // 5, fine[part], flat[part]].astype(np.uint8).tobytes()
        pickled = pickle.dumps({"data": flat[part], "fine_labels": fine[part].tolist()})
        (tmp_path / f"{name}{ending}").write_bytes(records if ending else pickled)
    (tmp_path / "meta").write_bytes(b"x")

    assert refusal(tmp_path / f"train{ending}").splitlines()[-1] == refusal(tmp_path).splitlines()[-1]
    follow(tmp_path)

    source = read_source(str(tmp_path / "x.npz"), cache=tmp_path)
    np.testing.assert_array_equal(source.train.pixels, images[:200])
    np.testing.assert_array_equal(source.test.pixels, images[200:])
    np.testing.assert_array_equal(source_labels(source.name, 200), fine[:200])


def test_an_archive_of_cifar_100_is_told_how_to_be_unpacked(tmp_path):
    path = pictures.archive(tmp_path / "cifar-100-binary.tar.gz", {"cifar-100-binary/train.bin": b"x"})

    assert refusal(path).splitlines()[-1] == "tar -xf 'cifar-100-binary.tar.gz'"


@pytest.mark.parametrize("is_given_as_file", [True, False])
def test_pages_of_one_file_are_read_once_they_are_files_of_their_own(tmp_path, is_given_as_file):
    first, *others = (Image.fromarray(image) for image in drawings(100))
    (tmp_path / "stacks").mkdir()
    first.save(tmp_path / "stacks" / "a.tif", save_all=True, append_images=others)

    follow(tmp_path / "stacks" / "a.tif" if is_given_as_file else tmp_path / "stacks")

    source = read_source(str(tmp_path / "stacks" / "pages"), cache=tmp_path)
    np.testing.assert_array_equal(source.train.pixels[..., 0], drawings(100))


@pytest.mark.slow
def test_files_that_a_column_names_are_put_in_by_the_command(tmp_path):
    for number, image in enumerate(drawings()):
        save(tmp_path / "a" / f"{number}.png", image)
    names = [{"bytes": None, "path": f"a/{number}.png"} for number in range(200)]
    path = tables.parquet(tmp_path, image=names)

    run(refusal(path).splitlines()[-1], tmp_path)

    source = read_source(str(tmp_path / "new.parquet"), cache=tmp_path)
    np.testing.assert_array_equal(source.train.pixels[..., 0], drawings())


@pytest.mark.slow
def test_a_table_of_colours_is_converted_by_the_command(tmp_path):
    images = drawings(100, 8, 8, 3)
    header = ",".join(["label", *(f"pixel{number}" for number in range(192))])
    rows = np.c_[np.arange(100) % 3, images.reshape(100, -1)]
    np.savetxt(tmp_path / "a.csv", rows, fmt="%d", delimiter=",", header=header, comments="")

    run(refusal(tmp_path / "a.csv").rpartition("give a.npy: ")[2], tmp_path)

    np.testing.assert_array_equal(read_source(str(tmp_path / "a.npy"), cache=tmp_path).train.pixels, images)


@pytest.mark.slow
def test_pixels_in_one_column_are_split_by_the_command(tmp_path):
    rows = "".join(f"3,{' '.join(map(str, image.ravel()))},Training\n" for image in drawings())
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n" + rows)

    run(refusal(tmp_path / "fer2013.csv").splitlines()[-1], tmp_path)

    source = read_source(str(tmp_path / "a.npy"), cache=tmp_path)
    np.testing.assert_array_equal(source.train.pixels[..., 0], drawings())


def test_semicolons_become_commas_by_the_command(tmp_path):
    (tmp_path / "a.csv").write_text("\n".join(";".join(map(str, image.ravel())) for image in drawings()))

    subprocess.run(refusal(tmp_path / "a.csv").splitlines()[-1], shell=True, cwd=tmp_path, check=True)  # noqa: S602

    source = read_source(str(tmp_path / "commas.csv"), cache=tmp_path)
    np.testing.assert_array_equal(source.train.pixels[..., 0], drawings())


def test_a_name_that_a_shell_would_run_is_in_no_command():
    assert conversion(Path("$(rm -rf x)';.mp4")) == "\nmkdir frames && ffmpeg -i 'FILE' frames/%06d.png"


@pytest.mark.parametrize("ending", sorted({*PYTHON, *SHELL, *SAME}))
def test_every_ending_has_one_command(ending):
    (command,) = conversion(Path(f"my 'own{ending}".replace("'", ""))).strip().splitlines()

    assert f"my own{ending}" in command or f"*{ending}" in command
