"""Confirm runs of a planned sweep: their length is decided once, and who gives way goes on with the same bits."""

import json
from dataclasses import replace

import pytest

from tests.support.planned_sweeps import PLAN
from vae_search.errors import CorruptStore
from vae_search.search.planning.plan_record import plan_in
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.confirm_runs import ConfirmRuns
from vae_search.store.paths import SweepPaths

pytestmark = pytest.mark.needs_tensorflow

PLANNED = (
    "budget={trials: 2, epochs: 3, minutes: 1}",
    "confirm={finalists: 1, seeds: 3, epochs: auto}",
    "pruning=off",
    "lr_schedule=wsd",
)
DECIDED = SweepPaths("small").confirm_length(None)


@pytest.fixture
def open_on(small_task, judge_task):
    """Open a driver on one of several stores."""
    from tests.support.sweeps import Sessions

    opened: dict[LocalStore, Sessions] = {}

    def open_session(store: LocalStore):
        sessions = opened.setdefault(store, Sessions(store, small_task, judge_task))
        return sessions.open(*PLANNED, plan=PLAN)

    yield open_session
    for sessions in opened.values():
        sessions.close()


def scores(store) -> list[tuple[object, ...]]:
    return [
        (row.key, row.epochs, row.neg_elbo, row.iwae, row.artifact_sha256, row.attempts)
        for row in ConfirmRuns(store, "small").rows()
    ]


def with_length(store, epochs: int, turn_epochs: dict[str, int]) -> None:
    """Decide before the driver does, whose clock would decide otherwise."""
    store.create(DECIDED, json.dumps({"epochs": epochs, "turn_epochs": turn_epochs}).encode())


def test_the_length_is_decided_by_the_time_that_is_left_and_never_again(store, open_session):
    session = open_session(*PLANNED, plan=PLAN, seconds_left=lambda: 1.0, slots=2)
    session.run(until=lambda report: "-s" in report.key)
    decided = json.loads(store.read(DECIDED))

    again = open_session(*PLANNED, plan=PLAN, seconds_left=lambda: 1000.0, slots=2)
    again.run()

    assert decided["left_s"] == 1.0
    assert json.loads(store.read(DECIDED)) == decided
    assert {row.epochs for row in ConfirmRuns(store, "small").rows()} == {decided["epochs"]}


@pytest.mark.slow
def test_a_run_that_gives_way_goes_on_with_the_same_bits(tmp_path, open_on):
    found = []
    for turns in ({}, {"2": 3}):
        store = LocalStore(tmp_path / str(len(found)))
        with_length(store, 6, turns)
        order: list[str] = []
        open_on(store).run(until=lambda report, order=order: bool(order.append(report.key)))
        found.append(scores(store))
        seeds = [key for key in dict.fromkeys(order) if "-s" in key]
        if turns:
            places = [place for place, key in enumerate(order) if key == seeds[0]]
            assert seeds[0].endswith("-s2")
            assert places[-1] - places[0] > len(places)  # others ran in between

    assert found[0] == found[1]


@pytest.mark.slow
def test_a_driver_that_dies_while_a_run_waits_loses_nothing(tmp_path, open_on):
    expected, found = LocalStore(tmp_path / "expected"), LocalStore(tmp_path / "found")
    for store in (expected, found):
        with_length(store, 6, {"2": 3})
    open_on(expected).run()

    open_on(found).run(until=lambda report: report.key.endswith("-s1") and report.epoch == 2)
    open_on(found).run()

    without_attempts = [[row[:-1] for row in scores(store)] for store in (expected, found)]
    assert without_attempts[0] == without_attempts[1]


def test_the_search_leaves_the_share_of_the_plan_once_there_is_a_finalist(open_session):
    left = [60.0]
    session = open_session(*PLANNED, plan=PLAN, seconds_left=lambda: left[0])
    session.run(until=lambda report: report.key == "000000" and report.scores is not None)

    left[0] = 38.0
    again = open_session(*PLANNED, plan=PLAN, seconds_left=lambda: left[0])

    assignment = again.coordinator.next_assignment()
    again.coordinator.started(assignment.key)
    again.runner.begin(assignment)
    again.coordinator.record(again.runner.step())
    again.coordinator.commit_trial(assignment.key)
    assert again.coordinator.next_assignment().confirms


@pytest.mark.parametrize(
    ("minutes", "branch", "begins"),
    [(1, {}, False), (5, {"branch_epoch": 4, "threads": 1}, False), (5, {}, True)],
    ids=["the same minutes", "more minutes while a run is to go on", "more minutes"],
)
def test_no_trial_begins_once_the_time_is_divided_among_the_seeds(store, open_session, minutes, branch, begins):
    session = open_session("budget={trials: 9, epochs: 3, minutes: 1}", *PLANNED[1:], plan=PLAN)
    session.run(until=lambda report: report.key == "000001")
    store.create(DECIDED, json.dumps({"epochs": 6, "turn_epochs": {}, "trials": 9, "minutes": 1.0} | branch).encode())
    again = open_session(f"budget={{trials: 9, epochs: 3, minutes: {minutes}}}", *PLANNED[1:], plan=PLAN)

    interrupted = again.coordinator.next_assignment()
    again.coordinator.started(interrupted.key)
    again.runner.begin(interrupted)
    while again.coordinator.record(again.runner.step()) is None:
        pass
    again.coordinator.commit_trial(interrupted.key)
    handed_out = [again.coordinator.next_assignment() for _ in range(2)]

    assert interrupted.key == "000001"
    assert [assignment.confirms for assignment in handed_out] == [not begins] * 2


def test_a_plan_is_read_as_it_was_recorded():
    fields = json.loads(json.dumps(PLAN.to_json()))

    assert plan_in(fields, path="x") == replace(PLAN, timings=())
    assert plan_in(None, path="x") is None
    with pytest.raises(CorruptStore, match="no valid plan"):
        plan_in({"minutes": 1}, path="x")
