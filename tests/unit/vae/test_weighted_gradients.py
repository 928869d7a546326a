"""Gradients of the importance-weighted bound against differences of it, and against its plain gradient over many draws.

The plain gradient differentiates log 1/K Σ w_k through everything; Tucker et al. (2018) give another estimate with the
same expectation. Linear models that train by it stand in `test_linear_vae.py`.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests.support.gradients import difference
from tests.support.networks import binary, description, weights
from vae_search.vae.networks.forward import functions_of
from vae_search.vae.networks.network import build
from vae_search.vae.objective.bounds import distortions, log_importance_weights, posterior
from vae_search.vae.objective.likelihoods import Bernoulli
from vae_search.vae.objective.rates import rates, sample_posterior
from vae_search.vae.priors.learned import prior_of
from vae_search.vae.training.weighted_gradients import WeightedGradients, weighted_gradients

pytestmark = pytest.mark.needs_tensorflow

BERNOULLI = Bernoulli()
BATCH = 3


class Model:
    """A small network of 4×4 images with a prior, and a batch of them."""

    def __init__(self, prior: str = "standard", *, dtype=tf.float32) -> None:
        learned = {} if prior == "standard" else {"prior": prior, "prior_components": 3}
        self.described = description(
            image_shape=(4, 4, 1), latent_dim=2, width=6, activation="tanh", depth=1, **learned
        )
        self.clamp = (-20.0, 20.0)  # never met: there a gradient passes or not by its sign, which is not linear in it
        self.topology = build(self.described.network).topology
        self.names = [*weights(self.described)]
        self.weights = [tf.Variable(tf.cast(array, dtype)) for array in weights(self.described).values()]
        self.images = tf.cast(binary(BATCH, (4, 4, 1)), dtype)

    def parts(self):
        network = functions_of(self.topology, self.weights)
        return network, prior_of(self.topology, self.weights, network, clamp=self.clamp)

    def bound(self, noise: tf.Tensor, *, beta: float = 1.0) -> tf.Tensor:
        """Negative bound of K draws with weights p(x|z) (p(z)/q(z|x))^beta, as a function of everything."""
        network, prior = self.parts()
        mean, log_variance, _ = posterior(network, self.images, self.clamp)
        distortion = distortions(network, self.images, mean, log_variance, noise, likelihood=BERNOULLI)
        if prior is not None:
            rate = rates(mean, log_variance, noise, prior)
        else:
            latents = sample_posterior(mean, log_variance, noise)
            rate = 0.5 * tf.reduce_sum(tf.square(latents) - tf.square(noise) - log_variance, axis=2)
        logs = -beta * rate - distortion
        return tf.reduce_mean(np.log(noise.shape[0]) - tf.reduce_logsumexp(logs, axis=0))

    def found(self, noise: tf.Tensor, *, beta: float = 1.0) -> WeightedGradients:
        return weighted_gradients(
            self.weights,
            self.parts,
            self.images,
            noise,
            clamp=self.clamp,
            likelihood=BERNOULLI,
            beta=beta,
        )


@pytest.mark.parametrize("beta", [1.0, 0.6])
@pytest.mark.parametrize("prior", ["standard", "mixture"])
def test_gradients_of_decoder_and_prior_are_differences_of_the_bound(prior, beta):
    model = Model(prior, dtype=tf.float64)
    noise = tf.random.stateless_normal([5, BATCH, 2], [1, 2], dtype=tf.float64)
    gradients = model.found(noise, beta=beta).gradients

    compared = 0
    for name, variable, gradient in zip(model.names, model.weights, gradients, strict=True):
        if name.startswith("encoder"):
            continue
        for place in [*np.ndindex(*variable.shape)][::5]:
            slope = difference(lambda: model.bound(noise, beta=beta), variable, place)
            assert gradient.numpy()[place] == pytest.approx(slope, abs=1e-7)
            compared += 1
    assert compared >= 20


def test_a_bound_of_one_draw_is_the_elbo_and_more_draws_are_the_bound_that_scores_take():
    model = Model("mixture")
    noise = tf.random.stateless_normal([7, BATCH, 2], [1, 2])
    network, prior = model.parts()
    logs = log_importance_weights(
        network, model.images, noise, clamp=model.clamp, likelihood=BERNOULLI, prior=prior
    ).numpy()

    found, single = model.found(noise, beta=0.3), model.found(noise[:1])

    expected = -np.mean(np.log(np.mean(np.exp(logs.astype(np.float64)), axis=0)))
    assert float(found.neg_bound) == pytest.approx(expected, rel=1e-5)  # at beta = 1, whatever trains
    assert float(found.neg_elbo) == pytest.approx(-logs.mean(), rel=1e-5)
    assert float(single.neg_bound) == pytest.approx(float(single.neg_elbo), rel=1e-6)


def both_estimates(model: Model, *, draws: int, beta: float, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of all weights by the plain and by the doubly reparameterised estimate: (seeds, weights) each."""

    @tf.function(autograph=False)
    def estimates(seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        noise = tf.random.stateless_normal([draws, BATCH, 2], tf.stack([seed, 5]))
        with tf.GradientTape() as tape:
            value = model.bound(noise, beta=beta)
        plain = tape.gradient(value, model.weights)
        ours = model.found(noise, beta=beta).gradients
        return tuple(tf.concat([tf.reshape(each, [-1]) for each in group], axis=0) for group in (plain, ours))

    found = [estimates(tf.constant(seed)) for seed in range(seeds)]
    plain, ours = (np.stack([pair[place].numpy() for pair in found]).astype(np.float64) for place in (0, 1))
    return plain, ours


@pytest.mark.parametrize(("prior", "beta"), [("standard", 1.0), ("standard", 0.5), ("mixture", 1.0), ("vamp", 1.0)])
def test_the_encoders_gradient_has_the_plain_ones_expectation(prior, beta):
    model = Model(prior)
    of_encoder = np.concatenate(
        [
            np.full(int(np.prod(weight.shape)), name.startswith("encoder"))
            for name, weight in zip(model.names, model.weights, strict=True)
        ]
    )

    plain, ours = both_estimates(model, draws=8, beta=beta, seeds=600)

    difference = plain - ours
    error = difference.std(axis=0, ddof=1) / np.sqrt(len(difference))
    seen = error > 1e-7
    scores = difference.mean(axis=0)[seen] / error[seen]
    # Weights share their noise, so the mean square of these is no chi-square of so many; a wrong factor makes it 10.
    assert np.mean(np.square(scores)) < 2.5
    assert np.abs(scores).max() < 5.5
    assert seen[of_encoder].mean() > 0.5
    np.testing.assert_allclose(plain[:, ~of_encoder & ~seen], ours[:, ~of_encoder & ~seen], rtol=1e-4, atol=1e-5)


def test_the_encoder_runs_once_and_the_decoder_on_every_draw():
    model, seen = Model(), []

    class Counting:
        def __init__(self, network) -> None:
            self.network = network

        def encoder(self, rows):
            seen.append(("encoder", rows.shape[0]))
            return self.network.encoder(rows)

        def decoder(self, rows):
            seen.append(("decoder", rows.shape[0]))
            return self.network.decoder(rows)

    weighted_gradients(
        model.weights,
        lambda: (Counting(model.parts()[0]), None),
        model.images,
        tf.random.stateless_normal([4, BATCH, 2], [1, 2]),
        clamp=model.clamp,
        likelihood=BERNOULLI,
        beta=1.0,
    )

    assert seen == [("encoder", BATCH), ("decoder", 4 * BATCH)]
