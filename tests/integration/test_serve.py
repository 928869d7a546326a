"""The service with real drivers: it ends in order or is killed in the middle of a sweep, and the next one goes on."""

import signal

import pytest

from tests.support.served_store import ServedStore, Server, served_store, until
from vae_search.queue.state import ItemState
from vae_search.store.leases.records import has_ended, newest_lease
from vae_search.store.maintenance.integrity import inspect

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]

SPEC = """
name: tiny
data: {source: digits}
search_space: {latent_dim: {type: int, low: 2, high: 6}, depth: 1, width: 16, batch_size: 64}
budget: {trials: 3, epochs: 150}
pruning: off
checkpoint_s: 0.2
confirm: {finalists: 0}
"""


def trains(served: ServedStore) -> bool:
    return served.driver("tiny") is not None and bool(served.store.list("sweeps/tiny/running"))


def next_server_after_the_end_of(server: Server, served: ServedStore) -> Server:
    """End a server in order, with the driver that it has started, and begin another, which trains on."""
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(90) == 0
    assert served.driver("tiny") is None
    assert has_ended(served.store, "tiny", 1)
    assert len(served.trials("tiny")) < 3
    following = served.start()
    until(lambda: trains(served))
    return following


def test_a_sweep_sent_over_http_goes_on_whether_its_server_ends_in_order_or_is_killed(quick: bool) -> None:
    with served_store() as served:
        first = served.start()
        sent = first.ask("/api/v1/sweeps", SPEC)
        assert (sent["sweep"], sent["state"]) == ("tiny", "waiting")
        until(lambda: trains(served))
        if not quick:  # `test_queue.py` has the same without Ray
            first = next_server_after_the_end_of(first, served)

        driver, attempts = served.driver("tiny"), len(served.item("tiny").attempts)
        first.process.kill()
        first.process.wait()
        second = served.start()
        until(lambda: second.ask("/readyz")["dispatcher"] == "beating")
        assert served.driver("tiny") == driver
        assert len(served.item("tiny").attempts) == attempts

        until(lambda: served.item("tiny").state is ItemState.DONE)
        assert second.ask("/api/v1/sweeps/tiny")["state"] == "finished"
        assert second.ask("/api/v1/queue?all=true")["items"][0]["state"] == "done"
        assert served.trials("tiny") == [0, 1, 2]
        assert [attempt.exit_code for attempt in served.item("tiny").attempts].count(0) == 1
        assert not inspect(served.store, "tiny").damaged
        assert newest_lease(served.store, "tiny") == attempts  # the attempt that found nothing to do took none
        second.process.send_signal(signal.SIGTERM)
        assert second.process.wait(30) == 0
