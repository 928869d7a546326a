"""The prior as a parameter of a search space: when it may stand where."""

from pathlib import Path

import pytest

from vae_search.errors import InvalidSpec
from vae_search.spec.sweep_spec import parse_spec

SPEC = """
name: priors
data: {{source: {source}}}
search_space:
  latent_dim: 4
{space}
budget: {{trials: 2, epochs: 4}}
"""
SEARCHED = "  prior: {type: categorical, choices: [standard, mixture, vamp]}"
COMPONENTS = "  prior_components: {type: int, low: 10, high: 100, log: true, when: {prior: [mixture, vamp]}}"


def parsed(*lines: str, source: str = "digits"):
    return parse_spec(SPEC.format(space="\n".join(lines), source=source), base=Path())


def test_a_prior_may_be_searched_and_its_components_follow_it():
    space = parsed(SEARCHED, COMPONENTS).search_space

    assert [entry.name for entry in space.active({"prior": "standard"})] == ["latent_dim", "prior"]
    assert [entry.name for entry in space.active({"prior": "vamp"})] == ["latent_dim", "prior", "prior_components"]


def test_a_prior_may_be_fixed():
    assert parsed("  prior: mixture", "  prior_components: 30").search_space.with_fixed({})["prior_components"] == 30


def test_a_spec_without_a_prior_has_the_identity_that_it_had():
    assert "prior" not in str(parsed().identity())


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ("  prior_components: 30",),
            "Let it apply only `when: {prior: [mixture, vamp]}`",
        ),
        ((SEARCHED, "  prior_components: 30"), "the standard prior has none"),
        (("  prior: flow",), "'flow' is unknown"),
        (("  prior: mixture", "  prior_components: 501"), ">= 1 and <= 500"),
        (("  prior: mixture", "  architecture: keras:my_nets:build"), "has the standard prior. Leave one of them out"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(lines, said):
    with pytest.raises(InvalidSpec) as refused:
        parsed(*lines)

    assert said in str(refused.value)


def test_pseudo_inputs_have_no_labels():
    with pytest.raises(InvalidSpec, match="vamp encodes pseudo-inputs, which have no label"):
        parsed(SEARCHED, source="digits, condition: label")

    assert parsed("  prior: mixture", source="digits, condition: label").data.condition == "label"


def test_following_the_advice_about_components_works():
    with pytest.raises(InvalidSpec, match=r"when: \{prior: \[mixture, vamp\]\}"):
        parsed(SEARCHED, "  prior_components: 30")

    assert parsed(SEARCHED, "  prior_components: {type: fixed, value: 30, when: {prior: [mixture, vamp]}}")
