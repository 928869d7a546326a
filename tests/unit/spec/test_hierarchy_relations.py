"""Families with two levels of latents in a search space: what they cannot have is said when a spec is read."""

from pathlib import Path

import pytest

from vae_search.errors import InvalidSpec
from vae_search.spec.networks.family import HIERARCHICAL
from vae_search.spec.sweep_spec import parse_spec

SPEC = "name: levels\ndata: {{source: digits}}\nsearch_space:\n{space}\nbudget: {{trials: 2, epochs: 4}}\n"
BOTH = "  architecture: {type: categorical, choices: [mlp, hvae]}"


def parsed(*lines: str, family: str):
    """The spec with these lines, in which `hvae` stands for the family."""
    return parse_spec(SPEC.format(space="\n".join(lines).replace("hvae", family)), base=Path())


@pytest.mark.parametrize("family", sorted(HIERARCHICAL))
@pytest.mark.parametrize(
    "lines",
    [
        ("  architecture: hvae", "  latent_dim: {type: int, low: 2, high: 40}", "  prior: mixture"),
        (
            BOTH,
            "  latent_dim:",
            "    - {type: int, low: 1, high: 9, when: {architecture: mlp}}",
            "    - {type: int, low: 2, high: 9, when: {architecture: hvae}}",
        ),
        (
            BOTH,
            "  prior:",
            "    - {type: fixed, value: vamp, when: {architecture: mlp}}",
            "    - {type: fixed, value: standard, when: {architecture: hvae}}",
        ),
    ],
)
def test_what_two_levels_can_have_is_accepted(lines, family):
    assert parsed(*lines, family=family)


@pytest.mark.parametrize("family", sorted(HIERARCHICAL))
@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            (BOTH, "  latent_dim: {type: int, low: 1, high: 9}"),
            "hvae has two levels of latents, so latent_dim must be 2 at least, but can be 1. Raise it.",
        ),
        (("  architecture: hvae", "  latent_dim: 1"), "latent_dim must be 2 at least"),
        (
            ("  architecture: hvae", "  bound_samples: 8\nobjective: {bound: iwae}"),
            "hvae trains the ELBO. Use 1, or let it apply only to other families, by",
        ),
        (
            ("  architecture: hvae\npromote: {model: a, fit_prior: 20}",),
            "is for one level of latents, and hvae has two.",
        ),
        (("  architecture: hvae", "  prior: vamp"), "vamp is a mean of Gaussian posteriors, which hvae has not."),
    ],
)
def test_what_they_cannot_is_refused_in_one_line(lines, said, family):
    with pytest.raises(InvalidSpec) as refused:
        parsed(*lines, family=family)

    assert said.replace("hvae", family) in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
