"""What the study of false champions counts, on seeds whose differences are known."""

import sys

import numpy as np
import pytest

from tests.support.paths import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

from false_champions import Seed, promoted, read, save

from vae_search.core.image_bounds import ImageBounds


def seeds(count: int, *, sd: float, images: int = 400) -> list[Seed]:
    rng = np.random.default_rng(0)
    difficulty = rng.normal(230.0, 23.0, images)
    found = []
    for effect in rng.normal(0.0, sd, count):
        neg_iwae = difficulty + effect + rng.normal(0.0, 0.5, images)
        bounds = ImageBounds(
            distortion=neg_iwae, rate=neg_iwae * 0, iwae=-neg_iwae, baseline=neg_iwae + 150, iwae_k=500
        )
        found.append(Seed(bounds=bounds, select=float(neg_iwae.mean() + rng.normal(0.0, 0.1))))
    return found


def test_equals_that_differ_by_seed_fool_both_other_rules():
    rates = promoted(np.random.default_rng(1), seeds(24, sd=0.3), group=3, contests=400)

    assert rates["lower number"] == pytest.approx(0.5, abs=0.1)
    assert rates["best of group"] > 0.2
    assert rates["contest"] < 0.05


def test_a_gap_far_above_all_noise_is_always_seen():
    rates = promoted(np.random.default_rng(2), seeds(24, sd=0.1), group=5, contests=50, gap=2.0)

    assert rates == {"contest": 1.0, "lower number": 1.0, "best of group": 1.0}


def test_bounds_come_back_from_the_cache(tmp_path):
    written = seeds(3, sd=0.1)

    save(written, tmp_path / "cache.npz")

    assert [seed.bounds for seed in read(tmp_path / "cache.npz")] == [seed.bounds for seed in written]
    assert [seed.select for seed in read(tmp_path / "cache.npz")] == [seed.select for seed in written]
