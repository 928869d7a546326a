"""Learned priors against what is known from elsewhere: mixtures of probabilistic PCAs, sums over a grid of latents."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from tests.support.gradients import difference
from tests.support.networks import binary, description, digits_task, weights
from vae_search.spec.hyperparameters import LEARNED_PRIORS, PRIORS, Config
from vae_search.vae.inference.model import VaeModel
from vae_search.vae.inference.saved_model import model_files
from vae_search.vae.networks.forward import WeightedNetwork, functions_of
from vae_search.vae.networks.layers import SCALE_PACE, Layer
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.networks.network import Network, build, initial_weights
from vae_search.vae.networks.network_spec import NetworkSpec
from vae_search.vae.networks.prior_weights import mixture_weights
from vae_search.vae.objective.bounds import elbo_terms, log_importance_weights
from vae_search.vae.objective.evaluation import Evaluator
from vae_search.vae.objective.importance_ladder import ladder_of
from vae_search.vae.objective.likelihoods import Bernoulli
from vae_search.vae.objective.pixel_likelihoods import Gaussian
from vae_search.vae.objective.pixels import as_intensities
from vae_search.vae.priors.initial import with_first_prior
from vae_search.vae.priors.learned import prior_of
from vae_search.vae.priors.mixture import GaussianMixture
from vae_search.vae.training.plan import TrainingPlan
from vae_search.vae.training.trainer import Trainer

pytestmark = pytest.mark.needs_tensorflow

CLAMP = (-6.0, 2.0)
SHAPE, LEVELS = (2, 3, 1), 256
LOGITS = np.array([0.2, -0.4, 0.9])
MEANS = np.array([[-1.5, 0.5], [1.0, 1.5], [0.3, -1.0]])
LOG_VARIANCES = np.array([[-1.0, -0.5], [-2.0, 0.1], [-0.3, -1.5]])


def mixture(dtype=tf.float32) -> GaussianMixture:
    return GaussianMixture(
        logits=tf.constant(LOGITS, dtype),
        means=tf.constant(MEANS, dtype),
        log_variances=tf.constant(LOG_VARIANCES, dtype),
    )


def densities(latents: np.ndarray) -> np.ndarray:
    """log p(z) of the mixture, by another library: (n, 2) -> (n,)."""
    parts = [
        stats.multivariate_normal(mean, np.diag(np.exp(log_variance))).logpdf(latents)
        for mean, log_variance in zip(MEANS, LOG_VARIANCES, strict=True)
    ]
    return special.logsumexp(np.stack(parts) + special.log_softmax(LOGITS)[:, None], axis=0)


def small(prior: str, **changes) -> ModelDescription:
    """A model of 4×4 images with two latents, few enough for a grid."""
    fields = {"image_shape": (4, 4, 1), "latent_dim": 2, "width": 8, "activation": "tanh", "depth": 1}
    learned = {} if prior == "standard" else {"prior_components": 3}
    return description(**(fields | learned | {"prior": prior} | changes))


def test_densities_of_a_mixture_are_those_of_another_library():
    latents = np.random.default_rng(0).normal(0, 2, (50, 2))

    found = mixture(tf.float64).log_prob(tf.constant(latents.reshape(5, 10, 2)))

    np.testing.assert_allclose(found, densities(latents).reshape(5, 10), rtol=1e-10)


def test_each_latent_has_its_own_marginal():
    latents = np.random.default_rng(0).normal(0, 2, (50, 2))
    parts = [
        stats.norm(MEANS[:, latent], np.exp(0.5 * LOG_VARIANCES[:, latent])).logpdf(latents[:, [latent]])
        for latent in range(2)
    ]
    expected = np.stack([special.logsumexp(part + special.log_softmax(LOGITS), axis=1) for part in parts], axis=1)

    np.testing.assert_allclose(mixture().latents_log_prob(latents), expected, rtol=1e-5)


def test_gradients_of_a_mixture_are_differences_of_its_density():
    given = [
        tf.Variable(LOGITS),
        tf.Variable(MEANS),
        tf.Variable(LOG_VARIANCES),
        tf.Variable([[0.4, -0.7], [1.1, 0.2]]),
    ]

    def total() -> tf.Tensor:
        prior = GaussianMixture(logits=given[0], means=given[1], log_variances=given[2])
        return tf.reduce_sum(prior.log_prob(tf.cast(given[3], tf.float64)))

    given[3] = tf.Variable(tf.cast(given[3], tf.float64))
    with tf.GradientTape() as tape:
        value = total()
    gradients = tape.gradient(value, given)
    for variable, gradient in zip(given, gradients, strict=True):
        for place in np.ndindex(*variable.shape):
            assert gradient.numpy()[place] == pytest.approx(difference(total, variable, place), abs=1e-7)


def test_draws_have_the_moments_and_the_shares_of_the_mixture():
    drawn = mixture().sample(40_000, 3).numpy()
    mean, deviation = mixture().moments()

    assert np.array_equal(drawn, mixture().sample(40_000, 3).numpy())
    assert not np.array_equal(drawn, mixture().sample(40_000, 4).numpy())
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=4 * deviation.max() / 200)
    np.testing.assert_allclose(drawn.std(axis=0), deviation, rtol=0.02)
    # The mean of the log density over draws is minus the entropy; another sampler must find the same.
    rng = np.random.default_rng(5)
    chosen = rng.choice(3, 40_000, p=special.softmax(LOGITS))
    others = MEANS[chosen] + np.exp(0.5 * LOG_VARIANCES[chosen]) * rng.standard_normal((40_000, 2))
    assert densities(drawn).mean() == pytest.approx(densities(others).mean(), abs=0.03)


def test_a_linear_vae_with_a_mixture_prior_is_a_mixture_of_probabilistic_pcas():
    """log p(y) = log Σ_k w_k N(y; W m_k + μ, W S_k Wᵀ + σ² I) in closed form (Tipping & Bishop 1999, mixtures)."""
    rng = np.random.default_rng(0)
    loadings, mean, variance = rng.normal(0, 1, (6, 2)) * [0.06, 0.05], np.full(6, 0.5), 0.04**2
    components = rng.choice(3, 60, p=special.softmax(LOGITS))
    latents = MEANS[components] + np.exp(0.5 * LOG_VARIANCES[components]) * rng.standard_normal((60, 2))
    values = latents @ loadings.T + mean + rng.normal(0, 0.04, (60, 6))
    pixels = np.floor(values * LEVELS).astype(np.uint8)
    middles, within = (pixels + 0.5) / LEVELS, 1 / (12 * LEVELS**2)
    parts = [
        stats.multivariate_normal(
            loadings @ at + mean, loadings @ np.diag(np.exp(spread)) @ loadings.T + variance * np.eye(6)
        ).logpdf(middles)
        for at, spread in zip(MEANS, LOG_VARIANCES, strict=True)
    ]
    exact = special.logsumexp(np.stack(parts) + special.log_softmax(LOGITS)[:, None], axis=0)
    exact -= 0.5 * 6 * within / variance + 6 * np.log(LEVELS)
    spec = NetworkSpec(
        architecture="mlp", image_shape=SHAPE, latent_dim=2, depth=1, width=1, activation="relu",
        likelihood="gaussian", prior="mixture", prior_components=3,
    )  # fmt: skip
    network = Network(
        spec=spec,
        encoder=(Layer("flatten"),),
        decoder=(Layer("dense", 6), Layer("reshape", detail=SHAPE[:2]), Layer("shared_scale")),
    )
    inverse = np.linalg.inv(loadings.T @ loadings + variance * np.eye(2))
    encoder, shrink, shift = loadings @ inverse, (LEVELS - 1) / LEVELS, 0.5 / LEVELS
    arrays = [
        shrink * encoder, (shift - mean) @ encoder, np.zeros((6, 2)), np.log(variance * np.diag(inverse)) + 0.3,
        loadings.T, mean, [0.5 * np.log(variance) / SCALE_PACE],
        *mixture_weights(LOGITS, MEANS, LOG_VARIANCES),
    ]  # fmt: skip
    given = [tf.constant(array, tf.float32) for array in arrays]
    functions = WeightedNetwork(topology=network.topology, weights=given)
    prior = prior_of(network.topology, given, functions, clamp=(-20.0, 20.0))
    images = as_intensities(tf.constant(pixels.reshape(60, *SHAPE)), LEVELS)
    noise = tf.random.stateless_normal([4000, 60, 2], [1, 2])
    likelihood = Gaussian(levels=LEVELS)

    logs = log_importance_weights(functions, images, noise, clamp=(-20.0, 20.0), likelihood=likelihood, prior=prior)
    terms = elbo_terms(functions, images, noise[0], clamp=(-20.0, 20.0), likelihood=likelihood, prior=prior)

    np.testing.assert_allclose(special.logsumexp(logs.numpy(), axis=0) - np.log(4000), exact, atol=0.08)
    assert np.mean(special.logsumexp(logs.numpy(), axis=0) - np.log(4000) - exact) == pytest.approx(0, abs=0.01)
    np.testing.assert_allclose(-terms.distortion - terms.kl[:, 0], logs[0], rtol=1e-5, atol=1e-3)
    assert np.mean(logs.numpy()) < exact.mean()


@pytest.mark.slow
@pytest.mark.parametrize("prior", LEARNED_PRIORS)
def test_bounds_agree_with_importance_sampling_by_another_proposal(prior):
    """Draws of a wider Gaussian than q(z|x), weighed in NumPy and SciPy: more latents than a grid can have."""
    described = replace(small(prior, latent_dim=4, prior_components=6), clamp=CLAMP)
    named, images, draws = weights(described), binary(10, (4, 4, 1)), 3000
    named["decoder/00-kernel"] *= 0.3  # else few draws would carry all the weight, of any proposal
    named["encoder/02-kernel"] *= 0.3
    named["encoder/04-kernel"] *= 0.0
    named["encoder/05-bias"] += 1.0
    if prior == "vamp":
        named["prior/00-pseudo_inputs"] = np.random.default_rng(1).random((6, 4, 4, 1)).astype(np.float32)
    if prior == "mixture":
        named["prior/01-means"] *= 0.4
    model = VaeModel(described, named)
    if prior == "mixture":
        logits, means, log_variances = (3.0 * named[name].astype(np.float64) for name in list(named)[-3:])
    else:
        (means, log_variances), logits = model.encode(named["prior/00-pseudo_inputs"]), np.zeros(6)
    mean, log_variance = model.encode(images.astype(np.float32))
    wide = 1.4 * np.exp(0.5 * log_variance)
    latents = mean + wide * np.random.default_rng(2).standard_normal((draws, *mean.shape))
    parts = [
        stats.norm(at, np.exp(0.5 * spread)).logpdf(latents).sum(axis=2)
        for at, spread in zip(means, log_variances, strict=True)
    ]
    log_prior = special.logsumexp(np.stack(parts) + special.log_softmax(logits)[:, None, None], axis=0)
    output = model.decoder(latents.reshape(-1, 4).astype(np.float32)).numpy().reshape(draws, 10, -1).astype(np.float64)
    flat = images.reshape(10, -1).astype(np.float64)
    log_likelihood = (output * flat).sum(axis=2) - np.logaddexp(0, output).sum(axis=2)
    log_weights = log_prior + log_likelihood - stats.norm(mean, wide).logpdf(latents).sum(axis=2)
    expected = special.logsumexp(log_weights, axis=0) - np.log(draws)

    found = Evaluator.of(described).iwae([*named.values()], images, draws)

    sizes = np.exp(2 * special.logsumexp(log_weights, axis=0) - special.logsumexp(2 * log_weights, axis=0))
    assert sizes.min() > 25  # effective draws: with few the other estimate would say nothing
    # Two estimates, each of a relative error of 1/√size (Kong 1992), independent between images.
    error = np.sqrt(2 * np.sum(1 / sizes)) / len(sizes)
    assert error < 0.1
    assert np.mean(found - expected) == pytest.approx(0, abs=3.5 * error)
    np.testing.assert_allclose(found, expected, atol=5 * np.sqrt(2 / sizes.min()))


@pytest.mark.parametrize("prior", LEARNED_PRIORS)
def test_gradients_of_the_bound_are_its_differences(prior):
    """In float64, of every weight of the prior and of the heads, through pseudo-inputs as well."""
    described = replace(small(prior), clamp=CLAMP)
    network, named = build(described.network), weights(described)
    named["encoder/04-kernel"] *= 0.1  # no log variance beyond the clamp, whose gradient is another there
    if prior == "vamp":
        named["prior/00-pseudo_inputs"] = np.random.default_rng(1).uniform(0.2, 0.8, (3, 4, 4, 1))
    values = [tf.Variable(tf.cast(array, tf.float64)) for array in named.values()]
    images = tf.constant(binary(6, (4, 4, 1)), tf.float64)
    noise = tf.random.stateless_normal([6, 2], [1, 2], dtype=tf.float64)

    def bound() -> tf.Tensor:
        functions = functions_of(network.topology, values)
        of = prior_of(network.topology, values, functions, clamp=CLAMP)
        terms = elbo_terms(functions, images, noise, clamp=CLAMP, likelihood=Bernoulli(), prior=of)
        return tf.reduce_mean(terms.distortion + tf.reduce_sum(terms.kl, axis=1))

    with tf.GradientTape() as tape:
        value = bound()
    gradients = dict(zip(named, tape.gradient(value, values), strict=True))
    chosen = [name for name in named if name.startswith("prior") or name in {"encoder/02-kernel", "encoder/05-bias"}]
    for name, variable in zip(named, values, strict=True):
        for place in [*np.ndindex(*variable.shape)][:12] if name in chosen else []:
            assert gradients[name].numpy()[place] == pytest.approx(difference(bound, variable, place), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("prior", PRIORS)
def test_bounds_rise_to_the_sum_over_a_grid_of_latents(prior):
    """log p(x) = log Σ p(z) p(x|z) over a fine grid, with p(z) from what the encoder or the weights say, in NumPy."""
    described = replace(small(prior), clamp=CLAMP)
    named, images = weights(described), binary(12, (4, 4, 1))
    # A proposal that is wide enough, since fresh encoders know nothing yet, and a decoder without needles.
    named["decoder/00-kernel"] *= 0.3
    named["encoder/02-kernel"] *= 0.5 if prior == "vamp" else 0.0
    named["encoder/04-kernel"] *= 0.0
    named["encoder/05-bias"] += 1.0 if prior == "vamp" else 2.0
    model = VaeModel(described, named)
    axis = np.linspace(-14, 14, 281)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    if prior == "standard":
        logits, means, log_variances = np.zeros(1), np.zeros((1, 2)), np.zeros((1, 2))
    elif prior == "mixture":
        logits, means, log_variances = (
            3.0 * named[f"prior/0{at}-{kind}"].astype(np.float64)
            for at, kind in enumerate(("logits", "means", "log_variances"))
        )
    else:
        means, log_variances = model.encode(np.clip(named["prior/00-pseudo_inputs"], 0, 1))
        logits = np.zeros(len(means))
    parts = [
        stats.norm(mean, np.exp(0.5 * log_variance)).logpdf(grid).sum(axis=1)
        for mean, log_variance in zip(means, log_variances, strict=True)
    ]
    log_prior = special.logsumexp(np.stack(parts) + special.log_softmax(logits)[:, None], axis=0)
    output = model.decoder(grid.astype(np.float32)).numpy().reshape(len(grid), -1).astype(np.float64)
    flat = images.reshape(12, -1).astype(np.float64)
    log_likelihood = flat @ output.T - np.logaddexp(0, output).sum(axis=1)
    exact = special.logsumexp(log_likelihood + log_prior, axis=1) + 2 * np.log(axis[1] - axis[0])

    evaluator, ordered = Evaluator.of(described), [*named.values()]
    found = evaluator.iwae(ordered, images, 6000)
    evaluation = evaluator.evaluate(ordered, images, draws=400)
    rungs = ladder_of(ordered, build(described.network).topology, described, images, (1, 1000))

    assert special.logsumexp(log_prior) + 2 * np.log(axis[1] - axis[0]) == pytest.approx(0, abs=1e-4)
    # The error of 6,000 draws is about 0.05 nats of an image here, 0.02 of their mean.
    np.testing.assert_allclose(found, exact, atol=0.25)
    assert np.mean(found - exact) == pytest.approx(0, abs=0.06)
    assert np.all(-evaluation.neg_elbo < exact)
    assert -rungs[1].neg_iwae == pytest.approx(exact.mean(), abs=0.15)
    distortion, rate = evaluator.neg_elbo(ordered, images, draws=400)
    assert (distortion, rate) == pytest.approx(
        (evaluation.distortion.mean(), evaluation.rates.sum(axis=1).mean()), rel=1e-5
    )


def test_rates_of_a_mixture_that_is_the_standard_prior_are_those_in_closed_form():
    standard, described = small("standard"), small("mixture", prior_components=1)
    named = weights(standard)
    one = [*named.values(), *mixture_weights(np.zeros(1), np.zeros((1, 2)), np.zeros((1, 2)))]
    images = binary(40, (4, 4, 1))

    closed = Evaluator.of(standard).evaluate([*named.values()], images, draws=1000)
    drawn = Evaluator.of(described).evaluate(one, images, draws=1000)

    assert drawn.kl.shape == closed.kl.shape
    assert drawn.rates.shape == (40, 1)
    np.testing.assert_allclose(drawn.rates[:, 0], closed.rates.sum(axis=1), atol=0.2)
    assert drawn.rates.mean() == pytest.approx(closed.rates.sum(axis=1).mean(), abs=0.02)
    np.testing.assert_array_equal(drawn.distortion, closed.distortion)
    np.testing.assert_allclose(
        Evaluator.of(described).iwae(one, images, 16),
        Evaluator.of(standard).iwae([*named.values()], images, 16),
        rtol=1e-5,
    )


@pytest.mark.parametrize("prior", LEARNED_PRIORS)
def test_first_weights_come_from_training_images_and_the_seed_alone(prior):
    task, described = digits_task(), small(prior, image_shape=(8, 8, 1), prior_components=5)
    network = build(described.network)
    latent_free = Bernoulli().latent_free(task.pixels)
    fresh = initial_weights(network, seed=1, latent_free=latent_free)
    first = with_first_prior(network, fresh, task, seed=1, clamp=CLAMP)
    again, other = (with_first_prior(network, fresh, task, seed=seed, clamp=CLAMP) for seed in (1, 2))
    own = len(first) - (3 if prior == "mixture" else 1)

    assert [array.shape for array in first] == network.shapes
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(np.array_equal(one, two) for one, two in zip(first[own:], other[own:], strict=True))
    assert all(np.array_equal(one, two) for one, two in zip(first[:own], fresh[:own], strict=True))
    if prior == "vamp":
        nearest = [np.abs(task.train / 16.0 - pseudo).mean(axis=(1, 2, 3)).min() for pseudo in first[-1]]
        assert max(nearest) < 0.02
        assert 0 <= first[-1].min() <= first[-1].max() <= 1


def test_the_standard_prior_adds_nothing_to_a_network():
    network = build(small("standard").network)

    assert not [name for name in network.names if name.startswith("prior")]
    assert b"prior" not in small("standard").to_json()


@pytest.mark.parametrize("prior", LEARNED_PRIORS)
def test_a_description_with_a_learned_prior_is_read_as_it_was_written(prior):
    described = small(prior)

    assert ModelDescription.from_json(described.to_json()) == described
    for wrong in (b'"prior_components": 0', b'"prior_components": 501', b'"prior_components": true'):
        with pytest.raises(ValueError, match="components"):
            ModelDescription.from_json(described.to_json().replace(b'"prior_components": 3', wrong))
    with pytest.raises(ValueError, match="flow"):
        ModelDescription.from_json(described.to_json().replace(prior.encode(), b"flow"))
    labelled = described.to_json().replace(b'"depth": 1', b'"depth": 1, "classes": 3')
    if prior == "vamp":
        with pytest.raises(ValueError, match="pseudo-inputs have no label"):
            ModelDescription.from_json(labelled)
    else:
        assert ModelDescription.from_json(labelled).network.classes == 3


@pytest.mark.parametrize("prior", LEARNED_PRIORS)
def test_a_written_model_has_its_prior_and_scores_and_samples_by_both_ways_alike(prior, tmp_path):
    described = small(prior, prior_components=80)  # more values than TensorFlow writes into a graph by itself
    named, images = weights(described), binary(20, (4, 4, 1))
    files = model_files(described, named)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    model = VaeModel.from_version(files["config.json"], files["model.weights.h5"])
    signatures = tf.saved_model.load(str(tmp_path)).signatures

    assert {name: array.tobytes() for name, array in model.weights().items()} == {
        name: array.tobytes() for name, array in named.items()
    }
    served = signatures["sample"](count=tf.constant(30), seed=tf.constant(4))["images"]
    np.testing.assert_allclose(model.sample(30, seed=4), served, atol=1e-6)
    elbo = signatures["elbo"](images=tf.constant(images, tf.float32))["elbo"].numpy()
    evaluation = Evaluator.of(described).evaluate([*named.values()], images, draws=1)
    np.testing.assert_allclose(-evaluation.neg_elbo, elbo, rtol=1e-5)
    standard = VaeModel(
        small("standard"), {name: array for name, array in named.items() if not name.startswith("prior")}
    )
    assert not np.allclose(standard.sample(30, seed=4), served, atol=1e-3)


PLAN = TrainingPlan(epochs=6, lr_schedule="cosine", ema_decay=0.99, log_variance_clamp=CLAMP, likelihood="bernoulli")


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    return Trainer(digits_task(), threads=1)


def config(prior: str, **changes) -> Config:
    return Config.from_params(
        {"latent_dim": 4, "width": 16, "batch_size": 64, "prior": prior, "prior_components": 5, "grad_clip": 2.0}
        | {"learning_rate": 3e-3, "kl_warmup_epochs": 1}
        | changes
    )


@pytest.mark.parametrize("prior", LEARNED_PRIORS)
def test_a_prior_learns_and_its_scores_hang_together(trainer, prior):
    run = trainer.start(config(prior), PLAN, seed=3)
    before = run.averaged_weights()
    values = [run.train_epoch().neg_elbo for _ in range(5)]
    after, scores = run.averaged_weights(), run.scores()

    assert values[-1] < values[0]
    assert all(not np.array_equal(before[name], after[name]) for name in before if name.startswith("prior"))
    assert scores.rate == pytest.approx(scores.mutual_information + scores.marginal_kl, abs=0.02)
    assert len(scores.kl_per_dimension) == 4
    assert scores.iwae > -scores.neg_elbo


@pytest.mark.slow
def test_weight_decay_leaves_a_prior_where_it_is(trainer):
    decayed = {}
    for decay in (0.0, 1.0):
        run = trainer.start(config("mixture", weight_decay=decay, beta=1e-9, grad_clip=0.0), PLAN, seed=3)
        first = run.averaged_weights()
        run.train_epoch()
        decayed[decay] = first, run.averaged_weights()
    norms = {
        name: [np.linalg.norm(after[name]) for _, after in decayed.values()]
        for name in ("encoder/00-kernel", "prior/01-means")
    }

    assert norms["encoder/00-kernel"][1] < 0.98 * norms["encoder/00-kernel"][0]
    assert norms["prior/01-means"][1] == pytest.approx(norms["prior/01-means"][0], rel=0.01)


def test_below_the_free_bits_of_all_latents_the_rate_moves_no_weight_of_a_prior(trainer):
    moved = {}
    for free_bits in (0.0, 10.0):
        run = trainer.start(config("mixture", free_bits=free_bits), PLAN, seed=3)
        before = run.averaged_weights()["prior/01-means"]
        run.train_epoch()
        moved[free_bits] = float(np.abs(run.averaged_weights()["prior/01-means"] - before).max())

    assert moved[10.0] == 0.0
    assert moved[0.0] > 0.001


def test_a_mixture_serves_a_conditional_model():
    described = small("mixture", classes=2)
    named, images = weights(described), binary(8, (4, 4, 1))
    labels = np.arange(8) % 2
    ordered = [*named.values()]

    found = Evaluator.of(described).iwae(ordered, images, 8, labels=labels)
    model = VaeModel(described, named)

    assert np.isfinite(found).all()
    assert model.sample_classes(3, seed=1).shape == (2, 3, 4, 4, 1)
    functions = functions_of(build(described.network).topology, ordered, labels=tf.constant(labels, tf.int32))
    assert functions.encoder(tf.cast(images, tf.float32))[0].shape == (8, 2)
