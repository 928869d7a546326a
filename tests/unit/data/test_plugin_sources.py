"""Data sets of installed packages."""

import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from tests.support.installed_package import install
from tests.support.paths import ROOT
from vae_search.data.comparability import comparability_key
from vae_search.data.dataset import Dataset, load_dataset
from vae_search.errors import BadData
from vae_search.spec.fields import located
from vae_search.spec.sections import DataSpec

CODE = """
import numpy as np

class Squares:
    def __init__(self):
        self.labels = np.arange(300) % 3
    def __len__(self):
        return 300
    def __getitem__(self, k):
        return np.random.default_rng(k).integers(0, 256, (7, 5)).astype(np.uint8)
"""
ENTRY = "[vae_search.sources]\nsquares = my_images:Squares\n"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a package `my-images` of this code; it may be done again."""

    def of(code: str = CODE, *, entry_points: str = ENTRY, version: str = "1.2") -> None:
        for old in (tmp_path / "site").glob("my_images-*/*"):
            old.unlink()
        for name in ("", "-"):
            sys.modules.pop(f"my_images{name}", None)
        install(
            tmp_path / "site",
            monkeypatch,
            name="my-images",
            code=code,
            entry_points=entry_points,
            version=version,
        )

    return of


def load(folder: Path, *, held_bytes: int | None = None, **fields) -> Dataset:
    spec = DataSpec.model_validate({"source": "plugin:squares", "binarize": "none"} | fields)
    return load_dataset(spec, cache=folder / "cache", held_bytes=held_bytes)


@pytest.mark.parametrize("held_bytes", [None, 0])
def test_an_installed_data_set_is_used_as_a_file_is(held_bytes, installed, tmp_path):
    installed()
    images = np.stack([np.random.default_rng(k).integers(0, 256, (7, 5)).astype(np.uint8) for k in range(300)])
    np.save(tmp_path / "same.npy", images)

    found = load(tmp_path, held_bytes=held_bytes)

    of_file = load(tmp_path, source=str(tmp_path / "same.npy"))
    np.testing.assert_array_equal(found.train[:], of_file.train)
    np.testing.assert_array_equal(found.test[:], of_file.test)
    assert comparability_key(found, likelihood="gaussian") == comparability_key(of_file, likelihood="gaussian")
    assert found.summary.notes == ("Read from the package my-images 1.2.",)
    label_of = {image.tobytes(): number % 3 for number, image in enumerate(images)}
    assert [label_of[image.tobytes()] for image in found.train[:]] == found.train_labels.tolist()


@pytest.mark.parametrize("held_bytes", [None, 0])
def test_installed_images_are_brought_to_the_size_that_a_spec_asks_for(held_bytes, installed, tmp_path):
    installed()

    found = load(tmp_path, held_bytes=held_bytes, resize={"height": 8, "width": 8})

    assert found.image_shape == (8, 8, 1)
    assert any("8×8" in note for note in found.summary.notes)


@pytest.mark.parametrize(
    "change",
    [
        {"version": "1.3"},
        {"code": CODE.replace("default_rng(k)", "default_rng(k + 1)")},
        {"code": CODE + "    identity = 'of today'\n"},
    ],
    ids=["version", "code", "identity"],
)
def test_images_in_files_are_decoded_anew_when_the_package_says_that_they_may_differ(change, installed, tmp_path):
    installed()
    load(tmp_path, held_bytes=0)
    installed()
    load(tmp_path, held_bytes=0)
    decoded = list((tmp_path / "cache/images").glob("*/train.pixels"))
    installed(**change)

    load(tmp_path, held_bytes=0)

    assert len(decoded) == 1
    assert len(list((tmp_path / "cache/images").glob("*/train.pixels"))) == 2


def test_the_source_of_the_guide_is_one(tmp_path, monkeypatch):
    page = (ROOT / "docs/guides/images.md").read_text()
    (table,) = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    ((name, value),) = tomllib.loads(table)["project"]["entry-points"]["vae_search.sources"].items()
    entry_points = f"[vae_search.sources]\n{name} = {value}\n"
    install(tmp_path / "site", monkeypatch, name="my-images", code=code, entry_points=entry_points)

    found = load(tmp_path, source=f"plugin:{name}")

    assert len(code.strip().splitlines()) <= 5
    assert f"`data: {{source: plugin:{name}}}`" in page
    assert (found.summary.images, found.image_shape, found.summary.copies) == (600, (16, 16, 1), 0)


BROKEN = {
    "import": ("import nothing_of_that_name", "its entry point my_images:Squares cannot be had: ModuleNotFoundError"),
    "constructor": (CODE.replace("self.labels =", "1 / 0; self.labels ="), "my_images:Squares cannot be had: ZeroDiv"),
    "length": (CODE.replace("return 300", "return 0"), "there must be images, but its length is 0"),
    "no length": (CODE.replace("__len__", "size"), "its entry point my_images:Squares cannot be had: TypeError"),
    "image": (CODE.replace("default_rng(k)", "default_rng(k - 7)"), "its image 0 cannot be had: ValueError"),
    "later image": (CODE.replace("(7, 5)", "(7, 5 + (k == 9))"), r"image 9 is uint8 \(7, 6\)\nand image 0 is uint8"),
    "no image": (CODE.replace("return np.random", "return k or np.random"), "image 1 is int64 of shape"),
    "text": (CODE.replace(".astype(np.uint8)", ".astype(str)"), "image 0 is <U21 of shape"),
    "labels": (CODE.replace("arange(300)", "arange(299)"), "labels must be 300 whole numbers, one for each image"),
}


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("held_bytes", [None, 0])
def test_a_broken_package_is_named(what, held_bytes, installed, tmp_path):
    code, words = BROKEN[what]
    installed(code)

    with pytest.raises(BadData, match=words) as refused:
        load(tmp_path, held_bytes=held_bytes)

    assert str(refused.value).startswith("plugin:squares (package my-images 1.2): ")
    assert len(str(refused.value).splitlines()) <= 3


def test_a_name_that_no_package_has_is_told_with_those_that_are_there(installed, tmp_path):
    installed()

    with pytest.raises(BadData) as refused:
        load(tmp_path, source="plugin:sqares")

    assert str(refused.value) == (
        "plugin:sqares: must be a data set of an installed package (entry points vae_search.sources), but none has it."
        "\nThere are plugin:squares. Did you mean plugin:squares? Install its package here, and on every machine of a "
        "cluster."
    )


def test_a_name_that_two_packages_have_is_refused(installed, tmp_path, monkeypatch):
    installed()
    install(
        tmp_path / "other",
        monkeypatch,
        name="their-images",
        code=CODE,
        entry_points="[vae_search.sources]\nsquares = their_images:Squares\n",
    )

    with pytest.raises(BadData, match="my-images and their-images do"):
        load(tmp_path)


@pytest.mark.parametrize("source", ["plugin:", "plugin:../x", "plugin:a b", "plugin:-x"])
def test_other_names_are_refused_with_the_spec(source):
    assert located("plugin:squares-2.x", ROOT) == "plugin:squares-2.x"
    with pytest.raises(ValueError, match="plugin:NAME"):
        located(source, ROOT)
