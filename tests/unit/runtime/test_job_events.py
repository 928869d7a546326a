"""What a job's driver tells programs through its log, and what people see of that log."""

import pytest

from vae_search.runtime.cluster.job_events import (
    FAILED,
    MARK,
    TRAINING,
    JobEvent,
    LineFilter,
    events_in,
    line_of,
    without_events,
)

EVENTS = [
    JobEvent(event=TRAINING),
    JobEvent(event=FAILED, exit_code=5, message='two lines\n{"of": "whatever"} …'),
]
LOG = "starting …\n" + line_of(EVENTS[0]) + "trial 0 COMPLETE\n" + line_of(EVENTS[1]) + "error: the"


def test_events_are_read_back_in_their_order():
    assert events_in(LOG) == EVENTS
    assert all(line_of(event).count("\n") == 1 for event in EVENTS)


@pytest.mark.parametrize("line", [MARK, f"{MARK}[1]", f"{MARK}{{}}", f"{MARK}{{", f" {line_of(EVENTS[0])}"])
def test_what_is_no_event_is_none(line):
    assert events_in(line) == []


def test_people_see_the_rest():
    assert without_events(LOG) == "starting …\ntrial 0 COMPLETE\nerror: the"


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_log_that_comes_in_pieces_is_shown_the_same(size):
    lines = LineFilter()

    shown = "".join(lines.take(LOG[start : start + size]) for start in range(0, len(LOG), size))

    assert shown + lines.rest() == without_events(LOG)


def test_a_complete_line_is_shown_at_once():
    assert LineFilter().take("starting …\nand") == "starting …\n"
