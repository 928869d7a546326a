"""What a name means where a model and a sweep may both have it, and what a promotion loads."""

import subprocess
import sys

from tests.support.candidates import NOW, candidate, put_sweep
from tests.support.paths import ROOT
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


REFUSED = """
import sys
from pathlib import Path
from vae_search.services.models import champions
from vae_search.store.backends.local import LocalStore

decision = champions.promote(LocalStore(Path(sys.argv[1])), "digits", model="digits", cache=Path(sys.argv[1]))
print(decision.outcome, sorted({"tensorflow", "ray"} & set(sys.modules)))
"""


def test_a_refusal_for_want_of_seeds_loads_neither_tensorflow_nor_ray(store, tmp_path):
    put_sweep(store, candidate((232.0, 232.1)))

    told = subprocess.run(
        [sys.executable, "-c", REFUSED, store.location],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert told.stdout.strip() == "rejected []"
