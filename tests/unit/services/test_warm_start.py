"""Warm starts: which sweeps are asked, which trials and configs are taken, what is kept, and what is told."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.candidates import finalist_row
from tests.support.rows import epoch_rows, trial_row
from vae_search.core.dataset_summary import DatasetSummary
from vae_search.core.trial_state import Reason, State
from vae_search.data.comparability import METRIC_VERSION
from vae_search.errors import InvalidSpec, NotFound
from vae_search.search.running_trial import SweepContext
from vae_search.search.study.borrowed import borrowed_results
from vae_search.server.submissions import DataRoots, checked_spec
from vae_search.services import maintenance
from vae_search.services.warm_start.beginning import begin
from vae_search.services.warm_start.clipping import clipped
from vae_search.services.warm_start.plan import keep, plan_warm_start
from vae_search.services.warm_start.similarity import strangeness
from vae_search.spec.from_trial import to_yaml
from vae_search.spec.search_space_yaml import read_space
from vae_search.spec.sweep_spec import SweepSpec, identity_changes, parse_spec
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.confirm_runs import ConfirmRuns
from vae_search.store.ledger.trials import Ledger
from vae_search.store.maintenance.integrity import inspect
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import beginning, sweep_record
from vae_search.store.sweeps.forks import forked_spec
from vae_search.store.sweeps.sweep_record import SweepRecord

TEXT = """
name: new
data: {source: digits}
search_space:
  latent_dim: {type: int, low: 2, high: 32}
  beta: {type: float, low: 0.25, high: 4.0}
  width: {type: categorical, choices: [32, 64]}
budget: {trials: 30, epochs: 2}
pruning: off
warm_start: {from: auto}
"""
IMAGES = DatasetSummary(
    height=8,
    width=8,
    channels=1,
    white=1.0,
    range=(0.0, 1.0),
    is_binary=False,
    is_coloured=False,
    parts={"train": 1000, "select": 100, "judge": 100, "test": 100},
    has_own_test=False,
    copies=0,
    in_train={"select": 0, "judge": 0, "test": 0},
)
SAME, OTHER = "a" * 64, "b" * 64


def spec_of(name: str, *overrides: str, text: str = TEXT) -> SweepSpec:
    return parse_spec(text.replace("name: new", f"name: {name}"), base=Path(), overrides=overrides)


def record_of(spec: SweepSpec, *, key: str = SAME, images: DatasetSummary | None = IMAGES) -> SweepRecord:
    return SweepRecord(
        spec=spec,
        fingerprint="f" * 64,
        comparability_key=key,
        versions={},
        incarnation=(spec.name.encode().hex() * 32)[:32],
        images=images,
        metric_version=METRIC_VERSION,
    )


def params_of(trial: int) -> dict:
    return {"latent_dim": 2 + trial, "beta": 0.5 + trial / 10, "width": 32}


def put(
    store: LocalStore,
    name: str,
    *overrides: str,
    key: str = SAME,
    images: DatasetSummary | None = IMAGES,
    confirmed: dict | None = None,
    ends: tuple = (None, None, None, Reason.RUNG, Reason.STOPPED, Reason.DIVERGED, Reason.RAISED),
    seed: int = 0,
) -> SweepRecord:
    """A sweep whose trials have ended so (None: COMPLETE), and with one confirmed config, if it is given."""
    record = record_of(spec_of(name, "warm_start=null", *overrides), key=key, images=images)
    beginning.create_or_check(store, record, text="")
    marks = {"incarnation": record.incarnation, "comparability_key": key, "spec_sha256": record.spec.sha256}
    for trial, reason in enumerate(ends):
        state = State.COMPLETE if reason is None else reason.state
        row = trial_row(trial, name, state=state, reason=reason, params=params_of(trial), seed=seed + trial, **marks)
        Ledger(store, name).commit(row, epoch_rows(trial, name))
    if confirmed is not None:
        row = replace(finalist_row(3, 1, iwae=-90.0, iwae_k=500), sweep=name, params=confirmed, **marks)
        ConfirmRuns(store, name).commit(row)
    return record


def test_trials_of_the_same_task_are_taken_as_the_sampler_hears_of_own_ones(store):
    put(store, "old")

    plan = plan_warm_start(store, record_of(spec_of("new")))

    (loan,) = plan.loans
    assert [(row.trial, row.state) for row in loan.trials.rows] == [
        *((trial, State.COMPLETE) for trial in range(3)),
        (3, State.PRUNED),
        (5, State.FAIL),  # diverged: others of like parameters would as well
    ]
    assert plan.configs == ()
    assert plan.sentences == ("warm start: the sampler knows 5 trials of old, which has the same task.",)


def test_trials_outside_of_the_new_space_are_left_out_and_told(store):
    put(store, "old")

    plan = plan_warm_start(store, record_of(spec_of("new", "search_space.latent_dim.low=4")))

    assert [row.trial for row in plan.loans[0].trials.rows] == [2, 3, 5]
    assert "; 2 do not fit (latent_dim: 2)" in plan.sentences[0]


def test_a_sweep_of_other_length_lends_its_confirmed_config_and_no_value(store):
    put(store, "old", "budget.epochs=9", confirmed={"latent_dim": 9, "beta": 1.0, "width": 64})

    plan = plan_warm_start(store, record_of(spec_of("new")))

    assert plan.loans == ()
    assert [dict(config.params) for config in plan.configs] == [{"latent_dim": 9, "beta": 1.0, "width": 64}]


def test_the_best_confirmed_configs_of_similar_sweeps_cross_clipped_and_no_more_than_a_tenth_of_the_budget(store):
    for number, latent_dim in enumerate((64, 5, 6, 7)):
        confirmed = {"latent_dim": latent_dim, "beta": 1.0, "width": 100}
        put(store, f"other-{number}", "search_space.latent_dim.high=64", key=OTHER, confirmed=confirmed)

    plan = plan_warm_start(store, record_of(spec_of("new")))

    assert [(config.sweep, config.trial, dict(config.params)) for config in plan.configs] == [
        ("other-0", 3, {"latent_dim": 32, "beta": 1.0, "width": 64}),
        ("other-1", 3, {"latent_dim": 5, "beta": 1.0, "width": 64}),
        ("other-2", 3, {"latent_dim": 6, "beta": 1.0, "width": 64}),
    ]
    assert plan.configs[0].changed == ("latent_dim", "width")
    assert "best confirmed config of other-0, its trial 3, fitted into this space: latent_dim, width." in str(
        plan.sentences
    )
    fewer = plan_warm_start(store, record_of(spec_of("new", "warm_start.configs=1")))
    assert [config.sweep for config in fewer.configs] == ["other-0"]


def test_a_config_is_tried_once_whoever_lends_it(store):
    confirmed = {"latent_dim": 5, "beta": 1.0, "width": 64}
    put(store, "a", key=OTHER, confirmed=confirmed)
    put(store, "b", key=OTHER, confirmed=confirmed)
    put(store, "c", key=OTHER, confirmed=params_of(0))  # known from a trial of the same task
    put(store, "same")

    plan = plan_warm_start(store, record_of(spec_of("new")))

    assert [config.sweep for config in plan.configs] == ["a"]
    enqueued = record_of(spec_of("new", "enqueue=[{latent_dim: 5, beta: 1.0, width: 64}]"))
    assert plan_warm_start(store, enqueued).configs == ()


def test_a_sweep_that_was_run_twice_lends_each_trial_once(store):
    put(store, "once")
    put(store, "twice")
    put(store, "with-another-seed", seed=100)

    plan = plan_warm_start(store, record_of(spec_of("new")))

    assert [(loan.source.name, len(loan.trials.rows)) for loan in plan.loans] == [("once", 5), ("with-another-seed", 5)]


@pytest.mark.parametrize(
    ("overrides", "images", "said"),
    [
        (("likelihood=gaussian", "data.binarize=none"), IMAGES, "likelihood gaussian"),
        ((), replace(IMAGES, height=28, width=28), "28×28×1"),
        ((), None, "does not tell"),
        (("search_space={latent_dim: 4, depth: {type: int, low: 1, high: 2}}",), IMAGES, "only 1 of 3"),
    ],
)
def test_sweeps_that_are_not_similar_are_not_asked(store, overrides, images, said):
    put(store, "strange", *overrides, key=OTHER, images=images, confirmed={"latent_dim": 5, "depth": 1})
    new = record_of(spec_of("new"))

    plan = plan_warm_start(store, new)

    old = sweep_record.read(store, "strange")
    assert (plan.loans, plan.configs) == ((), ())
    assert plan.sentences == ("warm start: no earlier sweep of this store lends anything.",)
    assert said in strangeness(new.spec, new.images, old.spec, old.images)


def test_named_sweeps_are_asked_whatever_their_shape_and_each_that_lends_nothing_is_told(store):
    put(store, "large", key=OTHER, images=replace(IMAGES, height=28), confirmed={"latent_dim": 5, "width": 32})
    put(store, "unconfirmed", key=OTHER)
    put(store, "not-named")

    plan = plan_warm_start(store, record_of(spec_of("new", "warm_start={from: [large, unconfirmed]}")))

    assert plan.loans == ()
    assert [config.sweep for config in plan.configs] == ["large"]
    assert plan.remarks == ("unconfirmed: has no confirmed config",)
    with pytest.raises(NotFound, match="no sweep 'gone'"):
        plan_warm_start(store, record_of(spec_of("new", "warm_start={from: [gone]}")))


def test_a_damaged_record_is_passed_over_with_a_word(store):
    put(store, "old")
    put(store, "broken")
    store.replace(SweepPaths("broken").resolved, b"{")

    plan = plan_warm_start(store, record_of(spec_of("new")))

    assert [loan.source.name for loan in plan.loans] == ["old"]
    assert plan.remarks == ("broken: is passed over, since its record is damaged",)


def test_what_was_taken_stays_when_the_sources_grow_or_go(store):
    source = put(store, "old")
    put(store, "other", key=OTHER, confirmed={"latent_dim": 30, "beta": 1.0, "width": 64})
    new = record_of(spec_of("new"))
    record = keep(store, new, plan_warm_start(store, new))
    beginning.create_or_check(store, record, text="")
    context = SweepContext(
        spec=new.spec, lease=1, comparability_key=SAME, versions={}, warm_started=record.warm_started
    )
    before = [(result.trial, result.state, result.params) for result in borrowed_results(store, context)]

    grown = trial_row(7, "old", params=params_of(7), incarnation=source.incarnation, comparability_key=SAME)
    Ledger(store, "old").commit(grown, epoch_rows(7, "old"))
    maintenance.remove(store, "other")
    stored = sweep_record.read(store, "new").warm_started
    again = replace(context, warm_started=stored)

    assert stored == record.warm_started
    assert len(before) == 5
    assert [(result.trial, result.state, result.params) for result in borrowed_results(store, again)] == before
    assert [dict(config.params) for config in stored.configs] == [{"latent_dim": 30, "beta": 1.0, "width": 64}]
    assert again.sampler_seed == context.sampler_seed != new.spec.seed
    assert inspect(store, "new").findings == ()
    lines, borrow = begin(store, new, sweep_record.read(store, "new"))
    assert borrow is None
    assert lines[0] == "warm start: the sampler knows 5 trials of old."


def test_a_beginning_that_was_cut_before_its_record_begins_again_with_what_is_there_then(store):
    source = put(store, "old")
    new = record_of(spec_of("new"))
    keep(store, new, plan_warm_start(store, new))  # and the driver dies
    grown = trial_row(7, "old", params=params_of(7), incarnation=source.incarnation, comparability_key=SAME)
    Ledger(store, "old").commit(grown, epoch_rows(7, "old"))

    _, borrow = begin(store, new, None)
    record = borrow(store, new)
    beginning.create_or_check(store, record, text="")

    assert [lender.trials for lender in record.warm_started.borrowed] == [6]
    assert {finding.damaged for finding in inspect(store, "new").findings} == {False}  # the first copies are leftovers


def test_a_spec_without_the_key_or_with_off_begins_with_nothing(store):
    put(store, "old")
    without, off = spec_of("new", "warm_start=null"), spec_of("new", "warm_start={from: off}")

    assert plan_warm_start(store, record_of(without)) is plan_warm_start(store, record_of(off)) is None
    assert begin(store, record_of(without), None) == ((), None)
    assert "warm_start" not in without.identity()
    assert SweepContext(spec=without, lease=1, comparability_key="", versions={}).sampler_seed == without.seed


def test_the_warm_start_of_a_sweep_may_not_change_and_a_fork_has_none():
    began, now = spec_of("new"), spec_of("new", "warm_start.configs=3")

    assert identity_changes(began, now) == ["warm_start.configs: 5 → 3"]
    assert forked_spec(began, "fork").warm_start is None
    assert SweepSpec.from_json(json.loads(json.dumps(began.to_json()))) == began


def test_a_spec_over_http_and_one_that_is_written_out_keep_their_warm_start():
    text = TEXT.replace("from: auto", "from: [old, other], configs: 2")

    spec, _ = checked_spec(text.encode(), DataRoots())

    assert spec.warm_start.sources == ("old", "other")
    assert parse_spec(to_yaml(spec), base=Path()) == spec


@pytest.mark.parametrize("written", ["[]", "[a, a]", "['no name']", "yes", "7"])
def test_sources_are_auto_off_or_names(written):
    with pytest.raises(InvalidSpec, match=r"warm_start\.from: must be auto, off, or a list of"):
        spec_of("new", f"warm_start={{from: {written}}}")


@pytest.mark.parametrize(
    ("entry", "value", "expected"),
    [
        ({"type": "int", "low": 2, "high": 10}, 64, 10),
        ({"type": "int", "low": 2, "high": 10}, 1, 2),
        ({"type": "int", "low": 2, "high": 11, "step": 3}, 64, 11),
        ({"type": "int", "low": 2, "high": 11, "step": 3}, 6, 5),
        ({"type": "categorical", "choices": [4, 16]}, 9, 4),
        (8, 5, 8),
    ],
)
def test_numbers_are_brought_to_the_nearest_value_of_the_new_range(entry, value, expected):
    space = read_space({"latent_dim": entry, "beta": {"type": "float", "low": 0.5, "high": 2.0, "step": 0.5}})

    found = clipped(space, {"latent_dim": value, "beta": 1.2})

    assert dict(found.params) == {"latent_dim": expected, "beta": 1.0}
    assert space.problems(found.params) == []


def test_a_choice_without_a_place_is_left_to_the_sampler_with_what_depends_on_it():
    space = read_space(
        {
            "architecture": {"type": "categorical", "choices": ["mlp", "conv"]},
            "width": [
                {"type": "categorical", "choices": [64, 128], "when": {"architecture": "mlp"}},
                {"type": "categorical", "choices": [16, 32], "when": {"architecture": "conv"}},
            ],
            "latent_dim": {"type": "int", "low": 2, "high": 10},
        }
    )

    found = clipped(space, {"architecture": "resnet", "width": 64, "latent_dim": 4})

    assert dict(found.params) == {"latent_dim": 4}
    assert (found.crossed, found.changed) == (("latent_dim",), ("architecture",))
    assert space.problems(found.params, partial=True) == []
