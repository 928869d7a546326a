"""A prior fitted after training: what the fit finds, which images decide, and what a version with it is."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats

from tests.support.networks import description, digits_task, weights
from vae_search.data.dataset import load_dataset
from vae_search.data.tasks import JudgeTask, TaskLabels
from vae_search.errors import CorruptStore
from vae_search.registry.fitted_prior import PRIOR_FILE, FittedPriorRecord
from vae_search.services.models.tensorflow_backend import TensorFlowBackend
from vae_search.spec.sections import DataSpec
from vae_search.store.ledger.artifacts import MODEL_FILE
from vae_search.store.ledger.artifacts import WEIGHTS_FILE as TRAINED_WEIGHTS
from vae_search.vae.inference.ex_post.fitted_prior import codes_of, fit_prior
from vae_search.vae.inference.model import VaeModel
from vae_search.vae.inference.npz import npz_of
from vae_search.vae.inference.saved_model import CONFIG_FILE, WEIGHTS_FILE
from vae_search.vae.inference.scoring import judge
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.networks.prior_weights import MIXTURE_PACE
from vae_search.vae.priors.fitting import fitted_mixture

pytestmark = pytest.mark.needs_tensorflow

SHARES = np.array([0.5, 0.3, 0.2])
MEANS = np.array([[-3.0, 0.0], [3.0, 1.0], [0.0, 4.0]])
DEVIATIONS = np.array([[0.3, 0.8], [0.5, 0.2], [1.0, 0.4]])


def of_digits(**changes) -> tuple[ModelDescription, dict[str, np.ndarray]]:
    described = description(image_shape=(8, 8, 1), latent_dim=3, depth=1, **changes)
    described = ModelDescription(network=described.network, levels=2, clamp=(-6.0, 2.0))
    return described, weights(described)


def test_a_fit_finds_the_mixture_that_codes_were_drawn_from():
    rng = np.random.default_rng(0)
    chosen = rng.choice(3, 6000, p=SHARES)
    codes = MEANS[chosen] + DEVIATIONS[chosen] * rng.standard_normal((6000, 2))

    logits, means, log_variances = (MIXTURE_PACE * array for array in fitted_mixture(codes, 3, seed=1))

    order = [int(np.argmin(np.linalg.norm(means - mean, axis=1))) for mean in MEANS]
    np.testing.assert_allclose(special.softmax(logits)[order], SHARES, atol=0.02)
    np.testing.assert_allclose(means[order], MEANS, atol=0.08)
    np.testing.assert_allclose(np.exp(0.5 * log_variances[order]), DEVIATIONS, rtol=0.06)
    again = fitted_mixture(codes, 3, seed=1)
    assert all(
        np.array_equal(one, MIXTURE_PACE * other)
        for one, other in zip((logits, means, log_variances), again, strict=True)
    )


def test_codes_are_draws_of_the_posteriors_of_all_training_images():
    described, named = of_digits()
    task = digits_task()
    model = VaeModel(described, named)

    found = codes_of(model, task, count=3000)

    assert found.shape == (3 * 1280, 3)
    first, second = found[:1280], found[1280:2560]
    assert not np.array_equal(first, second)
    # Two draws of one image's posterior, for two binarisations of it, are closer than those of two images.
    assert np.linalg.norm(first - second, axis=1).mean() < np.linalg.norm(first - second[::-1], axis=1).mean()
    assert np.array_equal(found, codes_of(model, task, count=3000))
    assert codes_of(model, task, count=100).shape == (100, 3)


@pytest.mark.parametrize("prior", ["standard", "mixture", "vamp"])
def test_a_mixture_takes_the_place_of_any_prior_and_leaves_all_else_as_it_was(prior):
    described, named = of_digits(**({} if prior == "standard" else {"prior": prior, "prior_components": 4}))
    named["encoder/02-kernel"] *= 4.0  # codes far from where any of these priors expects them

    fitted = fit_prior(described, named, digits_task(), components=5, codes=1500)

    assert (fitted.description.network.prior, fitted.description.network.prior_components) == ("mixture", 5)
    assert {name for name in fitted.weights if name.startswith("prior")} == {
        "prior/00-logits",
        "prior/01-means",
        "prior/02-log_variances",
    }
    same = [name for name in named if not name.startswith("prior")]
    assert all(np.array_equal(fitted.weights[name], named[name]) for name in same)
    assert fitted.is_better
    assert fitted.images == 517


def test_the_gain_of_a_fit_is_that_of_the_density_of_codes():
    """One Gaussian in closed form: mean and variance of the codes."""
    described, named = of_digits()
    named["decoder/00-kernel"] *= 0.0  # p(x|z) is the same for all z: IWAE-K is log p(x) + log mean p(z)/q(z|x)

    fitted = fit_prior(described, named, digits_task(), components=1, codes=1500)

    codes = codes_of(VaeModel(described, named), digits_task(), count=1500)
    _, mean, log_variance = (MIXTURE_PACE * fitted.weights[name] for name in list(fitted.weights)[-3:])
    mean, log_variance = mean[0], log_variance[0]
    np.testing.assert_allclose(mean, codes.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(np.exp(log_variance), codes.var(axis=0) + 1e-4, rtol=1e-4)
    of_fitted = stats.norm(mean, np.exp(0.5 * log_variance)).logpdf(codes).sum(axis=1).mean()
    assert of_fitted > stats.norm.logpdf(codes).sum(axis=1).mean()
    assert fitted.gain > 0


def test_a_fit_that_select_images_do_not_ask_for_is_not_better():
    described, named = of_digits()
    for name in ("encoder/02-kernel", "encoder/03-bias", "encoder/04-kernel", "encoder/05-bias"):
        named[name] *= 0.0  # q(z|x) is the standard prior itself

    fitted = fit_prior(described, named, digits_task(), components=40, codes=1500)

    assert not fitted.is_better
    assert abs(fitted.gain) < 0.05


def test_a_conditional_model_is_fitted_with_the_labels_of_its_images():
    described, named = of_digits(classes=3)
    task = digits_task()
    train, select = np.arange(1280) % 3, np.arange(517) % 3
    task = replace(task, labels=TaskLabels(train=train, select=select, classes=3))

    fitted = fit_prior(described, named, task, components=4, codes=1500)

    assert fitted.description.network.classes == 3
    assert VaeModel(fitted.description, fitted.weights).sample_classes(2, seed=0).shape == (3, 2, 8, 8, 1)
    others = replace(task, labels=TaskLabels(train=train[::-1].copy(), select=select, classes=3))
    again = fit_prior(described, named, others, components=4, codes=1500)
    assert not np.array_equal(again.weights["prior/01-means"], fitted.weights["prior/01-means"])


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return load_dataset(DataSpec(source="digits"), cache=tmp_path_factory.mktemp("cache"))


def exported(digits, *, fit_prior: int, collapsed: bool = False) -> tuple[TensorFlowBackend, dict[str, bytes]]:
    described, named = of_digits()
    for name in ("encoder/02-kernel", "encoder/03-bias", "encoder/04-kernel", "encoder/05-bias"):
        named[name] *= 0.0 if collapsed else 1.0
    backend = TensorFlowBackend(lambda: digits, fit_prior=fit_prior)
    artifact = {MODEL_FILE: described.to_json(), TRAINED_WEIGHTS: npz_of(named)}
    return backend, dict(backend.export(None, artifact))


@pytest.mark.slow
def test_a_version_with_a_fitted_prior_is_whole_in_its_files(digits):
    backend, files = exported(digits, fit_prior=6)

    record = FittedPriorRecord.of(files)
    model = VaeModel.from_version(files[CONFIG_FILE], files[WEIGHTS_FILE])
    recorded = judge(*reversed(of_digits()), JudgeTask.of(digits))
    assert record.kept
    assert json.loads(files[CONFIG_FILE])["network"]["prior_components"] == 6
    deviations = np.std(codes_of(model, digits_task(), count=2000), axis=0)
    assert model.prior_moments()[1] == pytest.approx(deviations, rel=0.2)
    assert backend.reload_difference(files, recorded) < 1e-3
    assert abs(float(recorded.neg_elbo.mean()) - record.judge_neg_elbo) > 0.1
    assert record.judge_neg_iwae < float(recorded.neg_iwae.mean())


@pytest.mark.slow
def test_a_version_whose_fit_gained_nothing_keeps_its_prior_and_says_so(digits):
    _, files = exported(digits, fit_prior=40, collapsed=True)

    assert not FittedPriorRecord.of(files).kept
    assert "prior" not in json.loads(files[CONFIG_FILE])["network"]
    assert PRIOR_FILE in files


@pytest.mark.parametrize("content", [b"{}", b'{"components": 4, "kept": true, "more": 1}'])
def test_a_damaged_record_of_a_fit_is_named(content):
    with pytest.raises(CorruptStore, match=r"prior\.json: must hold what a fitted prior gained"):
        FittedPriorRecord.of({PRIOR_FILE: content})
