"""The version of a model that was made of a trial, whose pictures the trial's page shows."""

from tests.support.published_models import publish
from vae_search.services.browsing.model_facts import version_of_trial
from vae_search.store.paths import SweepPaths


def test_the_newest_version_of_a_trial_is_found_with_its_pictures(store):
    publish(store, "first")

    found = version_of_trial(store, "digits", "first", 0)

    assert (found["model"], found["version"]) == ("digits", 1)
    assert {"samples.png", "reconstructions.png"} <= {*found["files"]}


def test_other_trials_and_models_that_do_not_exist_have_none(store):
    publish(store, "first")

    assert version_of_trial(store, "digits", "first", 1) is None
    assert version_of_trial(store, "missing", "first", 0) is None


def test_a_damaged_version_is_passed_over(store, tmp_path):
    publish(store, "first")
    damaged = next(path for path in store.list("models") if path.endswith("samples.png"))
    store.replace(damaged, b"harmed")

    assert version_of_trial(store, "digits", "first", 0) is None
    assert store.read(SweepPaths("first").resolved)
