"""Requests to the store: pages that many read ask it for nothing as long as what was read is fresh."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from tests.support.paged_store import fill, running
from tests.support.reported_sweeps import complete
from tests.support.web_service import app_of, client_of
from vae_search.services import comparison, queries
from vae_search.services.browsing.sweep_pages import SweepReader
from vae_search.store.backends.base import Store
from vae_search.store.ledger.trials import Ledger

NOW = datetime(2026, 3, 2, tzinfo=UTC)
READ_BY_MANY = (
    "/",
    "/sweeps/digits",
    "/sweeps/live",
    "/queue",
    "/metrics",
    "/readyz",
    "/api/v1/sweeps",
    "/api/v1/sweeps/live",
    "/api/v1/sweeps/live/best",
    "/api/v1/sweeps/front/best",
    "/api/v1/sweeps/live/best?pareto=true",
    "/api/v1/sweeps/live/trials?order=objective",
    "/api/v1/queue",
    "/api/v1/queue/1",
    "/api/v1/cluster",
)


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class CountedStore:
    """A store that counts what it is asked for, and looks like a bucket."""

    def __init__(self, store: Store, *, far: bool) -> None:
        self._store = store
        self._far = far
        self.asked: Counter[str] = Counter()

    def local_path(self, path: str) -> object:
        return None if self._far else self._store.local_path(path)

    def read_many(self, paths: Any) -> Any:
        wanted = [*paths]
        self.asked["read_many"] += len(wanted)
        return self._store.read_many(wanted)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name in ("read", "list", "folders", "sizes"):
            self.asked[name] += 1
        return found


@pytest.mark.parametrize("far", [False, True])
def test_what_many_read_asks_the_store_for_nothing_while_it_is_fresh(store, far):
    fill(store)
    counted = CountedStore(store, far=far)
    with running(store), client_of(app_of(cast(Store, counted), look_s=2.0, monotonic=Clock())) as client:
        for address in READ_BY_MANY:
            assert client.get(address, headers={"Accept": "text/html"}).status_code == 200, address
        counted.asked.clear()
        for address in READ_BY_MANY:
            client.get(address, headers={"Accept": "text/html"})

    assert not counted.asked


def test_a_change_that_was_ordered_here_shows_on_the_next_page(store):
    fill(store)
    clock = Clock()
    with running(store), client_of(app_of(store, look_s=2.0, monotonic=clock)) as client:
        before = client.get("/sweeps/live", headers={"Accept": "text/html"}).text
        clock.now_s = 0.5
        client.patch("/api/v1/sweeps/live", json={"settings": {"budget.trials": 77}})
        shown = client.get("/sweeps/live", headers={"Accept": "text/html"}).text

    assert 'value="77"' in shown
    assert 'value="77"' not in before


def test_the_cluster_page_counts_the_trials_at_once_that_were_set_while_the_sweep_runs(store):
    fill(store)
    with running(store), client_of(app_of(store, look_s=2.0, monotonic=Clock())) as client:
        client.get("/api/v1/sweeps")
        client.patch("/api/v1/sweeps/live", json={"settings": {"resources.concurrency": 1}})
        (live,) = client.get("/api/v1/cluster").json()["sweeps"]

    assert (live["sweep"], live["trials_at_once"]) == ("live", 1)


def test_rankings_and_comparisons_of_what_is_kept_are_those_of_the_store(store):
    fill(store)
    with running(store):
        reader = SweepReader(store, monotonic=Clock())
        for sweep, where in (("digits", None), ("digits", "trial > 3"), ("front", None), ("live", None)):
            kept = queries.best(store, sweep, count=None, where=where, known=reader.known(sweep))
            assert kept == queries.best(store, sweep, count=None, where=where)
            assert queries.pareto(store, sweep, count=3, known=reader.known(sweep)) == queries.pareto(
                store, sweep, count=3
            )
        names = ["digits", "live"]
        assert comparison.compare(store, names, known=reader.known) == comparison.compare(store, names)


def test_of_a_sweep_whose_driver_has_left_every_row_counts_at_once(store):
    clock = Clock()
    with running(store):
        reader = SweepReader(store, monotonic=clock, look_s=2.0)
        before = reader.facts("live")
        clock.now_s = 1.9
        reader.leaderboard("live")
        Ledger(store, "live").commit(complete(9, sweep="live"), [])
    clock.now_s = 2.1  # the rows at hand are fresh still, but from before the driver left
    after = reader.facts("live")

    assert (before["state"], before["finished"]) == ("running", 9)
    assert (after["state"], after["finished"]) == ("interrupted", 10)
