"""Workers that have served long enough, as Tune's controller sees them."""

from types import SimpleNamespace

import pytest
from ray.tune.execution.tune_controller import TuneController

from vae_search.runtime.tune.patches import workers_retired

pytestmark = pytest.mark.needs_ray


def test_each_worker_is_kept_until_it_has_served_enough_trials_and_then_ended_by_tune(monkeypatch):
    monkeypatch.setattr(TuneController, "_maybe_cache_trial_actor", lambda self, trial: True)
    controller = SimpleNamespace(_trial_to_actor={"a": "first", "b": "second"})

    with workers_retired(3):
        kept = [TuneController._maybe_cache_trial_actor(controller, trial) for trial in "aababba"]
    afterwards = TuneController._maybe_cache_trial_actor(controller, "a")

    assert kept == [True, True, True, False, True, False, False]
    assert afterwards


def test_a_worker_that_tune_does_not_want_to_keep_is_not_kept(monkeypatch):
    monkeypatch.setattr(TuneController, "_maybe_cache_trial_actor", lambda self, trial: False)
    controller = SimpleNamespace(_trial_to_actor={"a": "first"})

    with workers_retired(3):
        assert not TuneController._maybe_cache_trial_actor(controller, "a")
