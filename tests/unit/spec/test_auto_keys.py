"""Auto keys of a spec: minutes alone are a budget, numbers stay what they are, and a sweep keeps what it began with."""

from pathlib import Path

import pytest

from vae_search.errors import InvalidSpec
from vae_search.spec.planning.auto_keys import AUTO_KEYS
from vae_search.spec.sweep_spec import SweepSpec, json_schema, parse_spec

SPEC = """
name: planned
data: {source: digits}
search_space:
  latent_dim: {type: int, low: 2, high: 6}
  kl_warmup_epochs: {type: int, low: 0, high: 4}
budget: {minutes: 3}
"""
VALUES = {
    "budget.trials": 20,
    "budget.epochs": 18,
    "pruning": {"min_epochs": 5, "reduction_factor": 3},
    "lr_schedule": "wsd",
    "confirm.finalists": 1,
    "confirm.seeds": 2,
}


def spec_of(*overrides: str) -> SweepSpec:
    return parse_spec(SPEC, base=Path(), overrides=overrides)


def test_minutes_alone_leave_everything_to_a_plan():
    spec = spec_of()

    assert spec.auto == frozenset(AUTO_KEYS)
    assert spec.confirm.epochs == "auto"
    budget = spec.to_json()["budget"]
    assert (budget.pop("trials"), budget.pop("epochs"), budget.pop("minutes") > 0) == ("auto", "auto", True)
    assert {*budget.values()} == {None}


def test_an_auto_spec_is_the_same_when_it_is_read_again():
    spec = spec_of("confirm.seeds=4")

    assert SweepSpec.from_json(spec.to_json()) == spec
    assert "confirm.seeds" not in spec.auto


def test_a_spec_of_numbers_leaves_nothing_to_a_plan():
    spec = spec_of("budget={trials: 4, epochs: 45, minutes: 3}")

    assert not spec.auto
    assert (spec.confirm.finalists, spec.confirm.seeds, spec.confirm.epochs) == (3, 5, None)
    assert spec.lr_schedule == "constant"
    assert spec.pruning.min_epochs == 5


@pytest.mark.parametrize(
    ("overrides", "kept"),
    [
        (("budget.trials=7",), {"budget.trials"}),
        (("pruning=off",), {"pruning"}),
        (("lr_schedule=cosine",), {"lr_schedule"}),
        (("confirm.finalists=2",), {"confirm.finalists"}),
        (("confirm.finalists=0",), {"confirm.finalists", "confirm.seeds"}),
    ],
)
def test_what_is_given_is_kept(overrides, kept):
    assert spec_of(*overrides).auto == frozenset(AUTO_KEYS) - kept


def test_auto_needs_minutes_to_divide():
    with pytest.raises(InvalidSpec, match=r"budget\.epochs: auto divides budget\.minutes, but there are none"):
        spec_of("budget={trials: 3, epochs: auto}")


def test_a_settled_spec_has_the_plan_s_numbers_and_leaves_nothing_open():
    settled = spec_of().settled(VALUES)

    assert not settled.auto
    assert (settled.budget.trials, settled.budget.epochs, settled.pruning.min_epochs) == (20, 18, 5)
    assert (settled.confirm.finalists, settled.confirm.seeds, settled.confirm.epochs) == (1, 2, "auto")


def test_the_same_spec_finds_the_numbers_that_its_sweep_began_with():
    began = spec_of().settled(VALUES)

    again = spec_of("budget.minutes=9").settled_as(began)

    assert again.identity() == began.identity()
    assert again.budget.minutes == 9


def test_a_plan_that_breaks_a_relation_is_refused():
    with pytest.raises(InvalidSpec, match="warm-up must end before"):
        spec_of().settled(VALUES | {"pruning": {"min_epochs": 3, "reduction_factor": 3}})


def test_editors_know_that_trials_and_epochs_may_be_auto():
    budget = json_schema()["$defs"]["Budget"]

    assert {"const": "auto"} in budget["properties"]["epochs"]["anyOf"]
    assert not budget["required"]


def test_hours_need_confirm_runs_of_a_given_length():
    with pytest.raises(InvalidSpec, match=r"budget\.cpu_hours: needs confirm\.epochs as a number, .* Set it\."):
        spec_of("budget.cpu_hours=0.5")

    assert spec_of("budget.cpu_hours=0.5", "confirm.epochs=30").budget.cpu_hours == 0.5
