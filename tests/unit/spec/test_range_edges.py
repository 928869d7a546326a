"""Values at an end of their searched range, where a wider one may hold better configs."""

import pytest

from vae_search.spec.parameters import CategoricalParameter, FixedParameter, FloatParameter, IntParameter, Parameter
from vae_search.spec.search_space import SearchSpace, range_edges

RATE = FloatParameter(name="learning_rate", low=3e-4, high=1e-2, log=True)
WARMUP = IntParameter(name="kl_warmup_epochs", low=0, high=20)


def edges_of(entry: Parameter, value: object) -> list[tuple[str, float]]:
    return [(edge.end, edge.limit) for edge in range_edges(SearchSpace((entry,)), {entry.name: value})]


@pytest.mark.parametrize(
    ("entry", "value", "found"),
    [
        (RATE, 0.0098, [("upper", 1e-2)]),
        (RATE, 0.0090, []),  # 3 % of a range of 1.5 decades away
        (RATE, 3.1e-4, [("lower", 3e-4)]),
        (RATE, 5e-4, []),  # on a linear scale it would be within 2 %
        (FloatParameter(name="weight_decay", low=0.1, high=0.3, step=0.1), 0.3, [("upper", 0.3)]),
        (FloatParameter(name="weight_decay", low=0.1, high=0.3, step=0.1), 0.2, []),
        (IntParameter(name="latent_dim", low=2, high=16, log=True), 16, [("upper", 16)]),
        (IntParameter(name="latent_dim", low=2, high=16, log=True), 15, []),
        (IntParameter(name="width", low=16, high=1024), 1010, [("upper", 1024)]),
        (WARMUP, 20, [("upper", 20)]),
        (WARMUP, 0, []),  # nothing lies below 0 epochs
        (IntParameter(name="depth", low=1, high=3), 1, []),
        (CategoricalParameter(name="batch_size", choices=(32, 64, 128)), 32, []),
        (FixedParameter(name="width", value=64), 64, []),
        (FloatParameter(name="beta", low=0.5, high=0.5), 0.5, []),
    ],
)
def test_a_number_within_two_percent_of_an_end_that_can_be_moved_is_at_its_edge(entry, value, found):
    assert edges_of(entry, value) == found


def test_only_the_range_that_applies_counts():
    when = (("architecture", ("conv",)),)
    space = SearchSpace(
        (
            CategoricalParameter(name="architecture", choices=("mlp", "conv")),
            IntParameter(name="width", low=4, high=32, when=when),
            IntParameter(name="width", low=16, high=512, when=(("architecture", ("mlp",)),)),
        )
    )

    assert range_edges(space, {"architecture": "mlp", "width": 32}) == []
    assert [edge.limit for edge in range_edges(space, {"architecture": "conv", "width": 32})] == [32]
