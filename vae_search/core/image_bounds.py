"""Image bounds: what a model scores on each judge image, the evidence that promotions are decided by."""

from dataclasses import dataclass

import numpy as np

BOUND_NAMES = ("distortion", "rate", "iwae", "baseline")


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderStep:
    """One K of a ladder of importance-weighted bounds on the same images; nats per image.

    Args:
        k: importance samples.
        images: that the means are over.
        neg_iwae: the bound on -log p(x).
        gain: by how much it is below that of the step before; 0 at the first.
        gain_standard_error: over images.
        effective_size: mean over images of the effective sample size (Σw)² / Σw² of their weights, 1 … k.
        low_effective_size: its 5 % quantile.
    """

    k: int
    images: int
    neg_iwae: float
    gain: float
    gain_standard_error: float
    effective_size: float
    low_effective_size: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageBounds:
    """Bounds of one model on the judge images, in the images' order. Every array is (n,) float64, in nats.

    Args:
        distortion: -E_q[log p(x|z)], at beta = 1.
        rate: KL(q(z|x) ‖ p(z)).
        iwae: the IWAE-`iwae_k` bound on log p(x) (Burda et al. 2016, eq. 8); higher is better.
        baseline: -log p(x) under the latent-free model: independent pixels with the training images' mean; of a
            conditional model with the mean of those of the image's class.
        iwae_k: importance samples of `iwae`.

    Raises:
        ValueError: The arrays are empty or of different lengths, or a value is NaN or infinite.
    """

    distortion: np.ndarray
    rate: np.ndarray
    iwae: np.ndarray
    baseline: np.ndarray
    iwae_k: int

    def __post_init__(self) -> None:
        shape = np.shape(self.distortion)
        for name in BOUND_NAMES:
            values = np.asarray(getattr(self, name), np.float64)
            if values.ndim != 1 or values.size == 0:
                raise ValueError(f"{name}: must be one value per image, but got shape {values.shape}")
            if values.shape != shape:
                raise ValueError(f"{name}: must have {shape[0]} values, as distortion has, but has {len(values)}")
            if not np.isfinite(values).all():
                where = int(np.flatnonzero(~np.isfinite(values))[0])
                raise ValueError(f"{name}: must be finite, but image {where} has {values[where]}")
            object.__setattr__(self, name, values)
        if isinstance(self.iwae_k, bool) or not isinstance(self.iwae_k, int) or self.iwae_k < 1:
            raise ValueError(f"`iwae_k >= 1` must hold, but got {self.iwae_k!r}")

    def __len__(self) -> int:
        return len(self.distortion)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ImageBounds):
            return NotImplemented
        same = all(np.array_equal(getattr(self, name), getattr(other, name)) for name in BOUND_NAMES)
        return same and self.iwae_k == other.iwae_k

    @property
    def neg_elbo(self) -> np.ndarray:
        """(n,) distortion + rate, nats."""
        neg_elbo: np.ndarray = self.distortion + self.rate
        return neg_elbo

    @property
    def neg_iwae(self) -> np.ndarray:
        """(n,) the bound on -log p(x): what contests compare; lower is better."""
        return -self.iwae

    @property
    def standard_error(self) -> float:
        """Standard error of the mean of `iwae` over images, in nats."""
        return float(self.iwae.std(ddof=1) / np.sqrt(len(self.iwae)))
