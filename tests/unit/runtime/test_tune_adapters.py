"""What Tune tells of lost workers, and what becomes of it. The errors are Ray's own, raised as Ray raises them."""

from dataclasses import asdict
from types import SimpleNamespace

import pytest
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import ActorDiedError, OutOfMemoryError, RayActorError, RayError, RayTaskError

from vae_search.core.trial_state import Reason
from vae_search.errors import ClusterTrouble, StoreUnavailable
from vae_search.runtime.tune_adapters import WORKERS_REPORT_S, TuneRunState, _bundle, _CommitCallback, _SearchAdapter
from vae_search.runtime.tune_patches import lost_workers_told_apart
from vae_search.spec.sections import Resources
from vae_search.store.ledger.failure_counts import failure_counts

pytestmark = pytest.mark.needs_ray

FULL = StoreUnavailable("store: cannot be written: No space left on device")


def trial_of(order) -> SimpleNamespace:
    return SimpleNamespace(config=asdict(order), run_metadata=SimpleNamespace(num_failures=4))


def run_of(session) -> TuneRunState:
    return TuneRunState(session.coordinator, limit=lambda: 3, stop_requested=lambda: False, monotonic=lambda: 0.0)


def lost(run: TuneRunState, trial: SimpleNamespace, error: Exception, *, for_good: bool = False) -> None:
    """Tell of a lost worker as Tune does: from the block in which it handles the error."""
    lander = _CommitCallback(run)
    try:
        raise error
    except RayError:
        if for_good:
            lander.on_trial_error(iteration=1, trials=[], trial=trial)
        else:
            lander.on_trial_recover(iteration=1, trials=[], trial=trial)


def test_trouble_of_the_store_in_a_worker_ends_the_run_as_what_it_is(open_session):
    session = open_session()
    run, order = run_of(session), session.start()

    lost(run, trial_of(order), RayTaskError("step", "traceback", FULL))

    assert run.failure is FULL


def test_a_worker_that_the_memory_monitor_killed_is_a_strike_against_its_trial(open_session, store):
    session = open_session()
    run, order = run_of(session), session.start()

    lost(run, trial_of(order), OutOfMemoryError("the node was low on memory"))

    assert run.failure is None
    assert failure_counts(store, "small", "000000") == {Reason.OOM: 1}


def test_one_that_was_killed_before_its_trial_began_is_none(open_session, store):
    session = open_session()
    run, order = run_of(session), session.coordinator.next_assignment()

    lost(run, trial_of(order), OutOfMemoryError("the node was low on memory"))

    assert failure_counts(store, "small", "000000") == {}


@pytest.mark.parametrize("error", [ActorDiedError(), OutOfMemoryError("the node was low on memory")])
def test_a_trial_that_loses_too_many_workers_ends_the_run_with_the_last_cause(open_session, error):
    session = open_session()
    run, order = run_of(session), session.start()

    lost(run, trial_of(order), error, for_good=True)

    assert isinstance(run.failure, ClusterTrouble)
    assert type(error).__name__ in str(run.failure)
    assert str(error).splitlines()[0] in str(run.failure)


def test_tune_is_told_of_a_worker_killed_for_memory_in_words_that_it_knows(monkeypatch):
    told: list[Exception] = []
    monkeypatch.setattr(
        RayActorManager, "_actor_task_failed", lambda self, tracked_actor_task, exception: told.append(exception)
    )
    errors = [OutOfMemoryError("low on memory"), ActorDiedError(), RayTaskError("step", "traceback", ValueError())]

    with lost_workers_told_apart():
        for error in errors:
            RayActorManager._actor_task_failed(None, tracked_actor_task=None, exception=error)
    RayActorManager._actor_task_failed(None, tracked_actor_task=None, exception=errors[0])

    assert isinstance(told[0], RayActorError)
    assert str(told[0]) == "low on memory"
    assert told[1:] == [*errors[1:], errors[0]]  # as they were, and nothing is translated afterwards


def test_ray_keeps_free_for_a_trial_what_the_spec_asks_for():
    wanted = Resources(cpus_per_trial=2, gpus_per_trial=0.5, memory="1GiB", custom={"tpu": 1}, labels={"zone": "east"})

    bundle = _bundle(wanted)

    assert bundle.bundles == [{"CPU": 2.0, "GPU": 0.5, "memory": 2.0**30, "tpu": 1.0}]
    # What Tune hands to Ray when it asks for the place; without labels any node will do.
    assert bundle._bound.arguments["bundle_label_selector"] == [{"zone": "east"}]
    assert "bundle_label_selector" not in _bundle(Resources())._bound.arguments
    assert bundle == _bundle(wanted)  # Tune gives a worker another trial only if this holds
    assert hash(bundle) == hash(_bundle(wanted))


def test_trials_are_suggested_up_to_the_limit_of_the_moment(open_session):
    session = open_session()
    limit = 2
    run = TuneRunState(session.coordinator, limit=lambda: limit, stop_requested=lambda: False, monotonic=lambda: 0.0)
    suggester = _SearchAdapter(run)

    before = [suggester.suggest(f"t{number}") for number in range(3)]
    limit = 3  # a node has joined
    after = [suggester.suggest(f"t{number}") for number in range(2)]

    assert [order and order["trial"] for order in before] == [0, 1, None]
    assert [order and order["trial"] for order in after] == [2, None]
    assert session.coordinator.in_flight == 3


def test_a_run_that_stops_leaves_when_every_epoch_is_saved_and_else_lets_tune_wait_for_those_that_are_not(open_session):
    session, now_s, stops = open_session(), [0.0], [False]
    run = TuneRunState(
        session.coordinator, limit=lambda: 3, stop_requested=lambda: stops[0], monotonic=lambda: now_s[0]
    )
    session.start()  # a trial in its first epoch

    goes_on = run.leaving
    stops[0] = True
    waits = run.leaving
    now_s[0] = WORKERS_REPORT_S + 0.1
    leaves = run.leaving

    assert (goes_on, waits, leaves) == (False, False, True)


def test_nobody_waits_for_trials_that_have_not_begun(open_session):
    session = open_session()
    run = TuneRunState(session.coordinator, limit=lambda: 3, stop_requested=lambda: True, monotonic=lambda: 0.0)
    session.coordinator.next_assignment()

    assert run.leaving
