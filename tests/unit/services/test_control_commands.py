"""Commands to a sweep as people give them: what is wrong is refused, and what is right is durable."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.rows import epoch_rows, trial_row
from vae_search.errors import Conflict, InvalidSpec, NotFound
from vae_search.services import maintenance, sweep_status
from vae_search.services.control.commands import change_settings, enqueue_config, stop_trial
from vae_search.services.control.standing import standings
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.backends.base import Store
from vae_search.store.backends.json_records import to_json_bytes
from vae_search.store.control.command_log import CommandLog
from vae_search.store.control.enqueued_trials import EnqueuedTrials
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import beginning, sweep_record

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SPEC = """
name: digits
data: {source: digits}
search_space:
  architecture: {type: categorical, choices: [mlp, resnet]}
  latent_dim: {type: int, low: 2, high: 32}
  beta: {type: float, low: 0.25, high: 4.0}
  blocks: {type: int, low: 1, high: 3, when: {architecture: resnet}}
  depth: 2
budget: {trials: 8, epochs: 27}
confirm: {finalists: 0}
"""


@pytest.fixture
def sweep(store: Store) -> Store:
    """Trials 0 and 1 have ended, trial 2 is in flight."""
    spec = parse_spec(SPEC, base=Path())
    record = sweep_record.SweepRecord(
        spec=spec, fingerprint="f" * 64, comparability_key="c" * 64, versions={}, incarnation="ours"
    )
    beginning.create_or_check(store, record, text=SPEC)
    for trial in (0, 1):
        Ledger(store, "digits").commit(trial_row(trial, incarnation="ours"), epoch_rows(trial, epochs=2))
    suggestion = {"trial": 2, "params": {}, "seed": 1, "incarnation": "ours"}
    store.create(SweepPaths("digits").suggestion("000002"), to_json_bytes(suggestion))
    return store


def enqueue(store: Store, **params: object) -> int:
    return enqueue_config(store, "digits", params, actor="ada", now=lambda: NOW)


def stop(store: Store, trial: int) -> int:
    return stop_trial(store, "digits", trial, actor="ada", now=lambda: NOW)


def change(store: Store, **settings: object) -> int:
    named = {key.replace("__", "."): value for key, value in settings.items()}
    return change_settings(store, "digits", named, actor="ada", now=lambda: NOW)


def given(store: Store):
    return CommandLog(store, "digits", incarnation="ours").commands()


def test_commands_are_numbered_and_have_who_gave_them(sweep):
    numbers = [enqueue(sweep, latent_dim=4, beta=1), stop(sweep, 2), change(sweep, budget__trials=9)]

    assert numbers == [1, 2, 3]
    assert [command.actor for command in given(sweep)] == ["ada"] * 3
    assert given(sweep)[0].params == {"latent_dim": 4, "beta": 1.0}
    assert given(sweep)[1].trial == 2
    assert given(sweep)[2].settings == {"budget.trials": 9}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"latent_dims": 4}, "latent_dims: no parameter is called 'latent_dims'. Did you mean latent_dim"),
        ({"latent_dim": 64}, r"latent_dim: must lie in 2\.\.32, but got 64"),
        ({"latent_dim": 4.5}, "latent_dim: must be a whole number, but got 4.5"),
        ({"latent_dim": True}, "latent_dim: must be a whole number, but got true"),
        ({"width": 64}, "width: is not part of this search space, so it is always 256"),
        ({"depth": 3}, "depth: is fixed at 2, but got 3"),
        ({"architecture": "mlp", "blocks": 2}, "blocks: does not apply here: it needs architecture=resnet"),
        ({"blocks": 2}, "blocks: applies only under a condition that this config leaves open"),
    ],
)
def test_a_config_outside_the_search_space_is_refused(sweep, params, words):
    with pytest.raises(InvalidSpec, match=words):
        enqueue(sweep, **params)

    assert given(sweep) == ()


def test_all_mistakes_of_a_config_are_told_at_once(sweep):
    with pytest.raises(InvalidSpec) as refused:
        enqueue(sweep, latent_dim=64, beta=5.0, depth=3)

    assert [problem.partition(":")[0] for problem in refused.value.problems] == ["latent_dim", "beta", "depth"]


@pytest.mark.parametrize("params", [{}, {"beta": 2.0}, {"architecture": "resnet", "blocks": 2}, {"depth": 2}])
def test_a_config_may_leave_parameters_to_the_sampler(sweep, params):
    enqueue(sweep, **params)

    assert given(sweep)[0].params == params


def test_a_config_without_a_place_in_the_budget_is_refused(sweep):
    change(sweep, budget__trials=3)

    with pytest.raises(Conflict, match=r"all 3 trials .*\n.*--set budget\.trials=4"):
        enqueue(sweep, latent_dim=4)


@pytest.mark.parametrize(
    ("trial", "error", "words"),
    [
        (1, Conflict, "trial digits/1: has ended"),
        (5, NotFound, "trial digits/5: has not begun yet"),
        (99, NotFound, "trial digits/99: there is none; the sweep's trials are 0 to 7"),
    ],
)
def test_only_a_trial_in_flight_can_be_stopped(sweep, trial, error, words):
    with pytest.raises(error, match=words):
        stop(sweep, trial)

    assert given(sweep) == ()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"budget.trials": 2}, "budget.trials: must be at least 3, since so many trials have begun, but got 2"),
        ({"budget.trials": "many"}, "budget.trials: must be a whole number"),
        ({"budget.epochs": 30}, "budget.epochs: cannot change while a sweep runs"),
        ({"budget.trails": 30}, r"budget.trails: no key is called so. Did you mean budget.trials"),
        ({"resources.concurrency": 0}, "resources.concurrency: "),
        ({"budget.minutes": -1}, "budget.minutes: must be > 0"),
        ({}, "nothing to change"),
    ],
)
def test_wrong_settings_are_refused(sweep, settings, words):
    with pytest.raises(InvalidSpec, match=words):
        change_settings(sweep, "digits", settings, actor=None, now=lambda: NOW)

    assert given(sweep) == ()


def test_what_was_set_is_the_spec_that_status_shows(sweep):
    change(sweep, budget__trials=12, resources__concurrency=2, budget__minutes=7)
    change(sweep, budget__minutes="none", resources__concurrency="auto")

    spec = sweep_status.status(sweep, "digits").spec
    assert (spec.budget.trials, spec.budget.minutes, spec.resources.concurrency) == (12, None, "auto")


def test_a_finished_sweep_takes_only_what_extends_it(sweep):
    sweep.remove_tree(SweepPaths("digits").running)
    change(sweep, budget__trials=2)

    for refused in (lambda: enqueue(sweep, latent_dim=4), lambda: change(sweep, resources__concurrency=2)):
        with pytest.raises(Conflict, match=r"has finished, its trials are used.*\n.*--set budget\.trials=3"):
            refused()
    change(sweep, budget__trials=3)

    assert sweep_status.status(sweep, "digits").state == "interrupted"
    assert enqueue(sweep, latent_dim=4) == 3


@pytest.mark.parametrize(
    "command",
    [enqueue, lambda store: stop(store, 1), lambda store: change(store, budget__trials=1)],
    ids=["enqueue", "stop", "change"],
)
def test_there_is_nothing_to_command_without_a_sweep(store, command):
    with pytest.raises(NotFound, match="no sweep 'digits'"):
        command(store)


@pytest.mark.parametrize(
    "give",
    [
        lambda store, now: enqueue_config(store, "digits", {"latent_dim": 4}, actor="ada", now=now),
        lambda store, now: stop_trial(store, "digits", 2, actor="ada", now=now),
        lambda store, now: change_settings(store, "digits", {"budget.trials": 9}, actor="ada", now=now),
    ],
    ids=["enqueue", "stop", "change"],
)
def test_a_command_is_for_the_sweep_that_was_looked_at_although_another_takes_its_name_meanwhile(sweep, give):
    def replaced() -> datetime:  # between the checks and the command
        maintenance.remove(sweep, "digits")
        record = sweep_record.SweepRecord(
            spec=parse_spec(SPEC, base=Path()),
            fingerprint="f" * 64,
            comparability_key="c" * 64,
            versions={},
            incarnation="next",
        )
        beginning.create_or_check(sweep, record, text=SPEC)
        return NOW

    with pytest.raises(Conflict, match="was removed while it was given a command"):
        give(sweep, replaced)

    assert CommandLog(sweep, "digits", incarnation="next").commands() == ()


def test_a_config_whose_row_was_lost_stands_as_tried(sweep):
    number = enqueue(sweep, latent_dim=4)
    EnqueuedTrials(sweep, "digits", incarnation="ours").note(2, number)
    (waits,) = standings(sweep, "digits")
    sweep.create(SweepPaths("digits").tombstone(2), b"{}")
    sweep.create(f"{SweepPaths('digits').trials}/notes.parquet", b"somebody's")

    (tried,) = standings(sweep, "digits")

    assert (waits.state, tried.state, tried.outcome) == ("waits", "done", "is trial 2")
