"""Choices of a first spec by what its images are: a pure function, so every kind of images is a summary here."""

from pathlib import Path

import pytest

from vae_search.core.dataset_summary import DatasetSummary
from vae_search.errors import BadData
from vae_search.spec.starting.choices import Choice, fitting_choices
from vae_search.spec.starting.commented_spec import LONGEST_LINE, commented_spec, quoted
from vae_search.spec.sweep_spec import SweepSpec, parse_spec


def summary(
    count: int = 500,
    *,
    side: int = 64,
    channels: int = 3,
    white: float = 255.0,
    is_binary: bool = False,
    is_coloured: bool | None = None,
) -> DatasetSummary:
    sixth = max(32, round(count / 6))
    test = max(16, round(count / 6))
    parts = {"train": count - sixth - test, "select": sixth // 2, "judge": sixth - sixth // 2, "test": test}
    return DatasetSummary(
        height=side,
        width=side,
        channels=channels,
        white=white,
        range=(0.0, 1.0),
        is_binary=is_binary,
        is_coloured=channels == 3 if is_coloured is None else is_coloured,
        parts=parts,
        has_own_test=False,
        copies=0,
        in_train={"select": 0, "judge": 0, "test": 0},
    )


def written(images: DatasetSummary) -> str:
    choices = (Choice(key="data.source", value="./pictures", why=""), *fitting_choices(images))
    return commented_spec("first", "first.yaml", images.sentences, choices)


def spec_for(images: DatasetSummary) -> SweepSpec:
    return parse_spec(written(images), base=Path("/pictures"))


@pytest.mark.parametrize(
    ("images", "binarize", "likelihood"),
    [
        (summary(channels=3), "none", "discretized_logistic"),
        (summary(channels=1), "none", "discretized_logistic"),
        (summary(channels=1, white=16.0, side=8), "none", "discretized_logistic"),
        (summary(channels=1, is_binary=True), "threshold", "bernoulli"),
        (summary(channels=1, white=1.0, is_binary=True), "threshold", "bernoulli"),
        (summary(channels=1, white=1.0), "dynamic", "bernoulli"),
    ],
    ids=["colour", "grey", "17-levels", "black-and-white", "zeros-and-ones", "floats"],
)
def test_only_black_and_white_and_floats_in_between_are_binarised(images, binarize, likelihood):
    spec = spec_for(images)

    assert (spec.data.binarize, spec.likelihood) == (binarize, likelihood)


def test_colours_as_floats_in_between_are_refused_with_what_to_do():
    with pytest.raises(BadData, match=r"Save them as uint8 in 0 … 255\."):
        fitting_choices(summary(white=1.0))


@pytest.mark.parametrize(
    ("images", "mirrors"),
    [
        (summary(500, channels=3), True),
        (summary(500, channels=1), False),  # digits and letters have a left and a right
        (summary(500, channels=3, is_coloured=False), False),
        (summary(70_000, channels=3, side=32), False),
    ],
    ids=["colour", "grey", "grey-in-three-channels", "many"],
)
def test_pictures_in_colour_are_mirrored_unless_they_are_many(images, mirrors):
    assert spec_for(images).data.mirror == mirrors


def test_few_large_pictures_get_fewer_latents_and_a_heavier_kl_than_many():
    few, many = spec_for(summary(500)), spec_for(summary(50_000))

    assert few.search_space.largest("latent_dim", default=0) < many.search_space.largest("latent_dim", default=0)
    assert (few.enqueue[0]["beta"], many.enqueue[0]["beta"]) == (20, 1)


@pytest.mark.parametrize(
    ("images", "beta"),
    [
        (summary(side=128), 50),
        (summary(side=48), 11.2),
        (summary(side=28), 1),
        (summary(side=128, channels=1, is_binary=True), 1),  # hundreds of nats, not ten thousands
    ],
    ids=["larger", "smaller", "small", "black-and-white"],
)
def test_the_weight_of_the_kl_goes_with_the_number_of_values_of_many_levels(images, beta):
    assert spec_for(images).enqueue[0]["beta"] == pytest.approx(beta, abs=0.1)


@pytest.mark.parametrize("count", [120, 500, 5_000])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_first_config_is_trained_for_about_two_thousand_steps_or_less_of_few_greys(count, channels):
    images = summary(count, channels=channels)
    spec = spec_for(images)

    steps = spec.budget.epochs * (images.parts["train"] / int(spec.enqueue[0]["batch_size"]))

    expected = 1_250 if channels == 1 and count < 3_000 else 2_000
    assert steps <= 1.05 * expected
    assert steps >= 0.9 * expected or spec.budget.epochs == 90


SIZES = [(80, 4), (120, 64), (500, 64), (2_000, 28), (5_000, 8), (70_000, 28), (400_000, 512), (3_000_000, 32)]


@pytest.mark.parametrize(("count", "side"), SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_any_number_and_size_get_a_valid_spec_with_a_reason_on_each_line(count, side, channels):
    images = summary(count, side=side, channels=channels)

    text = written(images)

    spec = parse_spec(text, base=Path("/pictures"))
    assert spec.search_space.largest("batch_size", default=0) <= images.parts["train"]
    assert 2 ** spec.search_space.largest("depth", default=0) * 4 <= 2 * max(side, 16)
    assert max(map(len, text.splitlines())) <= LONGEST_LINE
    for choice in fitting_choices(images):
        assert choice.why
        assert not choice.why.endswith(".")


@pytest.mark.parametrize(("count", "side"), [case for case in SIZES if case[0] < 10_000])
def test_a_first_sweep_is_a_matter_of_minutes_and_may_promote(count, side):
    spec = spec_for(summary(count, side=side))

    assert spec.budget.minutes is not None
    assert spec.budget.minutes <= 10
    assert spec.confirm.seeds >= 3


def test_more_work_gets_more_minutes():
    minutes = [spec_for(summary(count)).budget.minutes for count in (500, 50_000, 500_000)]

    assert minutes == sorted(minutes)
    assert minutes[0] < minutes[-1]


def test_more_images_get_fewer_epochs():
    epochs = [spec_for(summary(count)).budget.epochs for count in (500, 5_000, 50_000, 500_000)]

    assert epochs == sorted(epochs, reverse=True)
    assert epochs[0] > epochs[-1]


def test_of_many_images_ten_thousand_are_enough_to_choose_by():
    assert spec_for(summary(600_000)).data.validation == 10_000
    assert spec_for(summary(6_000)).data.validation is None
    keys = [choice.key for choice in fitting_choices(summary(600_000), validation_is_open=False)]
    assert "data.validation" not in keys


@pytest.mark.parametrize(
    "text", ["a", "a b", "on", "12", "a: b", "a #b", 'quo"te', "ä/x", "~", "-", "1e3", "C:\\x", "*a"]
)
def test_any_path_comes_back_from_yaml_as_it_was(text):
    spec = parse_spec(
        f"name: a\ndata: {{source: {quoted(text)}}}\nsearch_space: {{depth: 2}}\nbudget: {{trials: 1, epochs: 1}}\n",
        base=Path("/base"),
    )

    assert spec.data.source == f"/base/{text}"
