"""What the comparison of samplers measures, on sweeps whose answer is known."""

import sys

import numpy as np

from tests.support.paths import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

from sampler_view import EPOCHS, FASHION_SPACE, border_bound, cut_by_rungs, good_of, ours
from surrogate_search import Search, promoting, stopping
from told_by_state import ToldByState

from vae_search.search.study.study import SweepStudy


def drawn(count: int) -> list[dict]:
    study = SweepStudy(FASHION_SPACE, sampler="random", seed=5)
    return [study.ask(trial) for trial in range(count)]


def flat(values) -> np.ndarray:
    """Curves that never change: (configs, epochs)."""
    return np.repeat(np.asarray(values, float)[:, None], EPOCHS, axis=1)


def test_configs_are_cut_by_rank_and_the_first_two_never():
    ends = cut_by_rungs(flat([9, 8, 7, 6, 9, 9, 9]), range(7))

    assert ends == {0: 27, 1: 27, 2: 27, 3: 27, 4: 3, 5: 3, 6: 3}


def test_told_by_state_the_first_are_good_and_at_the_common_rung_the_best():
    values = [100, 99, *range(20, 60)]
    curves, configs = flat(values), drawn(len(values))
    ends = {config: EPOCHS if config < 2 else 9 for config in range(len(values))}

    before = good_of(ToldByState, configs, curves, ends)
    after = good_of(ours, configs, curves, ends)

    assert {0, 1} < {*before}
    assert after == [2, 3, 4, 5, 6]


def test_the_best_config_lies_beside_those_that_diverge():
    best = {"learning_rate": 1e-2, "beta": 1.0, "latent_dim": 24}

    assert border_bound(best) == 0.0
    assert border_bound(best | {"learning_rate": 1.3e-2}) is None


class Ordered:
    """Trial n of a search is worse than all before it."""

    def __init__(self) -> None:
        self._begun = 0

    def trained(self, configs: list[dict], *, seed: int) -> tuple[np.ndarray, np.ndarray]:
        self._begun += 1
        return flat([1000 + self._begun]), np.ones(1)


def test_both_ways_of_halving_train_as_many_epochs_as_their_rules_say():
    """Of ever worse trials the first two pass where trials are stopped by rank, and a third where they are promoted."""
    spent = {}
    for rule in (stopping, promoting):
        search = Search(SweepStudy(FASHION_SPACE, sampler="random", seed=1), Ordered(), 0)
        assert len([*rule(search)]) == search.spent_s
        spent[rule] = search.spent_s

    assert spent[stopping] == 2 * EPOCHS + 126 * 3
    assert spent[promoting] == 128 * 3 + 42 * 6 + 14 * 18
