"""Hints for images that are refused: whoever follows one has images that are read."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.pictures import colour, grey
from vae_search.data.sources import read_source
from vae_search.errors import BadData, InvalidSpec
from vae_search.spec.sweep_spec import parse_spec


def refusal(path: Path) -> str:
    with pytest.raises(BadData) as error:
        read_source(str(path), cache=path.parent)
    assert len(str(error.value).splitlines()) <= 3
    return str(error.value)


def sixteenths() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 17, (100, 8, 8)).astype(np.float64)


CASES: list[tuple[str, np.ndarray, str, Callable[[np.ndarray], np.ndarray]]] = [
    ("digits as floats", sixteenths(), "Is 16 white? Then divide by 16.", lambda a: a / 16),
    ("digits as numbers", sixteenths().astype(np.uint8), "Divide them by it and save floats", lambda a: a / 16),
    ("films", np.stack([grey(), grey()[::-1]]), "such as images[0]", lambda a: a[0]),
    ("floats up to 120", grey() % 121 + 0.0, "Is 120 white? Then divide by 120.", lambda a: a / 120),
    ("half centred", grey() / 255 * 1.4 - 0.4, "(images + 1) / 2", lambda a: (a + 1) / 2),
    ("alpha", np.zeros((100, 8, 8, 4), np.uint8) + grey(100, 8, 8)[..., None], "images[..., :3]", lambda a: a[..., :3]),
    ("flat colours", colour()[:, :5].reshape(100, 75), "images.reshape(-1, 5, 5, 3)", lambda a: a.reshape(-1, 5, 5, 3)),
    ("wrapped bytes", grey().view(np.int8), "images.view(np.uint8)", lambda a: a.view(np.uint8)),
    ("resized", grey() / 255 * 1.02 - 0.01, "np.clip(images, 0, 1)", lambda a: np.clip(a, 0, 1)),
]


@pytest.mark.parametrize(("images", "hint", "follow"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_hint_leads_to_images_that_are_read(tmp_path, images, hint, follow):
    np.save(tmp_path / "a.npy", images)
    assert hint in refusal(tmp_path / "a.npy").replace("\n", " ")

    np.save(tmp_path / "a.npy", follow(images))

    assert len(read_source(str(tmp_path / "a.npy"), cache=tmp_path).train) in (100, 600)


SPEC = """
name: a
data: {source: digits, labels: y.npy}
search_space: {latent_dim: 2}
budget: {trials: 2, epochs: 3}
"""


def test_labels_are_answered_with_what_to_do_about_them():
    with pytest.raises(InvalidSpec) as error:
        parse_spec(SPEC, base=Path())

    assert (
        str(error.value)
        == "spec:3: data.labels: unknown key. Labels come with the images. Models see them with data.condition: label."
    )
    parse_spec(SPEC.replace("labels: y.npy", "condition: label"), base=Path())
