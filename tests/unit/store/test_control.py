"""Commands to a sweep: durable, in one order, for the sweep and the driver that they were given to."""

from datetime import UTC, datetime

import pytest

from tests.support.stores import filled_store
from vae_search.errors import CorruptStore, NotFound
from vae_search.store.backends.local import LocalStore
from vae_search.store.control.command_log import CommandLog, command
from vae_search.store.control.commands import CommandAction, EnqueuedConfig, SweepCommand, SweepControl, fold
from vae_search.store.paths import SweepPaths

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def filled(tmp_path) -> LocalStore:
    return filled_store(tmp_path / "store")


def given(store: LocalStore, action: CommandAction, **what: object) -> int:
    return command(store, "digits", action, actor="ada", now=lambda: NOW, **what)


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
    path = f"{SweepPaths('digits').commands}/000001.json"
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
