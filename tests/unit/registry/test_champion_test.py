"""The contest's intervals against SciPy's, and how often equals are promoted."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from vae_search.core.image_bounds import ImageBounds
from vae_search.errors import Conflict
from vae_search.registry.promotion.champion_test import champion_test, mean_interval, welch_over_seeds
from vae_search.registry.promotion.evidence import Evidence

KEY = "c" * 64


def evidence(neg_iwae: np.ndarray, *, key: str = KEY, iwae_k: int = 500) -> Evidence:
    """Seeds (seeds, images) with these bounds on -log p(x), nats; the first seed's weights are the artifact."""
    of = [ImageBounds(distortion=row, rate=row * 0.0, iwae=-row, baseline=row * 0.0, iwae_k=iwae_k) for row in neg_iwae]
    return Evidence(comparability_key=key, bounds=dict(enumerate(of)), artifact_seed=0)


def simulated(
    rng: np.random.Generator, seeds: int, *, images: int, level: float = 0.0, seed_sd: float = 0.2, own_sd: float = 1.5
) -> np.ndarray:
    """Seeds differ by `seed_sd` in the mean, and each image by `own_sd` from seed to seed: (seeds, images), nats."""
    own = rng.normal(0.0, own_sd, (seeds, images))
    return level + rng.normal(0.0, seed_sd, (seeds, 1)) + own


def test_with_images_that_add_nothing_it_is_welchs_test():
    rng = np.random.default_rng(0)
    candidate, champion = rng.normal(231.5, 0.1, 5), rng.normal(232.0, 0.3, 4)
    same_on_every_image = [np.repeat(side[:, None], 50, axis=1) for side in (candidate, champion)]

    found = welch_over_seeds(*same_on_every_image)

    expected = stats.ttest_ind(champion, candidate, equal_var=False)
    low, high = expected.confidence_interval(0.95)
    assert found.degrees_of_freedom == pytest.approx(expected.df)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_with_seeds_that_add_nothing_it_is_the_paired_test_of_images():
    rng = np.random.default_rng(1)
    candidate, champion = rng.normal(230.0, 23.0, (2, 400))
    champion += 5.0 - (champion.mean() - candidate.mean())
    equal_seeds = [np.repeat(side[None], 3, axis=0) for side in (candidate, champion)]

    found = welch_over_seeds(*equal_seeds)

    low, high = stats.ttest_rel(champion, candidate).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.degrees_of_freedom == pytest.approx(399)


def test_the_artifacts_interval_is_the_paired_test():
    rng = np.random.default_rng(2)
    candidate, champion = rng.normal(230.0, 23.0, (2, 400))

    found = mean_interval(champion - candidate)

    low, high = stats.ttest_rel(champion, candidate).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_without_any_spread_the_interval_is_a_point():
    found = welch_over_seeds(np.full((3, 20), 1.0), np.full((3, 20), 1.5))

    assert (found.low, found.estimate, found.high) == (0.5, 0.5, 0.5)


def test_what_is_clearly_better_is_promoted():
    rng = np.random.default_rng(3)
    candidate, champion = (evidence(simulated(rng, 5, images=2000, level=level)) for level in (231.0, 232.0))

    found = champion_test(candidate, champion)

    assert found.won
    assert found.over_seeds.low < 1.0 < found.over_seeds.high
    assert not champion_test(champion, candidate).won


def test_each_clause_alone_keeps_the_champion():
    rng = np.random.default_rng(4)
    champion = simulated(rng, 5, images=2000, level=232.0)
    better = simulated(rng, 5, images=2000, level=231.0)
    seeds_apart = better + np.array([0.0, 3.0, -3.0, 2.0, -2.0])[:, None]
    worst_seed_as_artifact = better + np.array([1.5, -0.3, -0.3, -0.3, -0.3])[:, None]
    barely_better = champion - 0.05

    reasons = {
        name: champion_test(evidence(of), evidence(champion)).reasons
        for name, of in {
            "seeds": seeds_apart,
            "artifact": worst_seed_as_artifact,
        }.items()
    }
    tight = [side.mean(axis=0, keepdims=True) + np.zeros((5, 1)) for side in (champion, barely_better)]
    gain = champion_test(evidence(tight[1]), evidence(tight[0])).reasons

    assert [reason.split(" the ")[0] for reason in reasons["seeds"]] == ["over seeds"]
    assert [reason.split("'s")[0] for reason in reasons["artifact"]] == ["the artifact"]
    assert gain == ("the gain is 0.050 nats, which must be at least 0.1",)
    assert champion_test(evidence(tight[1]), evidence(tight[0]), min_gain=0.01).won


@pytest.mark.parametrize(
    ("champion", "message"),
    [
        (evidence(np.ones((3, 20)), key="e" * 64), "comparability key"),
        (evidence(np.ones((3, 21))), "number of judge images 20 against 21"),
        (evidence(np.ones((3, 20)), iwae_k=50), "iwae_k 500 against 50"),
        (evidence(np.ones((2, 20))), "the champion has 2 confirmed seeds"),
    ],
)
def test_what_was_judged_differently_is_never_compared(champion, message):
    with pytest.raises(Conflict, match=message):
        champion_test(evidence(np.ones((3, 20))), champion)


@pytest.mark.parametrize("key", ["c" * 12 + "d" * 52])
def test_keys_that_begin_alike_are_different(key):
    with pytest.raises(Conflict, match="comparability key"):
        champion_test(evidence(np.ones((3, 20))), evidence(np.ones((3, 20)), key=key))


def test_a_champion_of_an_older_metric_with_the_same_judge_bounds_is_faced():
    rng = np.random.default_rng(6)
    candidate, champion = evidence(simulated(rng, 3, images=50)), evidence(simulated(rng, 3, images=50), key="d" * 64)

    found = champion_test(replace(candidate, keys_judged_alike=("d" * 64,)), champion)

    assert found.over_seeds == welch_over_seeds(
        *(np.stack([bounds.neg_iwae for bounds in side.bounds.values()]) for side in (candidate, champion))
    )
    with pytest.raises(Conflict, match="comparability key"):
        champion_test(replace(candidate, keys_judged_alike=("e" * 64,)), champion)


@pytest.mark.parametrize("seeds", [(3, 3), (5, 3), (5, 5)])
def test_equal_configs_are_promoted_in_less_than_five_of_a_hundred_contests(seeds):
    rng = np.random.default_rng(5)
    contests = 2000
    promoted = sum(
        champion_test(
            evidence(simulated(rng, seeds[0], images=100)), evidence(simulated(rng, seeds[1], images=100)), min_gain=0.0
        ).won
        for _ in range(contests)
    )

    upper = stats.beta.ppf(0.975, promoted + 1, contests - promoted)  # Clopper and Pearson 1934
    assert upper <= 0.05
    # The rule that this one replaces: it must be the harder one of the two for the test to mean something.
    best_of_three = 0
    for _ in range(500):
        sides = [simulated(rng, 3, images=2000) for _ in range(2)]
        best = [side[side.mean(axis=1).argmin()] for side in sides]
        best_of_three += mean_interval(best[1] - best[0]).low > 0
    assert best_of_three / 500 > 0.2


def test_a_true_gain_of_a_nat_is_seen_most_of_the_time():
    rng = np.random.default_rng(6)

    won = sum(
        champion_test(
            evidence(simulated(rng, 5, images=1000, level=-1.0)), evidence(simulated(rng, 5, images=1000))
        ).won
        for _ in range(200)
    )

    assert won > 180
