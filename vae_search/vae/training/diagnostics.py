"""Diagnostics of model health and training stability: functions of recorded numbers. Nats unless said otherwise."""

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from vae_search.core.measurements import Instability
from vae_search.spec.sections import EVALUATIONS_OF_INSTABILITY

ACTIVE_VARIANCE = 0.01  # Burda et al. 2016, 5.2
MIN_EVALUATIONS = EVALUATIONS_OF_INSTABILITY
SPIKE_WINDOW_STEPS = 200
SPIKE_DEVIATIONS = 6.0
MAD_TO_SIGMA = 1.4826  # of a normal distribution


def instability(neg_elbos: Sequence[float], spike_excesses: Sequence[float], *, warmup_epochs: int) -> Instability:
    """Instability of one trial from one value per epoch (design: "What best means").

    regression: max(0, median of the last 3 evaluations - the least before them).
    roughness: 1.4826 · median |second differences| / √6 over the last half; √6 is the standard deviation of a second
        difference of unit white noise, so that noise of sigma nats scores about sigma nats.
    spikes: mean over all steps of `spike_excess`.

    Args:
        neg_elbos: held-out value after each epoch, the first epoch first.
        spike_excesses: mean spike excess of each epoch's steps; every epoch has the same number of steps.
        warmup_epochs: epochs at the start whose evaluations do not count.

    Raises:
        ValueError: Fewer than `MIN_EVALUATIONS` evaluations after warm-up.
    """
    values = np.asarray(neg_elbos[warmup_epochs:], np.float64)
    if len(values) < MIN_EVALUATIONS:
        raise ValueError(f"`evaluations >= {MIN_EVALUATIONS}` after warm-up must hold, but got {len(values)}")
    regression = max(0.0, float(np.median(values[-3:]) - values[:-3].min()))
    second_differences = np.diff(values[len(values) // 2 :], n=2)
    roughness = MAD_TO_SIGMA * float(np.median(np.abs(second_differences))) / np.sqrt(6.0)
    return Instability(regression=regression, roughness=float(roughness), spikes=float(np.mean(spike_excesses)))


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
