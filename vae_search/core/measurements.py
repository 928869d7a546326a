"""Measurements of a training run: scores of an epoch, scores at the end, costs. Plain numbers, no TensorFlow."""

from dataclasses import dataclass


class Diverged(Exception):
    """A loss or a score is not finite: the config's own fault, to be recorded as FAIL `diverged`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochMeasurement:
    """One epoch, counted from 1. Scores are held-out, at beta = 1, of the averaged weights; nats per image."""

    epoch: int
    neg_elbo: float
    distortion: float
    rate: float
    train_neg_elbo: float
    """mean over the epoch's own batches, of the moving weights: a trend, not a score"""
    beta: float
    learning_rate: float
    grad_norm_median: float
    grad_norm_max: float
    clip_share: float
    skipped_steps: int
    clamped_share: float
    spike_excess: float
    cpu_s: float
    wall_s: float
    scale_clamped_share: float | None = None
    """None for a likelihood without scales, and in checkpoints from before there were any"""
    iwae: float | None = None
    """bound on log p(x) with several draws, same images; only where the sweep ranks by it, at rungs and the end"""

    @property
    def neg_bound(self) -> float:
        """The bound on -log p(x) that the sweep ranks by, nats; less is better."""
        return self.neg_elbo if self.iwae is None else -self.iwae


@dataclass(frozen=True, slots=True, kw_only=True)
class Instability:
    """Instability of a training, in nats; each part is 0 for a smoothly falling curve."""

    regression: float
    roughness: float
    spikes: float

    @property
    def total(self) -> float:
        return self.regression + self.roughness + self.spikes


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Scores of a model at the end of its training. Nats per image unless the name says otherwise."""

    neg_elbo: float
    distortion: float
    rate: float
    bits_per_dim: float
    floor_excess: float
    iwae: float
    """the IWAE-`iwae_k` bound on log p(x); higher is better"""
    iwae_k: int
    instability: Instability | None
    active_units: int
    kl_per_dimension: tuple[float, ...]
    shuffle_gap: float
    train_neg_elbo: float
    generalisation_gap: float
    logvar_clamp_share: float
    scale_clamp_share: float | None
    clip_share: float
    skipped_steps: int
    neg_bound: float
    """the bound on -log p(x) of the select images that the sweep ranks by; less is better"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Costs of a training so far."""

    parameters: int
    train_flops: float
    """analytic, forward and backward, over all images seen"""
    cpu_s: float
    wall_s: float
    images_per_s: float
    peak_memory_bytes: int
    """of the worker's process since it started"""
    compiled: str
    """`graph` or `xla`"""
    device: str
    """that trained: `cpu`, or the GPU's name"""
