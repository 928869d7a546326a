"""Measurements of a training run: scores of an epoch, scores at the end, costs. Plain numbers, no TensorFlow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

COLLAPSED_NATS = 1.0  # of KL per image: with less a model's code says nothing, and the gate `rate` refuses it


def is_collapsed(rate: float | None) -> bool:
    """True if a model with this KL, nats per image, ignores its latents; unknown is not collapsed."""
    return rate is not None and rate < COLLAPSED_NATS


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
    """bound on log p(x) with several draws, same images; only where the sweep ranks by it, at rungs and the end, and
    in epochs that train such a bound"""
    train_neg_iwae: float | None = None
    """as `train_neg_elbo`, of the importance-weighted bound that the epoch trained; None: it trained the ELBO"""

    @property
    def neg_bound(self) -> float:
        """The bound on -log p(x) that the sweep ranks by, nats; less is better."""
        return self.neg_elbo if self.iwae is None else -self.iwae

    @property
    def neg_trained_bound(self) -> float:
        """The held-out bound on -log p(x) of the kind that the epoch has trained, nats: by it epochs are chosen."""
        return self.neg_elbo if self.train_neg_iwae is None else self.neg_bound

    @property
    def train_neg_bound(self) -> float:
        """The same of the epoch's own batches: what its steps have made smaller."""
        return self.train_neg_elbo if self.train_neg_iwae is None else self.train_neg_iwae


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingRule:
    """Early stopping of one training (Prechelt 1998, "Early Stopping - But When?"), by its held-out bound per epoch.

    A pure function of the measurements: a driver, its worker, and both after a resume come to the same end.
    """

    epochs: int
    """upper limit"""
    warmup_epochs: int
    """at the start, in which the KL has not its full weight yet"""
    patience: int | None = None
    """epochs without a better one after which the training ends; None: it never ends early"""
    evaluations: int = 1
    """after warm-up, that there must be before patience counts"""
    elbo_epochs: int | None = None
    """at the start, which train the ELBO, where those behind them train another bound"""

    def best_epoch(self, neg_bounds: Sequence[float]) -> int:
        """The epoch, from 1, with the least value, the first of equal ones.

        One after warm-up, if there is any: the bound is taken at beta = 1 in every epoch, but weights of the warm-up
        were not trained for it. One that has trained the last bound, if there is any: values of two bounds are not
        compared.

        Args:
            neg_bounds: held-out, of the kind that each epoch has trained.

        Raises:
            ValueError: No epoch is done.
        """
        done = len(neg_bounds)
        first = max((begun for begun in (self.warmup_epochs, self.elbo_epochs or 0) if begun < done), default=0)
        return min(range(first, done), key=neg_bounds.__getitem__) + 1

    def ends_at(self, epoch: int, *, best_epoch: int) -> bool:
        """True if `epoch` is the last one, the best so far being `best_epoch`."""
        return epoch >= self.epochs or self.is_patience_over(epoch, best_epoch=best_epoch)

    def is_patience_over(self, epoch: int, *, best_epoch: int) -> bool:
        """True if the training ends at `epoch` whatever the limit."""
        if self.patience is None or epoch < self.warmup_epochs + self.evaluations:
            return False
        return epoch - best_epoch >= self.patience


@dataclass(frozen=True, slots=True, kw_only=True)
class Instability:
    """Instability of a training, in nats; each part is 0 for a curve that falls, however fast, and has learned."""

    regression: float
    """lost from the best epochs to the end, of training and held-out images alike"""
    roughness: float
    """mean sudden rise of the learning curve per epoch"""
    spikes: float
    """mean excess of the step loss"""
    stagnation: float
    """missing to having learned anything, as far as it is not lost again: frozen and collapsed trainings have it"""

    @property
    def total(self) -> float:
        return self.regression + self.roughness + self.spikes + self.stagnation


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Scores of a training's best epoch. Nats per image unless the name says otherwise.

    Instability, clipping and skipped steps are of all epochs.
    """

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
    best_epoch: int
    neg_bound: float
    """the bound on -log p(x) of the select images that the sweep ranks by; less is better"""
    mutual_information: float | None = None
    """I_q(x; z), the part of the rate that tells images apart; at most log n of the n images"""
    marginal_kl: float | None = None
    """KL(q(z) ‖ p(z)), the rest of the rate"""
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    """the spec's metrics by column; None: it could not be measured"""
    metric_trouble: str | None = None
    """reasons why metrics could not be measured, one a line"""


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
