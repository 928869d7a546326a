"""The run that goes on from the best seed: its bits, its row, its costs, and what a driver that dies in it leaves."""

import json

import pytest

from tests.support.planned_sweeps import PLAN
from tests.support.rows import trial_row
from tests.support.sweeps import Sessions, small_spec
from vae_search.errors import Conflict
from vae_search.search.planning import continued_run
from vae_search.search.planning.confirm_length import ConfirmLength, warmup_of
from vae_search.search.planning.continuation import Stage
from vae_search.store.backends.local import LocalStore
from vae_search.store.control.confirm_decisions import continuation_of
from vae_search.store.ledger import artifacts
from vae_search.store.ledger.artifacts import WEIGHTS_FILE
from vae_search.store.ledger.confirm_runs import ConfirmRow, ConfirmRuns
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths
from vae_search.vae.inference.npz import arrays_of

pytestmark = pytest.mark.needs_tensorflow

PLANNED = (
    "budget={trials: 1, epochs: 2, minutes: 1}",
    "confirm={finalists: 1, seeds: 2, epochs: auto}",
    "pruning=off",
    "lr_schedule=wsd",
)
PATHS = SweepPaths("small")


STAGES = {
    1: Stage(until=6, decay_epochs=0),
    2: Stage(until=8, decay_epochs=0),
    3: Stage(until=9, decay_epochs=0),
    4: Stage(until=12, decay_epochs=3),
}


def decided(store: LocalStore, *, threads: int = 1) -> None:
    """Decide on the length of the seeds before the driver does, whose clock would decide otherwise."""
    length = {"epochs": 5, "turn_epochs": {}, "branch_epoch": 4, "threads": threads}
    store.create(PATHS.confirm_length(None), json.dumps(length).encode())


@pytest.fixture(autouse=True)
def stages(monkeypatch):
    """Stages of the same lengths on every machine."""
    monkeypatch.setattr(continued_run, "first_stage", lambda *told, **named: STAGES[1])
    monkeypatch.setattr(continued_run, "next_stage", lambda done, *, number, **named: STAGES[number])


@pytest.fixture
def sessions(small_task, judge_task):
    """Drivers on one of several stores."""
    opened: dict[LocalStore, Sessions] = {}

    def of(store: LocalStore, *overrides: str, **settings: object):
        drivers = opened.setdefault(store, Sessions(store, small_task, judge_task))
        return drivers.open(*PLANNED, *overrides, plan=PLAN, **({"seconds_left": lambda: 1000.0} | settings))

    yield of
    for drivers in opened.values():
        drivers.close()


def went_on(store: LocalStore) -> ConfirmRow:
    (row,) = ConfirmRuns(store, "small").read().continued
    return row


def weights(store: LocalStore, row: ConfirmRow) -> dict[str, bytes]:
    files = artifacts.load(store, "small", row.key, sha256=row.artifact_sha256)
    return {name: array.tobytes() for name, array in arrays_of(files[WEIGHTS_FILE]).items()}


def test_the_best_seed_goes_on_and_the_others_end_as_they_were(store, sessions):
    decided(store)

    sessions(store, "checkpoint_s=0.001").run()

    seeds, row = ConfirmRuns(store, "small").rows(), went_on(store)
    best = min(seeds, key=lambda each: each.neg_elbo)
    assert [each.epochs for each in seeds] == [5, 5]
    assert (row.confirm_seed, row.seed, row.continues_epoch, row.threads) == (-best.confirm_seed, best.seed, 4, 1)
    assert row.key == f"000000-c{best.confirm_seed}"
    assert row.epochs == 12
    assert row.neg_elbo < best.neg_elbo
    assert row.iwae_k == best.iwae_k
    assert store.list(PATHS.running) == []


def test_more_threads_than_a_trial_has_take_shards_of_each_batch(store, sessions):
    decided(store, threads=2)

    sessions(store, "search_space={latent_dim: 2, batch_size: 64}").run()

    first = json.loads(store.read(PATHS.confirm_length(None, stage=1)))
    assert (first["threads"], first["shards"]) == (2, 2)
    assert (went_on(store).threads, went_on(store).shards) == (2, 2)
    assert {row.shards for row in ConfirmRuns(store, "small").rows()} == {None}


def test_a_run_that_was_begun_before_there_were_shards_asks_for_the_threads_that_it_had(store, sessions):
    decided(store, threads=2)
    sessions(store).run(until=lambda report: "-c" in report.key)
    path = PATHS.confirm_length(None, stage=1)
    record = json.loads(store.read(path))
    store.replace(path, json.dumps({key: value for key, value in record.items() if key != "shards"}).encode())
    for each in store.list(PATHS.running):
        if each.endswith("suggestion.json"):
            found = json.loads(store.read(each))
            store.replace(each, json.dumps({k: v for k, v in found.items() if k != "shards"}).encode())

    with pytest.raises(Conflict, match="2 threads for each operation, but TensorFlow in this process has 1"):
        sessions(store).run()


def test_its_costs_are_those_of_its_own_epochs(store, sessions):
    decided(store)

    sessions(store).run()

    row, seed = went_on(store), ConfirmRuns(store, "small").rows()[0]
    assert row.train_flops == pytest.approx(seed.train_flops * 8 / 5)


@pytest.mark.slow
def test_a_driver_that_dies_in_it_leaves_the_same_bits(tmp_path, sessions):
    expected, found = LocalStore(tmp_path / "expected"), LocalStore(tmp_path / "found")
    for store in (expected, found):
        decided(store)
    sessions(expected).run()

    for epoch in (5, 6, 8, 11):
        sessions(found, "checkpoint_s=0.001").run(
            until=lambda report, epoch=epoch: "-c" in report.key and report.epoch == epoch
        )
    sessions(found).run()

    rows = [went_on(store) for store in (expected, found)]
    assert rows[0].neg_elbo == rows[1].neg_elbo
    assert rows[0].iwae == rows[1].iwae
    assert weights(expected, rows[0]) == weights(found, rows[1])
    assert [len(ConfirmRuns(store, "small").rows()) for store in (expected, found)] == [2, 2]


@pytest.mark.slow
def test_time_that_is_over_does_not_cut_a_run_that_goes_on(store, sessions):
    left_s = [1000.0]
    decided(store)
    sessions(store).run(until=lambda report: "-c" in report.key and report.epoch == 7)

    left_s[0] = -1.0
    sessions(store, seconds_left=lambda: left_s[0]).run()

    assert went_on(store).epochs == 12


@pytest.mark.slow
def test_a_stage_is_decided_once_and_never_again(store, sessions, monkeypatch):
    decided(store)
    sessions(store, "checkpoint_s=0.001").run(until=lambda report: "-c" in report.key and report.epoch == 8)
    first = [store.read(PATHS.confirm_length(None, stage=number)) for number in (1, 2)]

    monkeypatch.setattr(continued_run, "first_stage", lambda *told, **named: Stage(until=7, decay_epochs=0))
    sessions(store, seconds_left=lambda: 0.5).run()

    assert [store.read(PATHS.confirm_length(None, stage=number)) for number in (1, 2)] == first
    assert went_on(store).epochs == 12
    assert str(continuation_of(store, "small", incarnation=None)).endswith("goes on from epoch 4 to 12, with 1 thread")


def states_removed(store: LocalStore) -> None:
    for path in store.list(PATHS.running):
        if "-c" in path and "checkpoint" in path:
            store.remove(path)


def test_a_run_whose_state_is_gone_fails_and_takes_nothing_with_it(store, sessions):
    decided(store)
    sessions(store).run(until=lambda report: "-c" in report.key)
    states_removed(store)

    sessions(store).run()

    row = went_on(store)
    assert (row.state, row.artifact_sha256) == ("FAIL", None)
    assert "is gone or damaged" in row.error
    assert {each.state for each in ConfirmRuns(store, "small").rows()} == {"COMPLETE"}


@pytest.mark.slow
def test_nothing_begins_to_go_on_from_a_state_that_somebody_has_removed(store, sessions):
    decided(store)
    sessions(store).run(until=lambda report: report.key.endswith("-s2") and report.scores is not None)
    states_removed(store)

    again = sessions(store)
    again.run()

    assert ConfirmRuns(store, "small").read().continued == ()
    assert again.coordinator.exhausted


def states(store: LocalStore) -> set[str]:
    return {path.split("/")[3] for path in store.list(PATHS.running) if "-c" in path}


def test_time_that_is_over_before_anything_goes_on_leaves_no_states(store, sessions):
    left_s = [1000.0]
    decided(store)
    driver = sessions(store, seconds_left=lambda: left_s[0])
    driver.run(until=lambda report: report.key.endswith("-s2") and report.scores is not None)
    driver.coordinator.commit_trial("000000-s2")
    before, left_s[0] = states(store), -1.0

    last = sessions(store, seconds_left=lambda: left_s[0])
    last.run()
    last.coordinator.finish()

    assert before == {"000000-c1", "000000-c2"}
    assert last.coordinator.exhausted
    assert store.list(PATHS.running) == []


def test_time_that_is_over_before_all_seeds_leaves_what_more_minutes_go_on_from(store, sessions):
    left_s = [1000.0]
    decided(store)
    driver = sessions(store, seconds_left=lambda: left_s[0])
    driver.run(until=lambda report: report.key.endswith("-s1") and report.scores is not None)
    driver.coordinator.commit_trial("000000-s1")
    left_s[0] = -1.0

    last = sessions(store, seconds_left=lambda: left_s[0])
    last.run()
    last.coordinator.finish()

    assert last.coordinator.exhausted
    assert states(store) == {"000000-c1"}


def test_without_a_decision_for_it_nothing_goes_on(store, sessions):
    store.create(PATHS.confirm_length(None), json.dumps({"epochs": 3, "turn_epochs": {}}).encode())

    sessions(store).run()

    assert ConfirmRuns(store, "small").read().continued == ()
    assert store.list(PATHS.running) == []


def length_of(store: LocalStore, *overrides: str, left_s: float, threads: int = 2, slots: int = 2) -> ConfirmLength:
    """The decision on the seeds of a config whose epochs take a second."""
    found = ConfirmLength(small_spec(*PLANNED, *overrides), store, plan=None, incarnation=None)
    row = trial_row(0, sweep="small", epochs=10, wall_s=10.0)
    found.decide([row], left_s=left_s, slots=slots, threads=threads, check_lease=lambda: None)
    return found


def test_seeds_get_their_share_and_the_branch_lies_before_their_decay(store):
    found = length_of(store, left_s=1000.0)

    assert found.epochs == 339  # 0.97 · 35 % of the time
    assert (found.branch_epoch, found.threads) == (339 - 68, 2)
    again = ConfirmLength(small_spec(*PLANNED), store, plan=None, incarnation=None)
    assert (again.epochs, again.branch_epoch, again.threads) == (339, 271, 2)


def test_the_decision_ends_the_search_unless_the_budget_is_raised(store):
    found = ConfirmLength(small_spec(*PLANNED), store, plan=None, incarnation=None)
    assert not found.ends_search(trials=1, minutes=1.0)
    row = trial_row(0, sweep="small", epochs=10, wall_s=10.0)
    found.decide([row], left_s=45.0, slots=2, threads=2, check_lease=lambda: None)

    again = ConfirmLength(small_spec(*PLANNED), store, plan=None, incarnation=None)
    assert [again.ends_search(trials=1, minutes=minutes) for minutes in (0.5, 1.0, 2.0)] == [True, True, False]
    assert not again.ends_search(trials=2, minutes=1.0)


@pytest.mark.parametrize(
    ("override", "setting"),
    [
        ("confirm={finalists: 1, seeds: 2, epochs: auto, continuation: off}", {"left_s": 1000.0}),
        ("lr_schedule=constant", {"left_s": 1000.0}),
        ("keep=2", {"left_s": 1000.0, "threads": 1}),  # as many seeds as workers, and no more cores
        ("keep=2", {"left_s": 12.0}),
        ("budget={trials: 1, epochs: 500, minutes: 1}", {"left_s": 510.0}),  # seeds of that length leave no time
    ],
)
def test_seeds_get_all_the_time_where_nobody_goes_on(store, override, setting):
    found = length_of(store, override, **setting)

    assert (found.branch_epoch, found.threads) == (None, None)
    assert found.epochs == max(int(0.97 * setting["left_s"]), 500 if "500" in override else 0)


WARMED = "search_space={latent_dim: 4, kl_warmup_epochs: {type: int, low: 0, high: 8}}"
LONGER = "budget={trials: 1, epochs: 20, minutes: 1}"


def test_a_warm_up_that_is_searched_lasts_a_quarter_of_a_long_run_at_least(store):
    found = length_of(store, LONGER, WARMED, left_s=1000.0)

    again = ConfirmLength(small_spec(*PLANNED, LONGER, WARMED), store, plan=None, incarnation=None)
    for length in (found, again):
        assert length.epochs == 339
        assert length.params_of({"latent_dim": 4, "kl_warmup_epochs": 5}) == {"latent_dim": 4, "kl_warmup_epochs": 84}
        assert length.params_of({"kl_warmup_epochs": 100}) == {"kl_warmup_epochs": 100}
        assert length.params_of({"latent_dim": 4}) == {"latent_dim": 4}  # of a family that has none here


@pytest.mark.parametrize(
    "overrides",
    [
        ("search_space={latent_dim: 4, kl_warmup_epochs: 5}",),
        (WARMED, "lr_schedule=constant"),
        (
            "search_space={latent_dim: 4, bound_samples: 4, kl_warmup_epochs: {type: int, low: 0, high: 8}}",
            "objective={bound: iwae}",
        ),
    ],
)
def test_a_warm_up_stays_where_it_is_fixed_or_might_not_end_in_time(store, overrides):
    found = length_of(store, LONGER, *overrides, left_s=1000.0)

    assert "kl_warmup_epochs" not in json.loads(store.read(PATHS.confirm_length(None)))
    assert found.params_of({"kl_warmup_epochs": 5}) == {"kl_warmup_epochs": 5}


def test_a_warm_up_leaves_the_epochs_that_instability_needs():
    assert [warmup_of(epochs) for epochs in (3, 8, 9, 10, 100, 100_000)] == [0, 0, 1, 2, 25, 10_000]


def test_seeds_and_what_goes_on_have_the_warm_up_that_is_decided_and_old_decisions_leave_the_configs_own(
    tmp_path, sessions
):
    space = (
        "search_space={latent_dim: 2, depth: 1, width: 16, batch_size: 64, "
        "kl_warmup_epochs: {type: int, low: 0, high: 1}}"
    )
    found = []
    for record in ({}, {"kl_warmup_epochs": 3}):
        store = LocalStore(tmp_path / str(len(found)))
        length = {"epochs": 5, "turn_epochs": {}, "branch_epoch": 4, "threads": 1}
        store.create(PATHS.confirm_length(None), json.dumps(length | record).encode())
        sessions(store, space).run()
        found.append(store)

    own = Ledger(found[0], "small").trial(0).params["kl_warmup_epochs"]
    warmups = [
        [row.params["kl_warmup_epochs"] for row in (*ConfirmRuns(store, "small").rows(), went_on(store))]
        for store in found
    ]
    assert own <= 1
    assert warmups == [[own] * 3, [3] * 3]
    assert Ledger(found[1], "small").trial(0).params["kl_warmup_epochs"] == own
    scores = [[row.neg_elbo for row in ConfirmRuns(store, "small").rows()] for store in found]
    assert scores[0] != scores[1]
