"""Diagnostics of model health and training stability: functions of recorded numbers. Nats unless said otherwise."""

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from vae_search.core.measurements import Instability, is_collapsed

ACTIVE_VARIANCE = 0.01  # Burda et al. 2016, 5.2
SPIKE_WINDOW_STEPS = 200
SPIKE_DEVIATIONS = 6.0
MAD_TO_SIGMA = 1.4826  # of a normal distribution
# A rise that could not change who is promoted is not instability: `promote.min_gain` is a tenth of a nat, and images
# that cost thousands of nats jitter by more than those that cost hundreds.
TOLERANCE_NATS = 0.1
TOLERANCE_SHARE = 0.001  # of the nats that the training has gained on the latent-free model at its best
TREND_DIFFERENCES = 5  # around an epoch: their median is the trend there
END_EVALUATIONS = 3  # whose median stands for the end of a curve, or for its best epochs
NOISE_DEVIATIONS = 4.0  # of white noise, 200 epochs long, one in a thousand ends so far above its best three
LEARNED_SHARE = 0.1  # of the way from the latent-free model to the floor, as the gate `learned` has it


def instability(
    neg_elbos: Sequence[float],
    train_neg_elbos: Sequence[float],
    spike_excesses: Sequence[float],
    *,
    warmup_epochs: int,
    rate: float,
    baseline: float,
    floor: float,
) -> Instability:
    """Instability of one trial from one value per epoch (docs: "What best means").

    regression: median of the last 3 evaluations - least median of 3 in a row, of held-out images or of training images,
        whichever lost less: a held-out loss with a training gain is overfitting, which the bound at the end holds
        already. 0 if it is within the tolerance and four standard deviations of the curve's noise.
    roughness: mean over epochs of max(0, rise - trend - tolerance); the trend is the median of the 5 differences around
        the epoch, where that is positive. A fall costs nothing, however fast or bent, nor does a steady climb. White
        noise of sigma nats scores 0.42 sigma at most, next to nothing below the tolerance, at any length.
    spikes: mean over all steps of `spike_excess`.
    stagnation: what the end is short of a tenth of the way from the latent-free model to the floor, as far as it is
        not regression; a collapsed model has made none of that way.

    The tolerance is a tenth of a nat, or a thousandth of what was gained on the latent-free model if that is more.
    Defined for any length; below `EVALUATIONS_OF_INSTABILITY` evaluations there is little to see.

    Args:
        neg_elbos: held-out value after each epoch, the first epoch first.
        train_neg_elbos: mean bound of each epoch's own batches.
        spike_excesses: mean spike excess of each epoch's steps; every epoch has the same number of steps.
        warmup_epochs: epochs at the start whose evaluations do not count.
        rate: KL at the end, nats per image.
        baseline: the latent-free model's held-out value.
        floor: least held-out value that a model can have.
    """
    whole = np.asarray(neg_elbos, np.float64)
    held_out = whole[warmup_epochs:]
    training = np.asarray(train_neg_elbos, np.float64)[warmup_epochs:]
    tolerance = max(TOLERANCE_NATS, TOLERANCE_SHARE * (baseline - float(whole.min())))
    regression = _regression(held_out, training, tolerance)
    gained = baseline - float(np.median(whole[-END_EVALUATIONS:]))
    if is_collapsed(rate):
        gained = min(0.0, gained)
    return Instability(
        regression=regression,
        roughness=_roughness(held_out, tolerance),
        spikes=float(np.mean(spike_excesses)),
        stagnation=max(0.0, LEARNED_SHARE * (baseline - floor) - gained - regression),
    )


def _regression(held_out: np.ndarray, training: np.ndarray, tolerance: float) -> float:
    if len(held_out) <= END_EVALUATIONS:
        return 0.0
    medians, of_training = (
        np.median(sliding_window_view(values, END_EVALUATIONS), axis=1) for values in (held_out, training)
    )
    best = int(medians.argmin())
    lost = float(min(medians[-1] - medians[best], of_training[-1] - of_training[best]))
    # √20 is the standard deviation of a third difference of unit white noise; bends of second order leave none.
    noise = MAD_TO_SIGMA * float(np.median(np.abs(np.diff(held_out, n=3)))) / np.sqrt(20.0)
    return lost if lost > tolerance + NOISE_DEVIATIONS * noise else 0.0


def _roughness(held_out: np.ndarray, tolerance: float) -> float:
    rises = np.diff(held_out)
    if not len(rises):
        return 0.0
    width = min(TREND_DIFFERENCES, len(rises))
    medians = np.median(sliding_window_view(rises, width), axis=1)
    # At both ends the window stays inside the curve.
    trend = medians[np.clip(np.arange(len(rises)) - width // 2, 0, len(medians) - 1)]
    return float(np.mean(np.maximum(0.0, rises - np.maximum(0.0, trend) - tolerance)))


def spike_excess(before: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Excess of each step's loss over median + 6 · 1.4826 · MAD of the 200 steps before it; never negative.

    Args:
        before: (at most 200,) the losses just before the first of `losses`.
        losses: (steps,) distortion + rate of each step, nats per image.

    Returns:
        (steps,) nats; 0 where fewer than 200 steps came before.
    """
    history = np.concatenate([before, losses])
    excess = np.zeros(len(losses))
    known = len(history) - SPIKE_WINDOW_STEPS  # steps that have a full window before them
    if known <= 0:
        return excess
    windows = sliding_window_view(history[:-1], SPIKE_WINDOW_STEPS)[-min(known, len(losses)) :]
    median = np.median(windows, axis=1)
    deviation = np.median(np.abs(windows - median[:, None]), axis=1)
    limit = median + SPIKE_DEVIATIONS * MAD_TO_SIGMA * deviation
    excess[-len(windows) :] = np.maximum(0.0, losses[-len(windows) :] - limit)
    return excess


def active_units(means: np.ndarray) -> int:
    """Latents whose posterior mean has a variance over images above 0.01: (n, latent_dim) -> count."""
    return int(np.count_nonzero(means.astype(np.float64).var(axis=0) > ACTIVE_VARIANCE))


def bits_per_dim(nats: float, dimensions: int) -> float:
    """Nats per image to bits per pixel and channel."""
    return nats / (dimensions * float(np.log(2.0)))
