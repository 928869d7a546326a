"""A hierarchical network as functions of given weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import tensorflow as tf

from vae_search.spec.fields import Precision
from vae_search.vae.networks.clamping import clamped
from vae_search.vae.networks.forward import PRODUCTS, Tensors, dense_layer, run_layers, with_label_units
from vae_search.vae.networks.network import HEAD_WEIGHTS

if TYPE_CHECKING:
    from vae_search.vae.networks.hierarchy.hierarchical_network import HierarchicalTopology

PRIOR_LIMITS = (-6.0, 2.0)
"""of the log variance of p(z1|z2), as Tomczak & Welling (2018) have it: part of the model, not of a sweep's settings"""

Moments = tuple[tf.Tensor, tf.Tensor, tf.Tensor]
"""mean, clamped and raw log-variance of q, of equal shapes: (…, batch, latent_dim)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedHierarchy:
    """A hierarchical topology with weights, in the order of `HierarchicalNetwork.shapes`: `VaeFunctions`."""

    topology: "HierarchicalTopology"
    weights: Tensors
    labels: tf.Tensor | None = None
    """(batch,) of the images; None for a network that sees none"""
    precision: Precision = "float32"

    def encoder(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and raw log-variance, (batch, latent_dim) each; the lower level's at the mean of the upper one."""
        features, mean, raw_log_variance = self._upper(images)
        lower_mean, lower_raw = self._lower(features, mean)
        return tf.concat([mean, lower_mean], axis=1), tf.concat([raw_log_variance, lower_raw], axis=1)

    def decoder(self, latents: tf.Tensor) -> tf.Tensor:
        first = self.topology.first_lower_head + HEAD_WEIGHTS
        upper = latents[:, : tf.shape(self.weights[self.topology.mean_biases[0]])[0]]
        in_deviations = latents[:, tf.shape(upper)[1] :]
        weights = iter(self.weights[first:])
        product = PRODUCTS[self.precision]
        hidden = run_layers(self.topology.lower_prior, self._labelled(upper), weights, product)
        mean, raw_log_variance = (dense_layer(hidden, weights, product) for _ in range(2))
        deviation = tf.exp(0.5 * clamped(raw_log_variance, PRIOR_LIMITS))
        given = self._labelled(tf.concat([upper, mean + deviation * in_deviations], axis=1))
        return run_layers(self.topology.decoder, given, weights, product)

    def posterior(self, images: tf.Tensor, clamp: tuple[float, float]) -> Callable[[tf.Tensor | None], Moments]:
        """q(z|x) of some images, as a function of standard normal noise, (…, batch, latent_dim).

        The moments of the lower level are those given the draw of the upper one that the noise makes; without noise,
        given its mean. What does not depend on the noise is computed once.
        """
        features, mean, raw_log_variance = self._upper(images)
        log_variance = clamped(raw_log_variance, clamp)

        def given(noise: tf.Tensor | None) -> Moments:
            if noise is None:
                lower_mean, lower_raw = self._lower(features, mean)
                moments = mean, log_variance, raw_log_variance
            else:
                own = noise[..., : tf.shape(mean)[1]]
                drawn = mean + tf.exp(0.5 * log_variance) * own
                lower_mean, lower_raw = self._lower_of_draws(features, drawn)
                moments = tuple(tf.broadcast_to(each, tf.shape(own)) for each in (mean, log_variance, raw_log_variance))
            lower = lower_mean, clamped(lower_raw, clamp), lower_raw
            mean_of_all, clamped_of_all, raw_of_all = (
                tf.concat(both, axis=-1) for both in zip(moments, lower, strict=True)
            )
            return mean_of_all, clamped_of_all, raw_of_all

        return given

    def _upper(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Features with the units of their labels, and mean and raw log-variance of q(z2|x)."""
        weights, product = iter(self.weights), PRODUCTS[self.precision]
        features = self._labelled(run_layers(self.topology.encoder, images, weights, product))
        return features, dense_layer(features, weights, product), dense_layer(features, weights, product)

    def _lower(self, features: tf.Tensor, upper: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and raw log-variance of q(z1|x, z2), (batch, lower latents) each."""
        weights = iter(self.weights[self.topology.first_head + HEAD_WEIGHTS :])
        product = PRODUCTS[self.precision]
        given = tf.concat([features, upper], axis=1)
        hidden = run_layers(self.topology.lower_posterior, given, weights, product)
        return dense_layer(hidden, weights, product), dense_layer(hidden, weights, product)

    def _lower_of_draws(self, features: tf.Tensor, drawn: tf.Tensor) -> Sequence[tf.Tensor]:
        """The same for (…, batch, upper latents): of one draw for each image, or of several."""
        if drawn.shape.rank == 2:
            return self._lower(features, drawn)
        draws, batch, upper = tf.unstack(tf.shape(drawn))
        found = self._lower(tf.tile(features, [draws, 1]), tf.reshape(drawn, [draws * batch, upper]))
        return [tf.reshape(each, [draws, batch, tf.shape(each)[1]]) for each in found]

    def _labelled(self, rows: tf.Tensor) -> tf.Tensor:
        return with_label_units(rows, self.labels, self.topology.classes)
