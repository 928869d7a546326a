"""Likelihoods of grey and coloured pixels: `gaussian` and `discretized_logistic`.

Both explain the whole numbers v in 0 … levels - 1 that a pixel's value may be; the images come as x = v / (levels - 1).
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from vae_search.data.pixel_statistics import PixelStatistics

LEAST_SHARE = 0.1  # of the overall spread: so wide is at least the latent-free model of a pixel that never changed
EDGE_SHARE = 0.2  # of a pixel's training values on an outer level, from which on that level decides
BISECTIONS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaussian:
    """Independent Gaussians around the decoder's means, with one standard deviation that is learned like a weight.

    The standard deviation belongs to the model: taken from the images that are being scored, as some codes do, it would
    be no likelihood. A density is no probability either; it becomes one of whole numbers by uniform dequantisation,
    y = (v + u) / levels with u ~ U[0, 1): log P(v) ≥ E_u[log p(y)] - log levels for each value (Theis et al. 2016,
    eq. 6). That expectation is known in closed form, so that no noise is drawn:
    E_u[(y - m)²] = ((v + ½) / levels - m)² + 1 / (12 levels²).

    The output holds the means m of y, then the log of the standard deviation, the same for all.
    """

    levels: int

    @property
    def limits(self) -> tuple[float, float]:
        """Limits of the log standard deviation. The best one is never below that of a level, 1 / (levels · √12)."""
        return float(-np.log(self.levels * np.sqrt(12.0))) - 1.0, 1.0

    @property
    def floor_per_value(self) -> float:
        """½ log(πe / 6) nats, reached where the deviation is that of a level and the mean its middle."""
        return 0.5 * float(np.log(np.pi * np.e / 6.0))

    def distortion(self, images: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
        mean, log_deviation = self._split(output)
        squared = tf.square(self._middle(images) - mean) + 1.0 / (12.0 * self.levels**2)
        per_value = 0.5 * squared * tf.exp(-2.0 * log_deviation) + log_deviation
        constant = 0.5 * float(np.log(2.0 * np.pi)) + float(np.log(self.levels))
        return tf.reduce_sum(per_value + constant, axis=[1, 2, 3])

    def mean(self, output: tf.Tensor) -> tf.Tensor:
        """The location, clipped to [0, 1], without the noise of draws."""
        return self._intensity(self._split(output)[0])

    def draw(self, output: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """The level that a draw of y falls into; the outer two take what lies beyond."""
        mean, log_deviation = self._split(output)
        drawn = mean + tf.exp(log_deviation) * tf.random.stateless_normal(tf.shape(mean), seed)
        return tf.cast(tf.clip_by_value(tf.floor(drawn * self.levels), 0.0, self.levels - 1.0), tf.uint8)

    def parameters(self, output: tf.Tensor) -> dict[str, tf.Tensor]:
        """Parameters of the intensity: y is a little narrower, and half a level higher at 0."""
        mean, log_deviation = self._split(output)
        stretch = self.levels / (self.levels - 1.0)
        return {"location": stretch * mean - 0.5 / (self.levels - 1.0), "scale": stretch * tf.exp(log_deviation)}

    def clamped_share(self, output: tf.Tensor) -> tf.Tensor:
        return _share_outside(tf.split(output, 2, axis=-1)[1], self.limits)

    def latent_free(self, pixels: PixelStatistics) -> np.ndarray:
        """The mean image, and the standard deviation of all pixels around it."""
        mean = self._middle(pixels.mean.astype(np.float64))
        shrink = (self.levels - 1.0) / self.levels
        variance = shrink**2 * float(pixels.variance.mean(dtype=np.float64)) + 1.0 / (12.0 * self.levels**2)
        log_deviation = np.full(mean.shape, np.clip(0.5 * np.log(variance), *self.limits))
        return np.concatenate([mean, log_deviation], axis=-1).astype(np.float32)

    def _split(self, output: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mean, log_deviation = tf.split(output, 2, axis=-1)
        return mean, tf.clip_by_value(log_deviation, *self.limits)

    def _middle(self, images: tf.Tensor) -> tf.Tensor:
        """(v + ½) / levels of intensities v / (levels - 1)."""
        return images * ((self.levels - 1.0) / self.levels) + 0.5 / self.levels

    def _intensity(self, middle: tf.Tensor) -> tf.Tensor:
        stretched = middle * (self.levels / (self.levels - 1.0)) - 0.5 / (self.levels - 1.0)
        return tf.clip_by_value(stretched, 0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscretizedLogistic:
    """P(v) is the mass of a logistic distribution between a level's edges, the outer two open (Kingma et al. 2016).

    With half a level h = ½ / (levels - 1), location m and scale s, the edges are a = (x - m + h) / s above and
    b = (x - m - h) / s below, and P = σ(a) - σ(b) = σ(a) · σ(-b) · (1 - exp(b - a)): three factors whose logs are exact
    wherever the level lies, where the difference would vanish in the tails.

    The output holds the locations, then the logs of the scales, both for each value of a pixel.
    """

    levels: int

    @property
    def floor_per_value(self) -> float:
        return 0.0

    @property
    def limits(self) -> tuple[float, float]:
        """Limits of the log scale. The lower one is about PixelCNN++'s -7 for pixels in [-1, 1] (Salimans et al. 2017).

        Half a level is 4.5 scales wide there, and a smaller scale would hardly say more about the level.
        """
        return float(np.log(self._half)) - 1.5, 1.0

    def distortion(self, images: tf.Tensor, output: tf.Tensor) -> tf.Tensor:
        location, log_scale = self._split(output)
        precision = tf.exp(-log_scale)
        centred = images - location
        above, below = (centred + self._half) * precision, (centred - self._half) * precision
        is_lowest, is_highest = images < self._half, images > 1.0 - self._half
        up_to = tf.where(is_highest, 0.0, tf.nn.softplus(-above))  # -log σ(a)
        down_to = tf.where(is_lowest, 0.0, tf.nn.softplus(below))  # -log σ(-b)
        width = -tf.math.log(-tf.math.expm1(-2.0 * self._half * precision))  # -log(1 - exp(b - a))
        between = tf.where(tf.logical_or(is_lowest, is_highest), 0.0, width)
        return tf.reduce_sum(up_to + down_to + between, axis=[1, 2, 3])

    def mean(self, output: tf.Tensor) -> tf.Tensor:
        """The mean of the logistic variable clipped to [0, 1]: s (softplus(m / s) - softplus((m - 1) / s)).

        That of the levels themselves is a sum over all of them, and differs by less than half a level.
        """
        location, log_scale = self._split(output)
        scale = tf.exp(log_scale)
        mean = scale * (tf.nn.softplus(location / scale) - tf.nn.softplus((location - 1.0) / scale))
        return tf.clip_by_value(mean, 0.0, 1.0)  # rounding may go beyond

    def draw(self, output: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """The level nearest to a draw of the logistic variable; the outer two take what lies beyond."""
        location, log_scale = self._split(output)
        tiny = float(np.finfo(np.float32).tiny)
        uniform = tf.random.stateless_uniform(tf.shape(location), seed, minval=tiny, maxval=1.0)
        drawn = location + tf.exp(log_scale) * (tf.math.log(uniform) - tf.math.log1p(-uniform))
        return tf.cast(tf.clip_by_value(tf.round(drawn * (self.levels - 1.0)), 0.0, self.levels - 1.0), tf.uint8)

    def parameters(self, output: tf.Tensor) -> dict[str, tf.Tensor]:
        location, log_scale = self._split(output)
        return {"location": location, "scale": tf.exp(log_scale)}

    def clamped_share(self, output: tf.Tensor) -> tf.Tensor:
        return _share_outside(tf.split(output, 2, axis=-1)[1], self.limits)

    def latent_free(self, pixels: PixelStatistics) -> np.ndarray:
        """For each value the logistic distribution of its mean and variance, π² s² / 3, or of its mean and outer level.

        Where a fifth of the training values or more lie on an outer level, as in a dark border, mean and variance would
        give the levels beside it what belongs to that level alone; mean and share of the level are matched instead. On
        Fashion-MNIST this comes within 0.2 % of the maximum of the likelihood, where the moments cost 9 % more. A value
        that never changed still gets a tenth of the overall spread: it may change in a held-out image.
        """
        mean, variance = pixels.mean.astype(np.float64), pixels.variance.astype(np.float64)
        least = max(LEAST_SHARE**2 * float(variance.mean()), self._half**2)
        lowest_log_scale = 0.5 * np.log(least * 3.0 / np.pi**2)
        location, log_scale = mean, 0.5 * np.log(np.maximum(variance, least) * 3.0 / np.pi**2)
        for share, other, mirrored in ((pixels.lowest, pixels.highest, False), (pixels.highest, pixels.lowest, True)):
            at, matched = self._matched(share, 1.0 - mean if mirrored else mean, lowest_log_scale)
            decides = (share >= EDGE_SHARE) & (share > other)
            location = np.where(decides, 1.0 - at if mirrored else at, location)
            log_scale = np.where(decides, matched, log_scale)
        return np.concatenate([location, np.clip(log_scale, *self.limits)], axis=-1).astype(np.float32)

    def _matched(self, share: np.ndarray, mean: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
        """Location and log scale with which level 0 has this share and the clipped mean is `mean`.

        Args:
            least: of the log scale; where it is met, the share is kept and the mean is not.
        """
        logit = np.log(share) - np.log1p(-share)
        low, high = np.full(mean.shape, self.limits[0]), np.full(mean.shape, self.limits[1])
        for _ in range(BISECTIONS):  # the mean rises with the scale while the share is kept
            middle = 0.5 * (low + high)
            scale = np.exp(middle)
            location = self._half - scale * logit
            found = scale * (np.logaddexp(0.0, location / scale) - np.logaddexp(0.0, (location - 1.0) / scale))
            low, high = np.where(found < mean, middle, low), np.where(found < mean, high, middle)
        log_scale = np.maximum(0.5 * (low + high), least)
        return self._half - np.exp(log_scale) * logit, log_scale

    @property
    def _half(self) -> float:
        return 0.5 / (self.levels - 1.0)

    def _split(self, output: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        location, log_scale = tf.split(output, 2, axis=-1)
        return location, tf.clip_by_value(log_scale, *self.limits)


def _share_outside(values: tf.Tensor, limits: tuple[float, float]) -> tf.Tensor:
    low, high = limits
    return tf.reduce_mean(tf.cast(tf.logical_or(values < low, values > high), tf.float32))
