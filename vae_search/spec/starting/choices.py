"""Choices of a first spec for given images: a pure function of their summary, with a reason for each choice.

The numbers come from short trainings on 500 colour pictures of 64×64 (photographs of food, emoji, crops of two
photographs) and on 500 and 2,000 grey ones of 28×28 (Fashion-MNIST, digits). What they say of others is carried over.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from vae_search.core.dataset_summary import DatasetSummary
from vae_search.errors import BadData

SMALLEST_CONV = 12  # pixels a side; below, strided convolutions leave next to nothing to look at
COARSEST = 7  # pixels a side at most, that the last stage comes down to: of 64 to 4
DEEPEST = 6
MANY_VALUES = 64 * 64  # of an image; from here on the first stage has fewer channels
FEW_IMAGES, SOME_IMAGES, MANY_IMAGES = 1_000, 2_000, 20_000  # to train on
STEPS = 2_000  # gradient steps of a whole trial
STEPS_OF_FEW = 1_250  # few images are known by heart sooner, after about a thousand; if mirrored, half as soon
LEAST_EPOCHS, MOST_EPOCHS = 9, 90
TRIALS = 12
PRUNED_SHARE = 0.26  # epochs of a trial on average with rungs at a ninth and a third, of those of a whole one
SECONDS_PER_VALUE = 2e-7  # of one core, to train on one value of one image once
EVALUATED = 10_000  # validation images that are enough; a sixth of many images costs every trial a long pass
LEAST_MINUTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One line of a spec.

    Args:
        key: dotted.
        value: as YAML has it; an item of a list begins with a hyphen.
        why: a reason, in a few words.
    """

    key: str
    value: str
    why: str


def fitting_choices(images: DatasetSummary, *, validation_is_open: bool = True) -> tuple[Choice, ...]:
    """Choices for a first sweep of these images, in the order of the spec.

    Args:
        validation_is_open: the number of validation images may still be chosen.

    Raises:
        BadData: No likelihood explains such pixels.
    """
    return (
        *_pixels(images),
        *_mirroring(images),
        *(_validation(images) if validation_is_open else ()),
        *_networks(images),
        *_training(images),
        *_budget(images),
    )


def _pixels(images: DatasetSummary) -> Iterator[Choice]:
    levels = round(images.white)
    if images.is_binary:
        yield Choice(key="data.binarize", value="threshold", why="every pixel is black or white")
        yield Choice(key="likelihood", value="bernoulli", why="the probability of white")
    elif levels > 1:
        kind = "colours" if images.is_coloured else "greys"
        yield Choice(key="data.binarize", value="none", why=f"{kind} stay as they are; dynamic would make them 0 or 1")
        yield Choice(
            key="likelihood",
            value="discretized_logistic",
            why=f"a probability for each of {levels + 1} levels; gaussian has one width for all",
        )
        yield Choice(
            key="log_variance_clamp",
            value="[-10, 2]",
            why="images of many levels make narrower posteriors than the usual -6",
        )
    elif images.is_coloured:
        raise BadData(
            "these are colours as floats in between, and likelihoods of colours explain whole numbers.\n"
            "Save them as uint8 in 0 … 255."
        )
    else:
        yield Choice(
            key="data.binarize",
            value="dynamic",
            why="floats in between are taken as the chance of white; uint8 in 0 … 255 would keep greys",
        )
        yield Choice(key="likelihood", value="bernoulli", why="the probability of white")


def _mirroring(images: DatasetSummary) -> Iterator[Choice]:
    if _is_mirrored(images):
        yield Choice(
            key="data.mirror",
            value="true",
            why="to train on, left for right is as good a picture; not so if they hold writing",
        )


def _validation(images: DatasetSummary) -> Iterator[Choice]:
    held_out = images.parts["select"] + images.parts["judge"]
    if held_out > EVALUATED:
        yield Choice(
            key="data.validation", value=f"{EVALUATED}", why=f"enough to choose by; a sixth would be {held_out:,}"
        )


def _networks(images: DatasetSummary) -> Iterator[Choice]:
    side, values, train = min(images.height, images.width), _values(images), images.parts["train"]
    size = f"{images.height}×{images.width}"
    if side < SMALLEST_CONV:
        yield Choice(key="search_space.architecture", value="mlp", why=f"{size} pixels are few for convolutions")
        yield Choice(key="search_space.depth", value="{type: int, low: 1, high: 3}", why="hidden layers")
        yield Choice(key="search_space.width", value=_choices((64, 128, 256)), why="units of a layer")
    else:
        yield Choice(
            key="search_space.architecture", value="conv", why=f"neighbours among {size} pixels belong together"
        )
        depth = _depth(side)
        last = "×".join(str(-(-length // 2**depth)) for length in (images.height, images.width))
        yield Choice(
            key="search_space.depth", value=str(depth), why=f"sides are halved so often: the last stage is {last}"
        )
        why = "channels of the first stage, twice as many in each further one"
        yield Choice(key="search_space.width", value=_choices(_channels(values)), why=why)
    low, high = _latents(images)
    detail = "much" if values > MANY_VALUES else "something" if values > 256 else "little"
    yield Choice(
        key="search_space.latent_dim",
        value=f"{{type: int, low: {low}, high: {high}, log: true}}",
        why=f"there is {detail} to say of {values:,} values",
    )
    if decay := _weight_decay(train):
        lowest, _, highest = decay
        yield Choice(
            key="search_space.weight_decay",
            value=f"{{type: float, low: {lowest}, high: {highest}, log: true}}",
            why=f"against knowing {train:,} images by heart",
        )
    yield Choice(key="search_space.activation", value="elu", why="smooth; gelu and gated are worth a try")


def _training(images: DatasetSummary) -> Iterator[Choice]:
    train = images.parts["train"]
    small, large = _batches(train)
    is_conv = min(images.height, images.width) >= SMALLEST_CONV
    yield Choice(
        key="search_space.batch_size",
        value=_choices((small, large)),
        why=f"{train // large:,} or {train // small:,} steps an epoch",
    )
    highest, why = (
        ("2e-3", f"{_first_step(images)} is a common size for convolutions; others are worth a try")
        if is_conv
        else ("5e-3", "evenly over orders of magnitude")
    )
    yield Choice(
        key="search_space.learning_rate", value=f"{{type: float, low: 3e-4, high: {highest}, log: true}}", why=why
    )
    if _is_few_and_large(images):
        first = _first_beta(images)
        yield Choice(
            key="search_space.beta",
            value=f"{{type: float, low: {first / 2:.1f}, high: {first * 2:.1f}, log: true}}",
            why="so heavy a KL costs few large images little of the bound, which has 1, and draws look like pictures",
        )
    else:
        yield Choice(
            key="search_space.beta",
            value="{type: float, low: 0.5, high: 2.0, log: true}",
            why="in training only: trials are compared at 1",
        )
    yield Choice(key="lr_schedule", value="cosine", why="small steps at the end bring out details")
    if is_conv:
        decay = _weight_decay(train)
        decayed = f", weight_decay: {decay[1]}" if decay else ""
        latents, channels = _first_latents(images), max(_channels(_values(images)))
        config = f"latent_dim: {latents}, width: {channels}, batch_size: {small}, beta: {_first_beta(images):.1f}"
        yield Choice(
            key="enqueue",
            value=f"- {{{config}, learning_rate: {_first_step(images)}{decayed}}}",
            why="a config to try first; the sampler learns from its value",
        )


def _budget(images: DatasetSummary) -> Iterator[Choice]:
    train = images.parts["train"]
    steps = train / _batches(train)[0]
    wanted = STEPS_OF_FEW if train < SOME_IMAGES and not _is_mirrored(images) else STEPS
    epochs = min(MOST_EPOCHS, max(LEAST_EPOCHS, round(wanted / steps)))
    searched = TRIALS * PRUNED_SHARE * epochs * train * _values(images) * SECONDS_PER_VALUE / 60 / 2
    minutes = max(LEAST_MINUTES, round(2 * searched))
    yield Choice(key="budget.trials", value=str(TRIALS), why="a first look: raise it, and the same command goes on")
    yield Choice(key="budget.epochs", value=str(epochs), why=f"up to {epochs * steps:,.0f} steps of a trial")
    yield Choice(
        key="budget.minutes", value=str(minutes), why=f"about {max(1, round(searched)):,} of them are used on two cores"
    )
    yield Choice(key="pruning.min_epochs", value=str(max(1, epochs // 9)), why="trials are first compared here")
    yield Choice(key="confirm.finalists", value="1", why="the best config is trained again")
    yield Choice(key="confirm.seeds", value="3", why="with so many fresh seeds, the fewest that a promotion takes")


def _values(images: DatasetSummary) -> int:
    return images.height * images.width * images.channels


def _depth(side: int) -> int:
    return min(DEEPEST, max(2, math.ceil(math.log2(side / COARSEST))))


def _channels(values: int) -> tuple[int, int]:
    return (8, 16) if values > MANY_VALUES else (16, 32)


def _latents(images: DatasetSummary) -> tuple[int, int]:
    values = _values(images)
    if _is_few_and_large(images):
        return 16, 64
    return (32, 128) if values > MANY_VALUES else (8, 64) if values > 256 else (2, 32)


def _first_latents(images: DatasetSummary) -> int:
    return 32 if _is_few_and_large(images) else max(_latents(images))


def _first_beta(images: DatasetSummary) -> float:
    """20 at 64×64 in colour; it goes with the number of values, as distortion does (Higgins et al. 2017, A.4)."""
    return min(50.0, 20.0 * _values(images) / (64 * 64 * 3)) if _is_few_and_large(images) else 1.0


def _first_step(images: DatasetSummary) -> str:
    """Learning rate to try first; it comes from the short sweeps that are named above."""
    if _is_few_and_large(images):
        return "1e-3"
    return "7e-4" if _values(images) > MANY_VALUES else "1.5e-3"


def _is_few_and_large(images: DatasetSummary) -> bool:
    """True where latents are spent on knowing images by heart, and draws show nothing, unless the KL weighs more."""
    has_levels = images.white > 1 and not images.is_binary
    return has_levels and images.parts["train"] < SOME_IMAGES and _values(images) > MANY_VALUES


def _is_mirrored(images: DatasetSummary) -> bool:
    """True for pictures in colour that are not too many; grey ones are often signs, which have a left and a right."""
    return images.is_coloured and images.parts["train"] < MANY_IMAGES


def _weight_decay(train: int) -> tuple[str, str, str] | None:
    """Lowest, first and highest; None where images are too many to be known by heart."""
    if train >= MANY_IMAGES:
        return None
    return ("0.05", "0.13", "0.5") if train < SOME_IMAGES else ("1e-3", "0.03", "0.3")


def _batches(train: int) -> tuple[int, int]:
    return (8, 16) if train < FEW_IMAGES else (32, 64) if train < MANY_IMAGES else (64, 128)


def _choices(values: tuple[int, ...]) -> str:
    return f"{{type: categorical, choices: [{', '.join(map(str, values))}]}}"
