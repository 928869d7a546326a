"""Commands to a sweep: durable, in one order, for the sweep and the driver that they were given to."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.stores import KEY, SPEC, filled_store
from vae_search.errors import Conflict, CorruptStore, NotFound, StoreUnavailable
from vae_search.services import maintenance
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.backends.local import LocalStore
from vae_search.store.control.command_log import CommandLog, command
from vae_search.store.control.commands import CommandAction, EnqueuedConfig, SweepCommand, SweepControl, fold
from vae_search.store.logs.chained_log import ChainedLog
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import beginning, sweep_record

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def filled(tmp_path) -> LocalStore:
    return filled_store(tmp_path / "store")


def given(store: LocalStore, action: CommandAction, **what: object) -> int:
    return command(store, "digits", action, incarnation=None, actor="ada", now=lambda: NOW, **what)


def control(store: LocalStore, *, since: int = 0, incarnation: str | None = None) -> SweepControl:
    return CommandLog(store, "digits", incarnation=incarnation).control(since=since)


def test_configs_are_enqueued_in_the_order_in_which_they_were_given(filled):
    numbers = [given(filled, CommandAction.ENQUEUE, params={"latent_dim": size}) for size in (8, 4)]

    assert control(filled).enqueued == (
        EnqueuedConfig(command=numbers[0], params={"latent_dim": 8}),
        EnqueuedConfig(command=numbers[1], params={"latent_dim": 4}),
    )


def test_stopping_a_trial_twice_is_stopping_it_once(filled):
    for trial in (3, 3, 5):
        given(filled, CommandAction.STOP_TRIAL, trial=trial)

    assert control(filled).stopped_trials == {3: 1, 5: 3}


def test_the_last_of_two_settings_holds_and_what_a_spec_has_already_is_left_out():
    settings = [{"resources.concurrency": 1, "budget.trials": 9}, {"resources.concurrency": 2}, {"budget.trials": 8}]
    commands = [SweepCommand(action=CommandAction.SET, at=NOW, nonce="n", settings=each) for each in settings]

    assert fold(commands, incarnation=None).settings == {"resources.concurrency": 2, "budget.trials": 8}
    assert fold(commands, incarnation=None, since=2).settings == {"budget.trials": 8}
    assert fold(commands, incarnation=None, since=3).settings == {}


def test_commands_to_an_earlier_sweep_of_the_name_are_passed_over(filled):
    given(filled, CommandAction.STOP_TRIAL, trial=3)

    assert control(filled, incarnation="another").stopped_trials == {}


def test_a_reader_that_follows_sees_what_one_sees_that_begins_anew(filled):
    following = CommandLog(filled, "digits", incarnation=None)
    for trial in range(4):
        given(filled, CommandAction.STOP_TRIAL, trial=trial)
        assert following.control() == control(filled)


def test_there_is_nothing_to_command_without_a_sweep(store):
    with pytest.raises(NotFound, match="no sweep 'digits'"):
        given(store, CommandAction.STOP_TRIAL, trial=3)


def test_a_damaged_command_is_named(filled):
    given(filled, CommandAction.STOP_TRIAL, trial=3)
    path = f"{SweepPaths('digits').commands(None)}/000001.json"
    filled.replace(path, filled.read(path).replace(b"3", b"4", 1))

    with pytest.raises(CorruptStore, match=r"commands/000001\.json"):
        control(filled)


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": CommandAction.ENQUEUE},
        {"action": CommandAction.ENQUEUE, "trial": 1, "params": {}},
        {"action": CommandAction.STOP_TRIAL, "settings": {}},
    ],
)
def test_a_command_has_what_its_action_needs_and_no_more(wrong):
    with pytest.raises(ValueError, match="goes with"):
        SweepCommand(at=NOW, nonce="n", **wrong)


def test_without_commands_nothing_is_controlled():
    assert fold([], incarnation=None) == SweepControl()


def begun(store: LocalStore, incarnation: str) -> LocalStore:
    """A new sweep, whose earlier one of its name, if there was any, is removed."""
    if sweep_record.find_stored(store, "digits") is not None:
        maintenance.remove(store, "digits")
    record = sweep_record.SweepRecord(
        spec=parse_spec(SPEC, base=Path()),
        fingerprint="f" * 64,
        comparability_key=KEY,
        versions={},
        incarnation=incarnation,
    )
    beginning.create_or_check(store, record, text=SPEC)
    return store


def stopping(trial: int, incarnation: str) -> SweepCommand:
    return SweepCommand(action=CommandAction.STOP_TRIAL, at=NOW, nonce=f"{trial}", incarnation=incarnation, trial=trial)


def test_a_command_to_a_removed_sweep_reaches_none_of_its_name_and_its_giver_is_told(store):
    begun(begun(store, "first"), "second")

    with pytest.raises(Conflict, match="sweep digits: was removed while it was given a command"):
        command(store, "digits", CommandAction.STOP_TRIAL, incarnation="first", actor=None, now=lambda: NOW, trial=3)

    assert CommandLog(store, "digits", incarnation="second").commands() == ()


def test_one_who_slept_through_a_removal_leaves_no_hole_in_the_next_sweeps_log(store):
    sleeper = CommandLog(begun(store, "first"), "digits", incarnation="first")
    for trial in range(3):
        sleeper.add(stopping(trial, "first"))
    begun(store, "second")
    assert sleeper.add(stopping(3, "first")) > 1

    log = CommandLog(store, "digits", incarnation="second")

    assert log.add(stopping(5, "second")) == 1
    assert CommandLog(store, "digits", incarnation="second").control().stopped_trials == {5: 1}


def test_commands_of_older_versions_are_read_where_they_lie_and_others_follow_them_there(store):
    former = ChainedLog(begun(store, "ours"), SweepPaths("digits").commands(None))
    for number, each in enumerate([stopping(1, "removed"), stopping(2, "ours")]):
        former.records()
        assert former.append(each.to_record(), after=number)

    log = CommandLog(store, "digits", incarnation="ours")

    assert log.control().stopped_trials == {2: 2}
    assert log.add(stopping(4, "ours")) == 3
    assert control(store, incarnation="ours").stopped_trials == {2: 2, 4: 3}


def test_what_somebody_of_an_older_version_left_behind_hinders_no_later_sweep(store):
    former = ChainedLog(begun(store, "first"), SweepPaths("digits").commands(None))
    for number in range(2):
        former.records()
        former.append(stopping(number, "first").to_record(), after=number)
    left = store.read(former.path(2))
    begun(store, "second")
    store.create(former.path(2), left)

    log = CommandLog(store, "digits", incarnation="second")

    assert log.commands() == ()
    assert log.add(stopping(4, "second")) == 1
    assert control(store, incarnation="second").stopped_trials == {4: 1}


def test_verify_names_a_damaged_command_and_gc_removes_those_to_removed_sweeps(store):
    begun(store, "ours")
    for incarnation in ("removed", "ours"):
        CommandLog(store, "digits", incarnation=incarnation).add(stopping(3, incarnation))
    path = f"{SweepPaths('digits').commands('ours')}/000001.json"
    intact = store.read(path)
    store.replace(path, intact.replace(b"3", b"4", 1))

    (verified,) = maintenance.verify(store, "digits", repair=False)
    store.replace(path, intact)
    (cleaned, *_) = maintenance.gc(store, "digits", dry_run=False, now_s=0.0)

    assert [finding.path for finding in verified.before.damaged] == [path]
    assert [*cleaned.removed] == [SweepPaths("digits").commands("removed")]
    assert store.list(SweepPaths("digits").control) == [path]


class StoreThatGoesAway(LocalStore):
    """A store that nobody reaches once something was written."""

    is_away = False

    def create(self, path: str, content: bytes) -> None:
        super().create(path, content)
        self.is_away = True

    def read(self, path: str) -> bytes:
        if self.is_away:
            raise StoreUnavailable("is away.")
        return super().read(path)


def test_a_command_that_is_durable_is_given_although_the_store_goes_away_then(tmp_path):
    store = begun(LocalStore(tmp_path), "first")
    away = StoreThatGoesAway(tmp_path)

    number = command(
        away, "digits", CommandAction.STOP_TRIAL, incarnation="first", actor=None, now=lambda: NOW, trial=3
    )

    assert CommandLog(store, "digits", incarnation="first").control().stopped_trials == {3: number}
