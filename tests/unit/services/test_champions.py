"""What a name means where a model and a sweep may both have it."""

from tests.support.candidates import NOW, candidate, put_sweep
from vae_search.registry.promotion.decision import PromotionPolicy
from vae_search.registry.promotion.pipeline import promote_best
from vae_search.services.models import champions


def ask(store, backend, sweep="digits"):
    rules = PromotionPolicy()
    return promote_best(store, sweep, model="digits", rules=rules, backend=backend, now=lambda: NOW).outcome


def test_a_name_means_the_sweep_until_the_model_of_that_name_has_a_champion(store, backend):
    put_sweep(store, candidate(active_units=0))
    put_sweep(store, candidate(trial=1), sweep="second")

    before = champions.is_model(store, "digits")
    refused = ask(store, backend)
    after_refusal = champions.is_model(store, "digits")
    promoted = ask(store, backend, "second")

    assert (refused, promoted) == ("rejected", "promoted")
    assert (before, after_refusal, champions.is_model(store, "digits")) == (False, False, True)


def test_a_model_without_a_champion_and_without_a_sweep_of_its_name_is_a_model(store, backend):
    put_sweep(store, candidate(active_units=0), sweep="second")
    ask(store, backend, "second")

    assert champions.is_model(store, "digits")
    assert champions.is_model(store, "digits:1")
    assert not champions.is_model(store, "digits/1")


def test_a_verdict_that_is_in_the_log_needs_no_worker_of_the_cluster(store, backend, tmp_path):
    put_sweep(store, candidate())
    ask(store, backend)

    again = champions.promote(store, "digits", model="digits", cache=tmp_path, address="nobody.invalid:6379")

    assert (again.outcome, again.champion) == ("kept", 1)
