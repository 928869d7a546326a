"""The home page's stream: it says that something has changed, once, and nothing while all is as it was."""

from tests.support.paged_store import NOW, fill, running
from tests.support.reported_sweeps import TEXT, complete
from vae_search.errors import StoreUnavailable
from vae_search.queue.sweep_queue import SweepQueue
from vae_search.server.pages.sweeps.changes import StoreLook
from vae_search.server.pages.sweeps.drawings import CURVE_WIDTH, MOST_POINTS, curve, sparkline
from vae_search.server.watchers import Event
from vae_search.services.browsing.sweep_pages import SweepReader
from vae_search.store.ledger.trials import Ledger


class Told(list[str]):
    """Keeps the kinds of the events that are told."""

    def __call__(self, kind: str, data: dict[str, object]) -> Event:
        self.append(kind)
        return Event(number=len(self), kind=kind, data=data)


def test_a_landed_trial_and_a_queued_sweep_are_changes_and_a_second_look_is_none(store):
    now_s = [0.0]
    fill(store)
    queue = SweepQueue(store, now=lambda: NOW)
    with running(store):
        reader = SweepReader(store, monotonic=lambda: now_s[0])
        look, told = StoreLook(reader, lambda: queue.state().entries, look_s=0.5), Told()

        def after() -> list[str]:
            now_s[0] += 5.0
            told.clear()
            assert look(told) == 0.5
            return [*told]

        assert after() == []
        assert after() == []
        Ledger(store, "live").commit(complete(9, sweep="live"), [])
        assert after() == ["changed"]
        assert after() == []
        queue.submit(TEXT.replace("name: digits", "name: other"), sweep="other", actor="ada", priority=0)
        assert after() == ["changed"]


def test_a_store_that_is_away_is_told_and_looked_at_later(store):
    class Away(SweepReader):
        def names(self) -> list[str]:
            raise StoreUnavailable("away")

    look, told = StoreLook(Away(store, monotonic=lambda: 0.0), lambda: 0, look_s=0.5), Told()

    assert look(told) > 0.5
    assert told == ["trouble"]


def test_a_sparkline_goes_down_in_steps_to_the_last_trial():
    line = sparkline([(0, 5.0), (4, 3.0)], until=9)

    assert line.points == "2.0,2.0 60.0,2.0 60.0,26.0 118.0,26.0"
    assert (line.high, line.low) == (5.0, 3.0)
    assert sparkline([], until=9) is None
    assert sparkline([(0, 5.0)], until=1) is None


def test_a_curve_is_thinned_and_keeps_its_last_point():
    line = curve([(epoch, 100.0 - epoch) for epoch in range(1, 1001)])

    assert len(line.points.split()) <= MOST_POINTS
    assert line.points.split()[-1].startswith(f"{CURVE_WIDTH - 2:.1f},")
    assert curve([(1, 3.0)]).points.split() == ["360.0,120.0"]
    assert curve([]) is None
