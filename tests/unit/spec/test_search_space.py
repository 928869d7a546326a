"""The search space: configs, ranges, conditions, and what each of them refuses."""

import random
from collections.abc import Callable
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vae_search.core.validation import InvalidValueError
from vae_search.spec.hyperparameters import RULES, Config, ParamValue
from vae_search.spec.parameters import CategoricalParameter, FixedParameter, FloatParameter, IntParameter, Parameter
from vae_search.spec.search_space import SearchSpace

MLP, CONV = (("architecture", ("mlp",)),), (("architecture", ("conv",)),)
ARCHITECTURE = CategoricalParameter(name="architecture", choices=("mlp", "conv"))
SPACE = SearchSpace(
    (
        IntParameter(name="depth", low=1, high=3, when=MLP),
        IntParameter(name="depth", low=2, high=8, step=3, when=CONV),
        FloatParameter(name="beta", low=0.25, high=4.0, log=True),
        ARCHITECTURE,
        FloatParameter(name="free_bits", low=0.0, high=0.3, step=0.1, when=(("depth", (2, 3)),)),
        FixedParameter(name="width", value=64),
    )
)


def draw_with(seed: int) -> Callable[[Parameter], ParamValue]:
    """A sampler that picks any value of a parameter."""
    generator = random.Random(seed)

    def draw(parameter: Parameter) -> ParamValue:
        match parameter:
            case CategoricalParameter(choices=choices):
                return generator.choice(choices)
            case IntParameter(low=low, high=high, step=step):
                return generator.randrange(low, high + 1, step)
            case FloatParameter(low=low, high=high, step=None):
                return generator.uniform(low, high)
            case FloatParameter(low=low, high=high, step=float(step)):
                return low + step * generator.randint(0, round((high - low) / step))
        raise TypeError(parameter)

    return draw


def test_a_config_takes_defaults_for_what_is_missing_and_makes_reals_of_whole_numbers() -> None:
    config = Config.from_params({"latent_dim": 8, "beta": 2})

    assert (config.latent_dim, config.width) == (8, 256)
    assert (config.beta, type(config.beta)) == (2.0, float)


def test_every_field_of_a_config_has_a_rule_that_its_default_obeys() -> None:
    config = Config()

    assert {
        field.name: RULES[field.name].problem(getattr(config, field.name))
        for field in fields(Config)
        if field.name != "own"  # parameters of networks from elsewhere, which bring their rules along
    } == dict.fromkeys(RULES)


@pytest.mark.parametrize(
    ("params", "fragment"),
    [
        ({"latent_dims": 8}, "no parameter is called 'latent_dims'. Did you mean latent_dim?"),
        ({"latent_dim": 0}, "latent_dim: must be >= 1 and <= 1024, but got 0."),
        ({"latent_dim": 8.0}, "latent_dim: must be a whole number, but got 8.0."),
        ({"depth": True}, "depth: must be a whole number, but got true."),
        ({"beta": 0}, "beta: must be > 0 and <= 100, but got 0."),
        ({"beta": float("nan")}, "beta: must be > 0 and <= 100, but got nan."),
        ({"beta": 10**400}, "beta: must be > 0 and <= 100"),
        ({"activation": "rely"}, "activation: 'rely' is unknown. Did you mean relu?"),
        ({"architecture": 3}, "architecture: must be one of mlp, pyramid, conv, resnet, hvae, hvae_conv, but got 3."),
    ],
)
def test_a_config_refuses_what_no_network_can_be_built_from(params: dict[str, ParamValue], fragment: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        Config.from_params(params)

    assert fragment in str(caught.value)


@pytest.mark.parametrize(
    ("build", "fragment"),
    [
        (lambda: FloatParameter(name="beta", low=5, high=1), "`low <= high` must hold, but got (low=5, high=1)"),
        (lambda: FloatParameter(name="free_bits", low=0, high=1, log=True), "a log scale needs low > 0, but got 0."),
        (
            lambda: FloatParameter(name="beta", low=0.5, high=2, log=True, step=0.5),
            "`log` and `step` exclude each other",
        ),
        (lambda: FloatParameter(name="beta", low=1, high=2, log=True, step=1), "`log` and `step` exclude each other"),
        (lambda: FloatParameter(name="beta", low=0.5, high=2, step=0), "step: must be a number > 0, but got 0."),
        (lambda: FloatParameter(name="beta", low=0.5, high=2, step=0.4), "`high` must be low plus a multiple of step"),
        (
            lambda: FloatParameter(name="beta", low=0.5, high=2, step=1e-320),
            "`high` must be low plus a multiple of step",
        ),
        (
            lambda: FloatParameter(name="latent_dim", low=1, high=2),
            "latent_dim is a whole number, so it needs type: int",
        ),
        (lambda: IntParameter(name="beta", low=1, high=2), "beta is a number, so it needs type: float"),
        (lambda: IntParameter(name="activation", low=1, high=2), "activation is a name, so it needs type: categorical"),
        (lambda: IntParameter(name="depth", low=1, high=3, step=4), "`step <= high - low` must hold"),
        (lambda: IntParameter(name="width", low=1, high=9999), "high: must be >= 1 and <= 4096, but got 9999."),
        (lambda: CategoricalParameter(name="depth", choices=()), "must list at least one value, but got []."),
        (lambda: CategoricalParameter(name="depth", choices=(1, 2, 1)), "choices[2]: 1 is already choice 1. Keep one."),
        (lambda: CategoricalParameter(name="beta", choices=(1, 1.0)), "choices[1]: 1.0 is already choice 1."),
        (lambda: CategoricalParameter(name="depth", choices=(1, "two")), "choices[1]: must be a whole number"),
        (
            lambda: CategoricalParameter(name="depths", choices=(1,)),
            "no parameter is called 'depths'. Did you mean depth?",
        ),
        (lambda: FixedParameter(name="depth", value=9), "value: must be >= 1 and <= 8, but got 9."),
        (lambda: FixedParameter(name="depth", value=1, when=(("depth", (1,)),)), "a parameter cannot depend on itself"),
        (lambda: FixedParameter(name="depth", value=1, when=(("arch", ("mlp",)),)), "no parameter is called 'arch'"),
        (lambda: FixedParameter(name="depth", value=1, when=(("architecture", ()),)), "must list at least one value"),
    ],
)
def test_a_parameter_checks_itself(build: Callable[[], Parameter], fragment: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        build()

    assert fragment in str(caught.value)


def test_a_parameter_reports_all_its_mistakes_at_once() -> None:
    with pytest.raises(InvalidValueError) as caught:
        IntParameter(name="depth", low=0, high=9, step=-1, when=(("arch", ("mlp",)),))

    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == ["low", "high", "step", "when.arch"]


def test_both_ends_of_a_range_belong_to_it_and_so_do_the_points_of_its_grid() -> None:
    parameter = FloatParameter(name="free_bits", low=0.0, high=0.3, step=0.1)

    assert [parameter.problem(value) for value in (0.0, 0.1, 0.1 + 0.2, 0.3)] == [None] * 4
    assert parameter.problem(0.15) == "must be 0.0 plus a multiple of step 0.1, but got 0.15."
    assert parameter.problem(0.4) == "must lie in 0.0..0.3, but got 0.4."


def test_a_key_names_the_conditions() -> None:
    assert [parameter.key for parameter in SPACE.parameters] == [
        "architecture",
        "beta",
        "depth[architecture=mlp]",
        "depth[architecture=conv]",
        "width",
        "free_bits[depth=2|3]",
    ]


def test_the_order_in_which_parameters_are_given_does_not_matter() -> None:
    shuffled = list(SPACE.parameters)
    random.Random(7).shuffle(shuffled)
    by_name = sorted(shuffled, key=lambda parameter: SPACE.parameters.index(parameter) if parameter.when else -1)

    assert SearchSpace(tuple(by_name)) == SPACE


@pytest.mark.parametrize("seed", range(20))
def test_every_suggestion_is_a_point_of_the_space_and_only_that(seed: int) -> None:
    params = SPACE.suggest(draw_with(seed))

    assert SPACE.problems(params) == []
    assert [parameter.name for parameter in SPACE.active(params)] == list(params)
    assert (params["depth"] in (2, 3)) == ("free_bits" in params)
    assert params["width"] == 64


def test_only_parameters_that_apply_are_drawn_and_fixed_ones_never() -> None:
    drawn: list[str] = []
    values: dict[str, ParamValue] = {"architecture": "conv", "beta": 1.0, "depth[architecture=conv]": 5}

    def draw(parameter: Parameter) -> ParamValue:
        drawn.append(parameter.key)
        return values[parameter.key]

    params = SPACE.suggest(draw)

    assert drawn == ["architecture", "beta", "depth[architecture=conv]"]
    assert params == {"architecture": "conv", "beta": 1.0, "width": 64, "depth": 5}
    assert [parameter.key for parameter in SPACE.searched if parameter.key not in drawn] == [
        "depth[architecture=mlp]",
        "free_bits[depth=2|3]",
    ]


@pytest.mark.parametrize(
    ("params", "partial", "expected"),
    [
        ({}, True, []),
        ({"depth": 8}, True, []),
        ({"depth": 3}, True, []),
        ({"depth": 4}, True, ["depth: must lie in 1..3, but got 4."]),
        ({"depth": 8, "architecture": "mlp"}, True, ["depth: must lie in 1..3, but got 8."]),
        ({"free_bits": 0.1}, True, []),
        (
            {"free_bits": 0.1, "depth": 1},
            True,
            ["free_bits: does not apply here: it needs depth=2|3. Leave it out."],
        ),
        ({"width": 65}, True, ["width: is fixed at 64, but got 65."]),
        ({"batch_size": 64}, True, ["batch_size: is not part of this search space, so it is always 128."]),
        ({"bta": 1.0}, True, ["bta: no parameter is called 'bta'. Did you mean beta?"]),
        (
            {"architecture": "mlp", "beta": 9.0, "width": 64},
            False,
            ["beta: must lie in 0.25..4.0, but got 9.0.", "depth: is missing."],
        ),
        ({"architecture": "conv", "depth": 5, "beta": 1, "width": 64}, False, []),
    ],
)
def test_problems_tell_why_params_are_no_point(
    params: dict[str, ParamValue], partial: bool, expected: list[str]
) -> None:
    assert SPACE.problems(params, partial=partial) == expected


@pytest.mark.parametrize(
    ("parameters", "fragment"),
    [
        ((), "must have 1..64 parameters, but got 0."),
        ((FixedParameter(name="depth", value=1),) * 2, "`depth` and `depth` can apply at once."),
        (
            (ARCHITECTURE, FixedParameter(name="depth", value=1, when=MLP), FixedParameter(name="depth", value=2)),
            "`depth[architecture=mlp]` and `depth` can apply at once.",
        ),
        (
            (FixedParameter(name="depth", value=1, when=MLP),),
            "architecture is not in the search space, so it is always 'mlp'.",
        ),
        (
            (ARCHITECTURE, FixedParameter(name="depth", value=1, when=(("architecture", ("pyramid",)),))),
            "architecture can never be 'pyramid'.",
        ),
        (
            (FixedParameter(name="blocks", value=2),),
            "[0].when.architecture: mlp has no blocks. Let it apply only `when: {architecture: resnet}`.",
        ),
        (
            (FixedParameter(name="architecture", value="conv"), IntParameter(name="blocks", low=1, high=2)),
            "[1].when.architecture: conv has no blocks.",
        ),
        (
            (
                CategoricalParameter(name="architecture", choices=("conv", "resnet")),
                IntParameter(name="blocks", low=1, high=2, when=(("architecture", ("conv", "resnet")),)),
            ),
            "[1].when.architecture: conv has no blocks.",
        ),
        (
            (
                FloatParameter(name="beta", low=1, high=2),
                FixedParameter(name="depth", value=1, when=(("beta", (1.5,)),)),
            ),
            "beta can never be 1.5.",
        ),
        (
            (
                IntParameter(name="depth", low=1, high=2, when=(("width", (1,)),)),
                IntParameter(name="width", low=1, high=2, when=(("batch_size", (1,)),)),
                IntParameter(name="batch_size", low=1, high=2, when=(("depth", (1,)),)),
            ),
            "the conditions run in a circle:",
        ),
    ],
)
def test_a_space_checks_itself(parameters: tuple[Parameter, ...], fragment: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        SearchSpace(parameters)

    assert fragment in str(caught.value)


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=300), st.integers(min_value=1, max_value=300), st.integers(1, 60))
def test_a_whole_number_range_holds_exactly_its_grid(low: int, width: int, step: int) -> None:
    high = low + step * width if low + step * width <= 4096 else low + step
    parameter = IntParameter(name="width", low=low, high=high, step=step)

    held = [value for value in range(max(1, low - 2), min(4096, high + 2) + 1) if parameter.problem(value) is None]

    assert held == list(range(low, high + 1, step))
