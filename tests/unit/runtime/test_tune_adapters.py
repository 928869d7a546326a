"""What Tune tells of lost workers, and what becomes of it. The errors are Ray's own, raised as Ray raises them."""

import copy
from dataclasses import asdict
from types import SimpleNamespace

import pytest
from ray._private.label_utils import validate_label_selector
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.air.execution.resources.request import ResourceRequest
from ray.exceptions import ActorDiedError, OutOfMemoryError, RayActorError, RayError, RayTaskError

from vae_search.core.trial_state import Reason
from vae_search.errors import ClusterTrouble, CorruptStore, LeaseLost, NodeTrouble, StoreUnavailable
from vae_search.runtime.tune import adapters as tune_adapters
from vae_search.runtime.tune import patches as tune_patches
from vae_search.runtime.tune.adapters import (
    WORKERS_REPORT_S,
    TuneRunState,
    _CommitCallback,
    _SchedulerAdapter,
    _SearchAdapter,
    _StopAdapter,
)
from vae_search.runtime.tune.patches import lost_workers_told_apart, nodes_avoided
from vae_search.runtime.tune.trainable import REPORT
from vae_search.runtime.tune.worker_place import place_of
from vae_search.runtime.tune.worker_recovery import WorkerRecovery
from vae_search.search.messages import TrialAssignment
from vae_search.spec.sections import Resources
from vae_search.store.ledger.failure_counts import failure_counts

pytestmark = pytest.mark.needs_ray

FULL = StoreUnavailable("store: cannot be written: No space left on device")
BLIND = NodeTrouble("TensorFlow sees no GPU")
HERE, THERE = "a" * 56, "b" * 56


class Cluster:
    """What recovery is told: nodes, whether the store answers, timeouts; and what it tells."""

    def __init__(self) -> None:
        self.nodes = [HERE, THERE]
        self.store_answers = True
        self.timeouts = 0
        self.warnings: list[str] = []


@pytest.fixture
def cluster(monkeypatch) -> Cluster:
    monkeypatch.setattr(tune_adapters, "node_of_actor", lambda actor_id: HERE)
    return Cluster()


def trial_of(order) -> SimpleNamespace:
    actor = SimpleNamespace(_actor_id=b"actor")
    return SimpleNamespace(config=asdict(order), temporary_state=SimpleNamespace(ray_actor=actor))


def run_of(
    session,
    cluster: Cluster,
    *,
    max_retries: int = 3,
    limit=lambda: 3,
    stop_requested=lambda: False,
    monotonic=lambda: 0.0,
) -> TuneRunState:
    recovery = WorkerRecovery(
        session.coordinator,
        max_retries=max_retries,
        timeouts=lambda key: cluster.timeouts,
        store_answers=lambda: cluster.store_answers,
        usable_nodes=lambda: cluster.nodes,
        warn=cluster.warnings.append,
        monotonic=lambda: 0.0,
    )
    return TuneRunState(
        session.coordinator, limit=limit, stop_requested=stop_requested, monotonic=monotonic, recovery=recovery
    )


def begun(session, cluster: Cluster, **options: object) -> tuple[TuneRunState, SimpleNamespace]:
    """A run of Tune in which a worker on node HERE has begun with a trial."""
    run, trial = run_of(session, cluster, **options), trial_of(session.coordinator.next_assignment())
    _CommitCallback(run).on_trial_start(iteration=1, trials=[], trial=trial)
    return run, trial


def lost(run: TuneRunState, trial: SimpleNamespace, error: Exception) -> None:
    """Tell of a lost worker as Tune does: from the block in which it handles the error. Then another one begins."""
    try:
        raise error
    except RayError:
        _CommitCallback(run).on_trial_recover(iteration=1, trials=[], trial=trial)
    _CommitCallback(run).on_trial_start(iteration=1, trials=[], trial=trial)


def raised(error: Exception) -> RayTaskError:
    return RayTaskError("step", "traceback", error)


def died(detail: str = "it died", *, preempted: bool = False) -> RayActorError:
    return RayActorError(error_msg=detail, preempted=preempted)


def test_trouble_of_the_store_in_one_worker_is_a_lost_worker_if_the_driver_reaches_the_store(open_session, cluster):
    run, trial = begun(open_session(), cluster)

    lost(run, trial, raised(FULL))

    assert run.failure is None
    assert run.recovery.avoided() == {HERE}


def test_it_ends_the_run_as_what_it_is_if_the_driver_does_not_reach_it_either(open_session, cluster):
    run, trial = begun(open_session(), cluster)
    cluster.store_answers = False

    lost(run, trial, raised(FULL))

    assert run.failure is FULL


def test_it_ends_the_run_as_what_it_is_if_it_comes_time_and_again(open_session, cluster):
    run, trial = begun(open_session(), cluster)
    cluster.nodes = [HERE]

    for _ in range(4):
        lost(run, trial, raised(FULL))

    assert run.failure is FULL


@pytest.mark.parametrize("error", [LeaseLost("another driver"), CorruptStore("damaged", path="p")])
def test_what_another_worker_would_meet_as_well_ends_the_run(open_session, cluster, error):
    run, trial = begun(open_session(), cluster)

    lost(run, trial, raised(error))

    assert run.failure is error


def test_a_node_that_cannot_train_is_named_and_gets_no_more_trials(open_session, cluster):
    run, trial = begun(open_session(), cluster, max_retries=0)

    lost(run, trial, raised(BLIND))

    assert run.failure is None
    assert run.recovery.avoided() == {HERE}
    assert cluster.warnings == [f"node {HERE[:12]}: gets no more trials of this sweep: TensorFlow sees no GPU"]


def test_if_no_other_node_is_left_its_trouble_ends_the_run(open_session, cluster):
    run, trial = begun(open_session(), cluster)
    cluster.nodes = [HERE]

    lost(run, trial, raised(BLIND))

    assert isinstance(run.failure, NodeTrouble)
    assert str(run.failure) == f"node {HERE[:12]}: TensorFlow sees no GPU"


def test_one_that_was_excluded_before_anything_ran_refuses_the_sweep_if_it_is_the_only_one(open_session, cluster):
    run = run_of(open_session(), cluster)
    run.recovery.exclude(HERE, "does not answer")
    cluster.nodes = [HERE]

    with pytest.raises(NodeTrouble, match=f"node {HERE[:12]}: does not answer"):
        run.recovery.exclude(HERE, "does not answer")


def test_a_worker_that_was_lost_before_it_began_is_not_its_predecessors_nodes(open_session, cluster):
    run, trial = begun(open_session(), cluster, max_retries=10)

    for _ in range(4):
        try:
            raise died()
        except RayError:
            _CommitCallback(run).on_trial_recover(iteration=1, trials=[], trial=trial)

    assert cluster.warnings == []


def test_a_worker_that_the_memory_monitor_killed_is_a_strike_against_its_trial_and_none_against_its_node(
    open_session, cluster, store
):
    run, trial = begun(open_session(), cluster)

    lost(run, trial, OutOfMemoryError("the node was low on memory"))

    assert run.failure is None
    assert failure_counts(store, "small", "000000", trial_timeout_s=None) == {Reason.OOM: 1}
    assert run.recovery.avoided() == frozenset()


def test_one_that_was_killed_before_its_trial_began_is_none(open_session, cluster, store):
    session = open_session()
    run, trial = run_of(session, cluster), trial_of(session.coordinator.next_assignment())

    lost(run, trial, OutOfMemoryError("the node was low on memory"))

    assert failure_counts(store, "small", "000000", trial_timeout_s=None) == {}


@pytest.mark.parametrize("error", [died("the node's disk is full"), OutOfMemoryError("the node was low on memory")])
def test_a_trial_that_loses_too_many_workers_ends_the_run_with_the_last_cause(open_session, cluster, error):
    run, trial = begun(open_session(), cluster)
    cluster.nodes = [HERE]

    for _ in range(3):
        lost(run, trial, error)
    before = run.failure
    lost(run, trial, error)

    assert before is None
    assert isinstance(run.failure, ClusterTrouble)
    assert f"its worker was lost 4 times without getting further, last by {type(error).__name__}" in str(run.failure)
    assert str(error) in str(run.failure)


def test_retries_begin_anew_after_a_later_checkpoint(open_session, cluster):
    session = open_session("checkpoint_s=1e-6", "pruning=off")
    run, trial = begun(session, cluster)
    cluster.nodes = [HERE]
    session.runner.begin(TrialAssignment(**trial.config))

    for _ in range(4):  # a loss after each of four epochs
        report = session.runner.step()
        _SchedulerAdapter(run).on_trial_result(None, trial, {REPORT: report})
        for _ in range(3):
            lost(run, trial, died())

    assert report.saved_epoch == 4
    assert run.failure is None


def test_workers_that_are_preempted_or_end_a_trial_that_takes_too_long_cost_no_retry(open_session, cluster):
    run, trial = begun(open_session(), cluster, max_retries=0)

    lost(run, trial, died(preempted=True))
    cluster.timeouts = 1
    lost(run, trial, died())
    before, avoided = run.failure, run.recovery.avoided()
    lost(run, trial, died())

    assert (before, avoided) == (None, frozenset())
    assert isinstance(run.failure, ClusterTrouble)


def test_a_node_that_is_gone_is_neither_avoided_nor_named(open_session, cluster):
    run, trial = begun(open_session(), cluster, max_retries=10)
    cluster.nodes = [THERE]

    for _ in range(5):
        lost(run, trial, died())

    assert run.recovery.avoided() == frozenset()
    assert cluster.warnings == []


def test_a_trial_that_ends_on_a_node_makes_it_a_good_one_again(open_session, cluster):
    session = open_session("budget.trials=1", "pruning=off")
    run, trial = begun(session, cluster)
    lost(run, trial, died())
    avoided = run.recovery.avoided()
    session.runner.begin(TrialAssignment(**trial.config))
    while _SchedulerAdapter(run).on_trial_result(None, trial, {REPORT: session.runner.step()}) == "CONTINUE":
        pass

    _CommitCallback(run).on_trial_complete(iteration=1, trials=[], trial=trial)

    assert avoided == {HERE}
    assert run.recovery.avoided() == frozenset()
    assert [row.trial for row in session.landed] == [0]


def test_places_are_asked_for_on_other_nodes_than_those_that_are_avoided(monkeypatch):
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(tune_patches, "placement_group", lambda **arguments: asked.append(arguments))
    plain, labelled = place_of(Resources()), place_of(Resources(labels={"zone": "east"}))
    original = ResourceRequest.to_placement_group

    with nodes_avoided(lambda: [THERE, HERE]):
        for bundle in (plain, labelled):
            bundle.to_placement_group()

    selector = {"ray.io/node-id": f"!in({HERE},{THERE})"}
    assert [group["bundle_label_selector"] for group in asked] == [[selector], [{"zone": "east"} | selector]]
    assert all(validate_label_selector(group["bundle_label_selector"][0]) is None for group in asked)
    assert asked[0]["bundles"] == plain.bundles
    assert ResourceRequest.to_placement_group is original


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


def test_a_commit_aside_lands_in_a_turn_of_tunes_loop(open_session, cluster):
    session = open_session("pruning=off", writers=2)
    run, order = run_of(session, cluster), session.start()
    while session.coordinator.record(session.runner.step()) is None:
        pass

    _CommitCallback(run).on_trial_complete(iteration=1, trials=[], trial=trial_of(order))
    before = [*session.landed]
    while not session.landed:
        assert not _StopAdapter(run).stop_all()
    session.coordinator.close()

    assert before == []
    assert [row.trial for row in session.landed] == [0]


def test_with_nothing_else_to_train_the_next_trial_waits_for_the_commit(open_session, cluster):
    session = open_session("pruning=off", writers=2)
    run = run_of(session, cluster, limit=lambda: 1)
    order = session.start()
    while session.coordinator.record(session.runner.step()) is None:
        pass
    _CommitCallback(run).on_trial_complete(iteration=1, trials=[], trial=trial_of(order))

    suggested = _SearchAdapter(run).suggest("next")
    session.coordinator.close()

    assert [row.trial for row in session.landed] == [0]
    assert suggested["trial"] == 1


def test_trouble_of_a_commit_aside_ends_the_run_as_what_it_is(open_session, cluster, monkeypatch):
    session = open_session("pruning=off", writers=2)
    run, order = run_of(session, cluster), session.start()
    while session.coordinator.record(session.runner.step()) is None:
        pass
    monkeypatch.setattr(session.lease, "check", lambda: [][0])

    _CommitCallback(run).on_trial_complete(iteration=1, trials=[], trial=trial_of(order))
    while not _StopAdapter(run).stop_all():
        pass
    session.coordinator.close()

    assert isinstance(run.failure, IndexError)
    assert session.landed == []


def test_ray_keeps_free_for_a_trial_what_the_spec_asks_for():
    wanted = Resources(cpus_per_trial=2, gpus_per_trial=0.5, memory="1GiB", custom={"tpu": 1}, labels={"zone": "east"})

    bundle = place_of(wanted)

    assert bundle.bundles == [{"CPU": 2.0, "GPU": 0.5, "memory": 2.0**30, "tpu": 1.0}]
    # What Tune hands to Ray when it asks for the place; without labels any node will do.
    assert bundle._bound.arguments["bundle_label_selector"] == [{"zone": "east"}]
    assert "bundle_label_selector" not in place_of(Resources())._bound.arguments
    assert bundle == place_of(wanted)  # Tune gives a worker another trial only if this holds
    assert hash(bundle) == hash(place_of(wanted))


def test_trials_are_suggested_up_to_the_limit_of_the_moment(open_session, cluster):
    session = open_session()
    limit = 2
    run = run_of(session, cluster, limit=lambda: limit)
    suggester = _SearchAdapter(run)

    before = [suggester.suggest(f"t{number}") for number in range(3)]
    limit = 3  # a node has joined
    after = [suggester.suggest(f"t{number}") for number in range(2)]

    assert [order and order["trial"] for order in before] == [0, 1, None]
    assert [order and order["trial"] for order in after] == [2, None]
    assert session.coordinator.in_flight == 3


def test_a_run_that_stops_leaves_when_every_epoch_is_saved_and_else_lets_tune_wait_for_the_rest(open_session, cluster):
    session, now_s, stops = open_session(), [0.0], [False]
    run = run_of(session, cluster, stop_requested=lambda: stops[0], monotonic=lambda: now_s[0])
    session.start()  # a trial in its first epoch

    goes_on = run.leaving
    stops[0] = True
    waits = run.leaving
    now_s[0] = WORKERS_REPORT_S + 0.1
    leaves = run.leaving

    assert (goes_on, waits, leaves) == (False, False, True)


def test_nobody_waits_for_trials_that_have_not_begun(open_session, cluster):
    session = open_session()
    run = run_of(session, cluster, stop_requested=lambda: True)
    session.coordinator.next_assignment()

    assert run.leaving


def test_a_trial_that_waits_at_a_rung_frees_its_worker_and_is_suggested_again_when_it_has_a_place(
    open_session, cluster
):
    session = open_session("sampler=random", "budget.trials=3", "pruning.reduction_factor=3")
    run = run_of(session, cluster, limit=lambda: 1)
    suggester, scheduler, callback = _SearchAdapter(run), _SchedulerAdapter(run), _CommitCallback(run)
    said: list[tuple[int, int, str]] = []

    def train(config: dict) -> None:
        """As Tune does: one trial on one worker, until the scheduler says that it is over."""
        order = TrialAssignment(**config)
        trial = trial_of(order)
        callback.on_trial_start(iteration=1, trials=[], trial=trial)
        session.runner.begin(order)
        while not said or said[-1][0] != order.trial or said[-1][2] == "CONTINUE":
            report = session.runner.step()
            said.append((order.trial, report.epoch, scheduler.on_trial_result(None, trial, {REPORT: report})))
        callback.on_trial_complete(iteration=1, trials=[], trial=trial)
        said.append((-1, 0, ""))

    while isinstance(config := suggester.suggest("next"), dict):
        train(config)

    assert run.failure is None
    assert config == "FINISHED"
    began = [entry for before, entry in zip([(-1, 0, ""), *said], said, strict=False) if before[0] == -1]
    assert [entry[0] for entry in began[:3]] == [0, 1, 2]
    # The first two wait; once three have come the best of them goes on: at once if it is the last, else from its rung.
    assert {entry for entry in said if entry[1] == 2} >= {(0, 2, "STOP"), (1, 2, "STOP")}
    rows = {row.trial: row for row in session.landed}
    assert sorted(rows) == [0, 1, 2]
    complete = [row for row in rows.values() if row.state == "COMPLETE"]
    assert [row.epochs for row in complete] == [6]
    assert all(row.attempts == 1 for row in rows.values())


def test_a_run_with_more_threads_has_a_worker_of_its_own_and_no_more_cores_than_there_are():
    resources = Resources(cpus_per_trial=2)

    trial, alone = (place_of(resources, {"threads": each}, most_cpus=8) for each in (None, 8))

    assert trial == place_of(resources)
    assert alone != trial
    assert alone.required_resources["CPU"] == 8
    assert place_of(resources, {"threads": 8}, most_cpus=4).required_resources["CPU"] == 4
    assert place_of(resources, {"threads": 8}).required_resources["CPU"] == 2


def test_no_process_is_handed_on_to_a_run_with_other_threads_where_there_are_no_more_cores():
    """As after a resume with fewer cores: equal requests share workers, whose threads nobody can change."""
    resources = Resources(cpus_per_trial=2)
    trial, alone, same = (place_of(resources, {"threads": each}, most_cpus=2) for each in (None, 8, 2))

    assert trial.required_resources == alone.required_resources
    assert alone not in {trial}
    assert alone in {place_of(resources, {"threads": 8}, most_cpus=2)}
    assert trial == same
    assert copy.deepcopy(alone) == alone
