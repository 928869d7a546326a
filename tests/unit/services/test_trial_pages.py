"""Pages of trials that are ordered by a metric."""

from dataclasses import replace

import pytest

from tests.support.rows import epoch_rows, trial_row
from vae_search.core.trial_state import Reason, State
from vae_search.errors import InvalidSpec
from vae_search.services.browsing.trial_pages import trial_page
from vae_search.store.ledger.trials import Ledger
from vae_search.store.queries.leaderboard import read_leaderboard

SSIM = [0.5, None, 0.9, 0.7]


@pytest.fixture
def leaderboard(store):
    """Four trials, one of them pruned, and so without a metric."""
    for trial, ssim in enumerate(SSIM):
        row = replace(trial_row(trial), metrics={"metric_ssim": ssim})
        if ssim is None:
            row = trial_row(
                trial, state=State.PRUNED, reason=Reason.RUNG, objective=None, metrics={"metric_ssim": None}
            )
        Ledger(store, "digits").commit(row, epoch_rows(trial))
    return read_leaderboard(store, "digits")


def numbers(store, leaderboard, **asked):
    page = trial_page(store, "digits", limit=9, leaderboard=leaderboard, order="metric_ssim", **asked)
    return [facts["trial"] for facts in page.trials]


def test_a_pruned_trial_has_no_metric_and_comes_last_in_either_direction(store, leaderboard):
    assert numbers(store, leaderboard) == [0, 3, 2, 1]
    assert numbers(store, leaderboard, descending=True) == [2, 3, 0, 1]
    assert numbers(store, leaderboard, state="COMPLETE") == [0, 3, 2]


def test_the_next_page_goes_on_behind_the_last_trial(store, leaderboard):
    assert numbers(store, leaderboard, after=3) == [2, 1]


def test_what_is_no_metric_of_the_sweep_is_refused_with_those_that_are(store, leaderboard):
    with pytest.raises(InvalidSpec, match="cpu_s, metric_ssim, but got metric_mig"):
        trial_page(store, "digits", limit=9, leaderboard=leaderboard, order="metric_mig")
