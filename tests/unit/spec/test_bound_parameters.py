"""The bound of several draws as a parameter of a search space: when it may stand where."""

from pathlib import Path

import pytest

from vae_search.errors import InvalidSpec
from vae_search.spec.sweep_spec import SweepSpec, parse_spec

SPEC = """
name: bounds
data: {{source: digits}}
search_space:
  latent_dim: 4
{space}
budget: {{trials: 2, epochs: 10{budget}}}
{rest}
"""
SEARCHED = "  bound_samples: {type: categorical, choices: [1, 8, 16]}"
SHARE = "  iwae_from: {type: float, low: 0.5, high: 0.9, when: {bound_samples: [8, 16]}}"
RANKED = "objective: {bound: iwae}"


def parsed(*lines: str, rest: str = RANKED, budget: str = ""):
    return parse_spec(SPEC.format(space="\n".join(lines), rest=rest, budget=budget), base=Path())


def test_draws_may_be_searched_and_the_share_follows_them():
    space = parsed(SEARCHED, SHARE).search_space

    assert [entry.name for entry in space.active({"bound_samples": 1})] == ["latent_dim", "bound_samples"]
    assert [entry.name for entry in space.active({"bound_samples": 8})] == ["latent_dim", "bound_samples", "iwae_from"]


def test_they_may_be_fixed_and_a_spec_is_read_back_as_it_was():
    spec = parsed("  bound_samples: 8", "  iwae_from: 0.6")

    assert spec.search_space.with_fixed({}) == {"latent_dim": 4, "bound_samples": 8, "iwae_from": 0.6}
    assert SweepSpec.from_json(spec.to_json()) == spec


def test_a_sweep_that_promotes_ranks_by_such_a_bound_already():
    assert (
        parsed(SEARCHED, SHARE, rest="promote: {model: bounds}").search_space.largest("bound_samples", default=1) == 16
    )


def test_a_spec_without_them_has_the_identity_that_it_had():
    assert not {"bound_samples", "iwae_from"} & {*parsed(rest="").identity()["search_space"]}


def test_a_driver_and_its_worker_keep_the_same_epoch():
    spec = parsed("  bound_samples: 8", "  iwae_from: 0.6")

    assert spec.stopping_rule({"bound_samples": 8, "iwae_from": 0.6}, confirms=False).elbo_epochs == 6
    assert spec.stopping_rule({"bound_samples": 8, "iwae_from": 0.6}, confirms=True, epochs=20).elbo_epochs == 12
    assert spec.stopping_rule({"bound_samples": 1}, confirms=False).elbo_epochs == 10


@pytest.mark.parametrize(
    ("lines", "settings", "said"),
    [
        (("  iwae_from: 0.5",), {}, "Set bound_samples to 2 or more as well."),
        (("  bound_samples: 1", "  iwae_from: 0.5"), {}, "Set bound_samples to 2 or more as well."),
        ((SEARCHED, "  iwae_from: 0.5"), {}, "Let it apply only `when: {bound_samples: [8, 16]}`."),
        (
            ("  bound_samples: {type: int, low: 1, high: 4}", "  iwae_from: 0.5"),
            {},
            "Let it apply only `when: {bound_samples: [2, 3, 4]}`.",
        ),
        (
            (SEARCHED, "  iwae_from: {type: fixed, value: 0.5, when: {bound_samples: [1, 8]}}"),
            {},
            "Take 1 out of its condition.",
        ),
        (("  bound_samples: 8",), {"rest": ""}, "Write objective: {bound: iwae}."),
        (("  bound_samples: 8",), {"rest": "objective: {bound: elbo}"}, "Write objective: {bound: iwae}."),
        (
            ("  bound_samples: 8",),
            {"rest": "objective: {bound: elbo}\npromote: {model: bounds}"},
            "Write objective: {bound: iwae}.",
        ),
        (
            ("  bound_samples: 8",),
            {"rest": "objective: {pareto: [neg_elbo, train_flops]}"},
            "a Pareto sweep compares by neg_elbo",
        ),
        (("  bound_samples: 8",), {"budget": ", patience: 5"}, "Leave one out."),
        (("  bound_samples: 65",), {}, ">= 1 and <= 64"),
        (("  bound_samples: 8", "  iwae_from: 1.0"), {}, ">= 0 and <= 0.99"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(lines, settings, said):
    with pytest.raises(InvalidSpec) as refused:
        parsed(*lines, **settings)

    assert said in str(refused.value)


@pytest.mark.parametrize(
    "lines",
    [
        (SEARCHED, "  iwae_from: {type: fixed, value: 0.5, when: {bound_samples: [8, 16]}}"),
        ("  bound_samples: {type: int, low: 2, high: 4}", "  iwae_from: 0.5"),
        ("  bound_samples: 2", "  iwae_from: 0.5"),
    ],
)
def test_following_the_advice_works(lines):
    assert parsed(*lines)
