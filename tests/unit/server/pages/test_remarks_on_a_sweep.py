"""Page and status of a sweep that learned from another, stopped early and has a limit of CPU-hours."""

import json

import pytest

from tests.support.page_reading import BROWSER
from tests.support.stores import filled_store
from tests.support.web_service import app_of, client_of
from vae_search.services.models.sweep_outcome import time_is_used
from vae_search.services.payloads import printed_status, status_facts
from vae_search.services.sweep_status import status
from vae_search.store.control.search_stop import SearchStop, write_stop
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps.borrowing import Borrowing
from vae_search.store.sweeps.warm_started import TakenConfig, WarmStarted

pytestmark = pytest.mark.slow

STOP = SearchStop(gain_nats=0.05, confidence=0.95, trials=30, tried=8, chance=0.012)


@pytest.fixture
def store(tmp_path):
    """Eight trials of 30 have ended, and each took ten CPU seconds; each of the six confirm runs thirty."""
    store = filled_store(tmp_path / "store")
    config = TakenConfig(
        sweep="<b>elsewhere", incarnation=None, trial=3, spec_sha256="e" * 64, params={"latent_dim": 4}, changed=()
    )
    lender = Borrowing(sweep="before", incarnation=None, trials=7, sha256={"trials": "a" * 64, "epochs": "b" * 64})
    path = SweepPaths("digits").resolved
    record = json.loads(store.read(path))
    record["warm_started"] = WarmStarted(borrowed=(lender,), configs=(config,)).to_json()
    stop = {"gain_nats": 0.05, "confidence": 0.95}
    record["spec"]["budget"] |= {"trials": 30, "cpu_hours": 0.1, "stop": stop}
    store.replace(path, json.dumps(record).encode())
    write_stop(store, "digits", STOP, incarnation=None)
    return store


def test_the_page_says_what_it_learned_from_why_it_stopped_and_what_is_spent(store):
    page = client_of(app_of(store)).get("/sweeps/digits", headers=BROWSER).text

    assert "Its sampler began with 7 trials of before" in page
    assert "Taken to be tried: the best confirmed config of &lt;b&gt;elsewhere, its trial 3" in page
    assert (
        "The search stopped after 8 of 30 trials: the chance that the others gain more than 0.05 nats was 1.2%" in page
    )
    assert "CPU-hours: 0.0722 of 0.1 are spent." in page


def test_status_has_the_same_for_programs_and_words_on_how_to_go_on(store):
    found = status(store, "digits")

    facts = printed_status(status_facts(found))

    assert facts["stop"] == str(STOP)
    assert facts["spending"]["cpu_hours"]["spent"] == pytest.approx((8 * 10 + 6 * 30) / 3600)
    assert facts["spending"]["cpu_hours"]["limit"] == 0.1
    assert facts["warm_start"]["borrowed"] == [{"sweep": "before", "trials": 7}]
    assert "`vae-search resume digits --set budget.stop=null`" in time_is_used(found)


def test_hours_that_are_used_are_told_with_the_command_that_raises_them(store):
    path = SweepPaths("digits").resolved
    record = json.loads(store.read(path))
    record["spec"]["budget"] |= {"cpu_hours": 0.01, "stop": None}
    store.replace(path, json.dumps(record).encode())

    words = time_is_used(status(store, "digits"))

    assert words.startswith("Its budget of 0.01 CPU-hours is used, with 8 of 30 trials ended.")
    assert "`vae-search resume digits --set budget.cpu_hours=1`" in words
