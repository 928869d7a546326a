"""Demands of families with two levels of latents on a search space."""

from vae_search.core.validation import Problems
from vae_search.spec.networks.family import HIERARCHICAL
from vae_search.spec.parameters import Parameter
from vae_search.spec.search_space import SearchSpace, can_be, largest_of, reached_families


def hierarchy_problems(space: SearchSpace) -> Problems:
    """Problems of two levels with a single latent, a prior made of posteriors, and a bound of several draws."""
    found: Problems = []
    for entry in space.parameters:
        for family in _hierarchical(entry, space):
            if entry.name == "latent_dim" and can_be(entry, 1):
                text = f"{family} has two levels of latents, so latent_dim must be 2 at least, but can be 1. Raise it."
                found.append((("search_space", "latent_dim"), text))
            if entry.name == "prior" and can_be(entry, "vamp"):
                text = f"vamp is a mean of Gaussian posteriors, which {family} has not. Use standard or mixture."
                found.append((("search_space", "prior"), text))
            if entry.name == "bound_samples" and largest_of(entry) > 1:
                text = f"a bound of several draws is for one level of latents; {family} trains the ELBO. Use 1,"
                text += " or let it apply only to other families, by `when: {architecture: …}`."
                found.append((("search_space", "bound_samples"), text))
    return found


def _hierarchical(entry: Parameter, space: SearchSpace) -> list[str]:
    return [str(family) for family in reached_families(entry, space.parameters) if family in HIERARCHICAL]
