"""A sweep on images that do not fit in memory, on Ray and in one process: the rows that images in memory have."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from tests.integration.test_inline import COSTS
from vae_search.data import image_checks
from vae_search.search.progress import Observer
from vae_search.services.sweeps import run
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.backends.uri import open_store
from vae_search.store.ledger.confirm_runs import ConfirmRuns
from vae_search.store.ledger.trials import Ledger

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]

SPEC = """
name: large
data: {source: images.npy, binarize: none}
likelihood: gaussian
search_space: {latent_dim: {type: int, low: 2, high: 6}, depth: 1, width: 16, batch_size: 32}
budget: {trials: 2, epochs: 3}
pruning: off
confirm: {finalists: 1, seeds: 1}
"""


def rows(folder: Path, name: str, *, inline: bool) -> list[dict[str, object]]:
    """Everything in the rows of a sweep that does not depend on when and how fast it ran."""
    store = open_store(str(folder / name))
    run(
        parse_spec(SPEC, base=folder),
        text=SPEC,
        store=store,
        cache=folder / "cache",
        observer=Observer(),
        inline=inline,
    )
    found = [*Ledger(store, "large").trials(), *ConfirmRuns(store, "large").rows()]
    return [{key: value for key, value in asdict(row).items() if key not in COSTS} for row in found]


def test_a_sweep_on_images_in_files_ends_as_one_on_images_in_memory(tmp_path, monkeypatch):
    rng = np.random.default_rng(4)
    coarse = rng.integers(0, 200, (600, 4, 4)).astype(np.uint8).repeat(2, axis=1).repeat(2, axis=2)
    np.save(tmp_path / "images.npy", coarse + rng.integers(0, 50, (600, 8, 8)).astype(np.uint8))
    expected = rows(tmp_path, "in memory", inline=True)
    monkeypatch.setattr(image_checks, "MAX_BYTES", 1000)

    found = rows(tmp_path, "in files", inline=False)

    assert list((tmp_path / "cache/images").glob("*/train.pixels"))
    assert len(found) == 3
    assert found == expected
