"""Images that do not fit in memory, as a worker gets them: by where they are, not by what they are."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from vae_search.data.dataset import Dataset, load_dataset
from vae_search.errors import NodeTrouble
from vae_search.services.models.node_images import NodeImages
from vae_search.spec.sections import DataSpec
from vae_search.store.backends.local import LocalStore


def grey() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (300, 7, 5)).astype(np.uint8)


def opened(folder: Path, *, held_bytes: int) -> tuple[Dataset, NodeImages | None]:
    np.save(folder / "images.npy", grey())
    data = DataSpec(source=str(folder / "images.npy"))
    dataset = load_dataset(data, cache=folder / "cache", held_bytes=held_bytes)
    store = LocalStore(folder / "store")
    return dataset, NodeImages.of(dataset, data, store, cache=folder / "cache", held_bytes=held_bytes)


def test_images_in_memory_travel_themselves(tmp_path):
    assert opened(tmp_path, held_bytes=10**6)[1] is None


def test_a_worker_gets_the_drivers_tasks_from_a_few_bytes(tmp_path):
    dataset, images = opened(tmp_path, held_bytes=0)

    sent = pickle.dumps(images.tasks)
    task, judge_task = pickle.loads(sent)()  # noqa: S301 - ours

    assert len(sent) < 2000
    assert task.memory_bytes == 0
    for ours, theirs in (
        (task.train, dataset.train),
        (task.select, dataset.select),
        (judge_task.images, dataset.judge),
    ):
        np.testing.assert_array_equal(ours[:], theirs[:])


def test_a_node_without_the_drivers_cache_has_its_own(tmp_path, monkeypatch):
    dataset, images = opened(tmp_path, held_bytes=0)
    (tmp_path / "cache").rename(tmp_path / "another machine's")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))

    there = images.dataset()

    np.testing.assert_array_equal(there.train[:], dataset.train[:])
    assert list((tmp_path / "own/vae-search/images").glob("*/train.pixels"))


def test_a_node_where_the_images_are_missing_or_others_is_in_trouble(tmp_path):
    _, images = opened(tmp_path, held_bytes=0)
    np.save(tmp_path / "images.npy", grey()[::-1])

    with pytest.raises(NodeTrouble, match="holds other images there than for the driver"):
        images.dataset()
    (tmp_path / "images.npy").unlink()
    with pytest.raises(NodeTrouble, match="are read on each node"):
        images.dataset()


def test_a_node_scales_what_fitted_in_the_drivers_memory_until_it_was_resized(tmp_path):
    np.save(tmp_path / "images.npy", grey() / 127.5 - 1)  # of what does not fit, [-1, 1] is refused
    resize = {"height": 28, "width": 20, "fit": "stretch"}
    data = DataSpec.model_validate({"source": str(tmp_path / "images.npy"), "resize": resize})
    dataset = load_dataset(data, cache=tmp_path / "cache", held_bytes=100_000)
    images = NodeImages.of(
        dataset, data, LocalStore(tmp_path / "store"), cache=tmp_path / "elsewhere", held_bytes=100_000
    )

    np.testing.assert_array_equal(images.dataset().train[:], dataset.train[:])
