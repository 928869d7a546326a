"""The prior as a parameter of a search space: when it may stand where."""

import re
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
        (("  prior_components: 30",), "add `prior: mixture` to the search space"),
        (
            (SEARCHED, "  prior_components: {type: fixed, value: 30, when: {prior: [standard, vamp]}}"),
            "Leave it out of the condition",
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


def test_a_keras_network_has_no_fitted_prior():
    promote = "promote: {model: mine, fit_prior: 20}"
    with pytest.raises(InvalidSpec, match="own has the standard prior"):
        parsed("  architecture: keras:my_nets:build", promote)

    assert parsed(promote).promote.fit_prior == 20


def test_pseudo_inputs_have_no_labels():
    with pytest.raises(InvalidSpec, match="vamp encodes pseudo-inputs, which have no label"):
        parsed(SEARCHED, source="digits, condition: label")

    assert parsed("  prior: mixture", source="digits, condition: label").data.condition == "label"


@pytest.mark.parametrize(
    ("prior", "learned"),
    [
        (SEARCHED, "[mixture, vamp]"),
        ("  prior: {type: categorical, choices: [standard, mixture]}", "[mixture]"),
        ("  prior: {type: fixed, value: vamp, when: {latent_dim: 4}}", "[vamp]"),
    ],
)
def test_following_the_advice_about_components_works(prior, learned):
    with pytest.raises(InvalidSpec, match=re.escape(f"when: {{prior: {learned}}}")):
        parsed(prior, "  prior_components: 30")

    assert parsed(prior, f"  prior_components: {{type: fixed, value: 30, when: {{prior: {learned}}}}}")


def test_an_enqueued_config_may_leave_the_prior_to_the_sampler():
    spec = parsed(SEARCHED, COMPONENTS, "enqueue: [{latent_dim: 4}, {prior: vamp, prior_components: 20}]")

    assert len(spec.enqueue) == 2
    with pytest.raises(InvalidSpec, match="prior_components: does not apply here"):
        parsed(SEARCHED, COMPONENTS, "enqueue: [{prior: standard, prior_components: 20}]")
