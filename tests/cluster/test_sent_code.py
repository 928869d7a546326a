"""`submit --code`: an own network and an own measure that are installed nowhere, sent to a cluster as they lie here."""

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support.cluster_sweeps import rows
from tests.support.local_cluster import LocalCluster, local_cluster

pytestmark = [pytest.mark.ray, pytest.mark.exhaustive, pytest.mark.timeout(400)]

NETWORK = """
from keras import Input, Model, layers

def build(image_shape, latent_dim, outputs_per_value, wide=16):
    images, latents, (height, width, channels) = Input(image_shape), Input((latent_dim,)), image_shape
    x, y = layers.Dense(wide, "gelu")(layers.Flatten()(images)), layers.Dense(wide, "gelu")(latents)
    y = layers.Reshape((height, width, -1))(layers.Dense(height * width * channels * outputs_per_value)(y))
    return Model(images, [layers.Dense(latent_dim)(x), layers.Dense(latent_dim)(x)]), Model(latents, y)
"""
MEASURE = """
from sent_measures.inner import spread

def blur(model, images, labels):
    return spread(model.sample(50, seed=0))
"""
INNER = """
import numpy as np

def spread(images):
    return float(np.std(images))
"""
SPEC = """
name: {name}
data: {{source: digits}}
search_space: {{architecture: {{keras: "sent_nets:build"}}, latent_dim: {{type: int, low: 2, high: 6}}}}
metrics: ["sent_measures:blur"]
budget: {{trials: 2, epochs: 3}}
pruning: off
confirm: {{finalists: 0}}
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with local_cluster("1") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a module and a package."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "sent_measures").mkdir()
    (folder / "sent_nets.py").write_text(NETWORK)
    (folder / "sent_measures" / "__init__.py").write_text(MEASURE)
    (folder / "sent_measures" / "inner.py").write_text(INNER)
    return folder


def wheel_of(code: Path, folder: Path) -> Path:
    wheel = folder / "sent_measures-0.1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in sorted((code / "sent_measures").glob("*.py")):
            archive.write(file, f"sent_measures/{file.name}")
    return wheel


def sent(paths: Sequence[Path]) -> list[object]:
    return [word for path in paths for word in ("--code", path)]


@pytest.mark.parametrize("form", ["folder", "module-and-wheel"])
def test_code_that_is_sent_along_trains_and_measures_and_a_sweep_goes_on_with_it_alone(
    cluster: LocalCluster, code: Path, tmp_path: Path, form: str
):
    paths = [code] if form == "folder" else [code / "sent_nets.py", wheel_of(code, tmp_path)]
    (tmp_path / "sweep.yaml").write_text(SPEC.format(name=form))
    submit = ("submit", tmp_path / "sweep.yaml", "--address", cluster.address, "--store", tmp_path / "store")

    cluster.vae_search(tmp_path, *submit, *sent(paths), "--follow")
    more = ("--set", "budget.trials=3")
    without = cluster.vae_search(tmp_path, *submit, *more, code=2)
    cluster.vae_search(tmp_path, *submit, *more, *sent(paths), "--follow")

    found = rows(tmp_path, form)
    assert [row.state for row in found.values()] == ["COMPLETE"] * 3
    assert all(row.metrics["metric_blur"] > 0 for row in found.values())
    assert all("sent_nets" in row.versions_json and "sent_measures" in row.versions_json for row in found.values())
    assert "sent_nets" in without.stderr
    assert "--code PATH" in without.stderr
    assert len(without.stderr.splitlines()) <= 6
