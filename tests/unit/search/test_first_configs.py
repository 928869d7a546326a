"""Configs of the first trials: those of the spec in any case, those of other sweeps as long as they prove good."""

from pathlib import Path

import pytest

from vae_search.search.pruning import SuccessiveHalving
from vae_search.search.rungs.first_configs import FirstConfigs
from vae_search.search.running_trial import SweepContext
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.sweeps.warm_started import TakenConfig, WarmStarted

TEXT = """
name: small
data: {source: digits}
search_space: {latent_dim: {type: int, low: 2, high: 6}}
enqueue: [{latent_dim: 6}]
budget: {trials: 20, epochs: 9}
pruning: {min_epochs: 3}
"""


def taken(latent_dim: int) -> TakenConfig:
    params = {"latent_dim": latent_dim}
    return TakenConfig(sweep="old", incarnation=None, trial=0, spec_sha256="", params=params, changed=())


def first_configs(*overrides: str, completed: dict | None = None) -> tuple[FirstConfigs, SuccessiveHalving]:
    spec = parse_spec(TEXT, base=Path(), overrides=overrides)
    warm = WarmStarted(configs=(taken(2), taken(3), taken(4)))
    context = SweepContext(spec=spec, lease=1, comparability_key="", versions={}, warm_started=warm)
    rungs = SuccessiveHalving(spec)
    return FirstConfigs(context, rungs, completed=lambda: completed or {}), rungs


def note(rungs: SuccessiveHalving, values: dict[int, float]) -> None:
    for trial, value in values.items():
        rungs.note(3, trial, value, epoch_flops=None)


def test_listed_configs_come_first_then_the_most_similar_sweep_and_the_sampler_between():
    first, _ = first_configs()

    assert [first.of(trial) for trial in range(4)] == [{"latent_dim": 6}, {"latent_dim": 2}, None, None]
    assert first.listed == 1


def test_the_next_is_tried_while_all_before_are_in_the_better_half():
    first, rungs = first_configs()
    note(rungs, {0: 101.0, 1: 99.0, 2: 100.0})
    assert first.of(4) == {"latent_dim": 3}

    note(rungs, {4: 98.0})
    assert first.of(7) == {"latent_dim": 4}

    note(rungs, {3: 90.0, 5: 90.0, 6: 90.0})
    assert first.of(7) is None


@pytest.mark.parametrize("values", [{}, {1: 99.0}, {0: 99.0, 1: 100.0, 2: 101.0}, {0: 99.0, 2: 100.0}])
def test_a_bad_one_and_one_that_is_not_known_yet_are_the_last(values):
    first, rungs = first_configs()

    note(rungs, values)

    assert first.of(4) is None


def test_without_rungs_they_are_compared_where_they_complete():
    values = {0: 101.0, 1: 99.0, 2: 100.0}

    good, _ = first_configs("pruning=off", completed=values)
    bad, _ = first_configs("pruning=off", completed=values | {1: 102.0})

    assert good.of(4) == {"latent_dim": 3}
    assert bad.of(4) is None


def test_none_is_tried_behind_the_last_one():
    first, rungs = first_configs()
    note(rungs, {trial: 100.0 + trial for trial in range(1, 10)} | {4: 98.0, 7: 98.0})

    assert first.of(10) is None
