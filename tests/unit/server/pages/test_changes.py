"""The home page's stream: it says that something has changed, once, and nothing while all is as it was."""

from tests.support.paged_store import NOW, fill, running
from tests.support.reported_sweeps import TEXT, complete
from vae_search.errors import StoreUnavailable
from vae_search.queue.sweep_queue import SweepQueue
from vae_search.server.pages.sweeps.changes import StoreLook
from vae_search.server.pages.sweeps.drawings import BOX, LABELLED, MOST_POINTS, chart, sparkline
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
    drawn = chart([("trial 0", [(epoch, 100.0 - epoch / 20) for epoch in range(1, 1001)])], epochs=1000)

    (curve,) = drawn.curves
    assert len(curve.points.split()) <= MOST_POINTS
    assert curve.points.split()[-1].startswith(f"{BOX:.1f},")
    assert (curve.x, curve.words) == (100.0, "trial 0: 50.00 nats after epoch 1000")
    assert chart([("trial 0", ())], epochs=9) is None


def test_a_chart_places_rungs_by_epoch_and_leaves_out_numbers_that_have_no_room():
    drawn = chart([("0", [(1, 30.0), (2, 20.0)])], rungs=[1, 2, 27, 99], epochs=100)

    assert [rung.at for rung in drawn.rungs] == [1.0, 2.0, 27.0, 99.0]
    assert [number.text for number in drawn.numbers] == ["1", "27", "100"]
    assert drawn.curves[0].points.startswith(f"{BOX / 100:.1f},")
    assert all(level.text in ("20", "25", "30") for level in drawn.levels)


def test_a_chart_cuts_the_values_of_first_epochs_and_says_so():
    falling = [(1, 4000.0), *((epoch, 30.0 - epoch) for epoch in range(2, 12))]

    cut, whole = chart([("0", falling)], epochs=11), chart([("0", falling[1:])], epochs=11)

    assert cut.is_cut
    assert not whole.is_cut
    assert [level.text for level in cut.levels] == ["20", "30"]


def test_a_chart_holds_trials_against_the_best_and_names_few_of_them():
    points = [(1, 3.0)]
    few = chart([("3", points)], best=[(1, 2.0), (2, 1.0)], epochs=9)
    many = chart([(str(trial), points) for trial in range(LABELLED + 1)], epochs=9)

    assert [curve.kind for curve in few.curves] == ["best", "c0"]
    assert few.is_labelled
    assert not many.is_labelled
