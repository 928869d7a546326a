"""Commands that a driver carries out: each once, wherever drivers die. Made-up curves, no worker of any library."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.unit.search.test_paused_trials import SPEC, Sweep, check_whole
from vae_search.core.trial_state import Reason, State
from vae_search.errors import StoreUnavailable
from vae_search.search.control.live_control import LOOK_EVERY_S, LiveControl
from vae_search.search.coordinator import SweepCoordinator
from vae_search.search.pending_trials import PendingTrials
from vae_search.search.running_trial import SweepContext
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.backends.json_records import to_json_bytes
from vae_search.store.backends.local import LocalStore
from vae_search.store.control.command_log import CommandLog
from vae_search.store.control.commands import CommandAction, SweepCommand
from vae_search.store.control.enqueued_trials import EnqueuedTrials
from vae_search.store.control.present_spec import BegunSpec
from vae_search.store.leases.records import newest_lease
from vae_search.store.ledger.trials import Ledger
from vae_search.store.maintenance.findings import Finding
from vae_search.store.maintenance.repair import set_aside
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps.beginning import create_or_check
from vae_search.store.sweeps.sweep_record import SweepRecord

pytestmark = pytest.mark.usefixtures("without_fsync")

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Died(Exception):
    """The driver's process is gone."""


class MortalStore(LocalStore):
    """Dies before or after the change with a given number."""

    def __init__(self, folder, *, dies_at: int = 10**9, after: bool = False) -> None:
        super().__init__(folder)
        self.changes, self.dies_at, self.after = 0, dies_at, after

    def _change(self, act) -> None:
        self.changes += 1
        dies = self.changes == self.dies_at
        if dies and not self.after:
            raise Died
        act()
        if dies:
            raise Died

    def create(self, path, content) -> None:
        self._change(lambda: LocalStore.create(self, path, content))

    def replace(self, path, content) -> None:
        self._change(lambda: LocalStore.replace(self, path, content))

    def remove(self, path) -> None:
        self._change(lambda: LocalStore.remove(self, path))

    def remove_tree(self, prefix) -> None:
        self._change(lambda: LocalStore.remove_tree(self, prefix))


class Commanded(Sweep):
    """A sweep whose drivers look for commands at each step."""

    def give(self, action: CommandAction, **what: object) -> int:
        command = SweepCommand(action=action, at=NOW, nonce=f"{self.random.random()}", **what)
        return CommandLog(LocalStore(self.store.local_path("")), "small", incarnation=None).add(command)

    def control(self) -> LiveControl:
        log = CommandLog(self.store, "small", incarnation=None)
        began = BegunSpec(spec=self.spec, asked=self.spec, commands=0)
        clock = iter(range(10**9))
        return LiveControl(began, read=log.control, monotonic=lambda: LOOK_EVERY_S * next(clock))


@pytest.fixture
def commanded(tmp_path, monkeypatch) -> Commanded:
    """All coordinators of the sweep get its control."""
    sweep = Commanded(MortalStore(tmp_path / "store"), workers=2, seed=0)
    original = SweepCoordinator.__init__

    def with_control(self, context: SweepContext, **options: object) -> None:
        original(self, context, **{"control": sweep.control()} | options)

    monkeypatch.setattr(SweepCoordinator, "__init__", with_control)
    return sweep


CONFIG = {"latent_dim": 7, "learning_rate": 0.005}


def test_an_enqueued_config_is_the_next_trial_and_the_sampler_goes_on_beside_it(commanded):
    commanded.driver(lives=3)
    begun = len({path.split("/")[3] for path in commanded.store.list(SweepPaths("small").running)})
    first = commanded.give(CommandAction.ENQUEUE, params=CONFIG)
    second = commanded.give(CommandAction.ENQUEUE, params={"latent_dim": 9})

    commanded.driver()

    check_whole(commanded)
    rows = commanded.rows()
    assert [(row.trial, row.command) for row in rows if row.command] == [(begun, first), (begun + 1, second)]
    assert rows[begun].params == CONFIG
    assert rows[begun + 1].params["latent_dim"] == 9
    assert 1e-3 <= rows[begun + 1].params["learning_rate"] <= 1e-2


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_driver_that_dies_at_any_change_of_the_store_neither_loses_nor_repeats_a_config(
    commanded, tmp_path, after, quick
):
    died = 0
    commanded.spec = parse_spec(SPEC, base=Path(), overrides=["budget.trials=4", "budget.epochs=2"])
    for dies_at in range(4, 30, 3 if quick else 1):
        store = MortalStore(tmp_path / f"died-{after}-{dies_at}", dies_at=dies_at, after=after)
        sweep = commanded
        sweep.store, sweep.saved, sweep.landed = store, {}, []
        log = CommandLog(LocalStore(store.local_path("")), "small", incarnation=None)
        number = log.add(SweepCommand(action=CommandAction.ENQUEUE, at=NOW, nonce="n", params=CONFIG))
        try:
            sweep.driver()
        except Died:
            died += 1
            newest = newest_lease(store, "small")  # its heart beats on in this process
            LocalStore.replace(store, SweepPaths("small").lease_ended(newest), to_json_bytes({"lease": newest}))
        store.dies_at = 10**9

        sweep.driver()

        rows = sweep.rows()
        assert [row.trial for row in rows] == list(range(4))
        assert [row.params for row in rows if row.command == number] == [CONFIG], dies_at
        assert store.list(SweepPaths("small").running) == []
    assert died > 5


def test_a_running_and_a_paused_trial_end_as_stopped_with_what_they_have_measured(commanded):
    commanded.driver(lives=7)
    running = commanded.store.list(SweepPaths("small").running)
    paused = {int(path.split("/")[3]) for path in running if path.endswith("/paused.json")}
    others = {int(path.split("/")[3]) for path in running} - paused
    chosen = {min(paused), min(others)}
    for trial in chosen:
        commanded.give(CommandAction.STOP_TRIAL, trial=trial)

    commanded.driver()

    check_whole(commanded)
    stopped = {row.trial: row for row in commanded.rows() if row.reason is Reason.STOPPED}
    assert stopped.keys() == chosen
    assert {row.state for row in stopped.values()} == {State.PRUNED}
    assert all(row.epochs >= 1 and row.neg_elbo is not None for row in stopped.values())


def test_a_trial_that_ends_by_itself_is_not_stopped_afterwards(commanded):
    commanded.give(CommandAction.STOP_TRIAL, trial=0)
    commanded.spec = parse_spec(SPEC, base=Path(), overrides=["budget.epochs=1", "pruning=off"])

    commanded.driver()

    assert commanded.rows()[0].state is State.COMPLETE


def test_a_budget_that_is_raised_or_lowered_while_trials_run_is_the_one_that_is_used(commanded):
    commanded.driver(lives=3)
    commanded.give(CommandAction.SET, settings={"budget.trials": 26})
    coordinator = commanded.driver(lives=2)
    assert coordinator.progress().trials == 26
    commanded.give(CommandAction.SET, settings={"budget.trials": 1})  # fewer than have begun

    coordinator = commanded.driver()

    rows = commanded.rows()
    assert [row.trial for row in rows] == list(range(coordinator.progress().trials))
    assert 1 < len(rows) < 20
    assert coordinator.exhausted


def test_a_config_that_does_not_fit_is_left_out_and_the_sweep_goes_on(commanded):
    commanded.give(CommandAction.ENQUEUE, params={"latent_dim": 1000})
    good = commanded.give(CommandAction.ENQUEUE, params=CONFIG)

    commanded.driver()

    check_whole(commanded)
    assert [row.command for row in commanded.rows() if row.command] == [good]


def damaged(store: LocalStore, trial: int) -> None:
    path = store.local_path(SweepPaths("small").trial(trial))
    path.chmod(0o644)
    path.write_bytes(b"damaged")


@pytest.mark.parametrize("is_repaired", [True, False])
def test_a_config_whose_row_was_lost_is_not_tried_again(commanded, is_repaired):
    commanded.spec = parse_spec(SPEC, base=Path(), overrides=["budget.trials=4", "budget.epochs=2"])
    number = commanded.give(CommandAction.ENQUEUE, params=CONFIG)
    commanded.driver()
    (trial,) = [row.trial for row in commanded.rows() if row.command == number]
    damaged(commanded.store, trial)
    if is_repaired:
        set_aside(commanded.store, "small", damaged_row(trial), lease=1)
    commanded.spec = parse_spec(SPEC, base=Path(), overrides=["budget.trials=7", "budget.epochs=2"])

    coordinator = commanded.driver()

    rows = Ledger(commanded.store, "small").trials()
    assert [row.trial for row in rows] == [other for other in range(7) if other != trial]
    assert [row.trial for row in rows if row.command == number or row.params == CONFIG] == []
    assert coordinator.exhausted


def damaged_row(trial: int) -> Finding:
    return Finding(path=SweepPaths("small").trial(trial), problem="damaged", damaged=True)


def test_a_config_whose_row_an_older_version_has_written_is_known_before_it_is_set_aside(commanded):
    commanded.spec = parse_spec(SPEC, base=Path(), overrides=["budget.trials=4", "budget.epochs=2"])
    record = SweepRecord(spec=commanded.spec, fingerprint="f" * 64, comparability_key="c" * 64, versions={})
    create_or_check(commanded.store, record, text=SPEC)
    number = commanded.give(CommandAction.ENQUEUE, params=CONFIG)
    commanded.driver()
    (trial,) = [row.trial for row in commanded.rows() if row.command == number]
    commanded.store.remove_tree(SweepPaths("small").enqueued_trials(None))
    Ledger(commanded.store, "small").compact()  # its copy for readers tells
    damaged(commanded.store, trial)

    set_aside(commanded.store, "small", damaged_row(trial), lease=1)

    notes = EnqueuedTrials(commanded.store, "small", incarnation=None)
    assert notes.taken({}, over=range(4)) == {number}


def test_the_next_driver_notes_what_only_rows_of_an_older_version_tell(commanded):
    commanded.spec = parse_spec(SPEC, base=Path(), overrides=["budget.trials=4", "budget.epochs=2"])
    number = commanded.give(CommandAction.ENQUEUE, params=CONFIG)
    commanded.driver()
    (trial,) = [row.trial for row in commanded.rows() if row.command == number]
    commanded.store.remove_tree(SweepPaths("small").enqueued_trials(None))

    commanded.driver()

    notes = EnqueuedTrials(commanded.store, "small", incarnation=None)
    assert notes.commands(range(4)) == {trial: number}


def test_a_config_whose_suggestion_was_lost_is_tried(commanded):
    number = commanded.give(CommandAction.ENQUEUE, params=CONFIG)
    commanded.driver(lives=3)
    (trial,) = [each.trial for each in PendingTrials(commanded.store, "small").all() if each.command == number]
    commanded.store.remove_tree(SweepPaths("small").run(f"{trial:06d}"))

    commanded.driver()

    check_whole(commanded)
    assert [row.params for row in commanded.rows() if row.command == number] == [CONFIG]


def test_commands_that_cannot_be_read_end_no_sweep_and_are_read_later(store):
    sweep = Sweep(store, workers=1, seed=0)
    began = BegunSpec(spec=sweep.spec, asked=sweep.spec, commands=0)
    log = CommandLog(store, "small", incarnation=None)
    log.add(SweepCommand(action=CommandAction.SET, at=NOW, nonce="n", settings={"resources.concurrency": 3}))
    answers = [False, True]

    def read():
        if not answers.pop(0):
            raise StoreUnavailable("the store is away")
        return log.control()

    now_s = [0.0]
    control = LiveControl(began, read=read, monotonic=lambda: now_s[0])

    assert (control.look(), control.resources.concurrency) == (False, "auto")
    assert control.look() is False  # not yet time
    now_s[0] += LOOK_EVERY_S
    assert (control.look(), control.resources.concurrency, control.seen) == (True, 3, 1)
