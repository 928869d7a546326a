"""What is exported, as others use it: from a process that has never heard of this package."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, special, stats

from tests.support.hostile_folder import put_hostile_modules
from tests.support.networks import FAMILIES, binary, description, grey, weights
from vae_search.data.pixel_statistics import intensities
from vae_search.vae.inference.model import VaeModel
from vae_search.vae.inference.reload_check import score_in_fresh_process
from vae_search.vae.inference.reload_process import score_folder
from vae_search.vae.inference.saved_model import CONFIG_FILE, WEIGHTS_FILE, model_files
from vae_search.vae.inference.weights_file import weights_file
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.objective.evaluation import Evaluator
from vae_search.vae.objective.evaluation_size import EVALUATION_BATCH

pytestmark = pytest.mark.needs_tensorflow

STRANGER = """
import json, sys
import numpy as np
import tensorflow as tf
results = {}
for folder in sys.argv[1:]:
    images = np.load(f"{folder}.npy")
    signatures = tf.saved_model.load(folder).signatures
    encoded = signatures["encode"](images=tf.constant(images[:3]))
    decoded = signatures["decode"](latents=encoded["mean"])
    drawn = signatures["sample"](count=tf.constant(4), seed=tf.constant(9))
    elbo = signatures["elbo"](images=tf.constant(images))
    part = signatures["elbo"](images=tf.constant(images[:7]))
    answers = {"encode": encoded, "decode": decoded, "sample": drawn, "elbo": elbo, "part": part}
    results[folder] = {
        f"{name}/{key}": value.numpy().tolist() for name, answer in answers.items() for key, value in answer.items()
    }
ours = [name for name in sys.modules if name.startswith(("vae_search", "keras"))]
print(json.dumps({"results": results, "ours": [name for name in ours if name.startswith("vae_search")]}))
"""
IMAGES = binary(EVALUATION_BATCH + 30)  # more than one batch of the evaluator, and no whole number of them
GREY_IMAGES = grey(EVALUATION_BATCH + 30)
GREY = {"gaussian": "conv", "discretized_logistic": "mlp"}  # likelihoods, each with a family


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> dict[str, dict[str, np.ndarray]]:
    """Of each family's and likelihood's SavedModel, asked by path alone in a process that imports TensorFlow only."""
    scratch = tmp_path_factory.mktemp("exported")
    for name in (*FAMILIES, *GREY):
        described = description_of(name)
        images = GREY_IMAGES if name in GREY else IMAGES
        np.save(scratch / f"{name}.npy", intensities(images, described.levels))
        write(scratch / name, model_files(described, weights(described)))
    command = [sys.executable, "-c", STRANGER, *FAMILIES, *GREY]
    done = subprocess.run(command, cwd=scratch, env={"PATH": ""}, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["ours"] == []
    return {
        family: {name: np.array(values, np.float32) for name, values in found.items()}
        for family, found in told["results"].items()
    }


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def description_of(name: str) -> ModelDescription:
    if name in GREY:
        return description(architecture=GREY[name], likelihood=name)
    return description(architecture=name)


def model_of(name: str) -> VaeModel:
    described = description_of(name)
    return VaeModel(described, weights(described))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stranger_encodes_as_the_package_does(family, answers):
    mean, log_variance = model_of(family).encode(IMAGES[:3])

    np.testing.assert_allclose(answers[family]["encode/mean"], mean, atol=1e-5)
    np.testing.assert_allclose(answers[family]["encode/log_variance"], log_variance, atol=1e-5)
    assert answers[family]["encode/log_variance"].max() == pytest.approx(0.1)  # some are clamped


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stranger_decodes_to_images_of_the_right_size_as_the_package_does(family, answers):
    model = model_of(family)
    mean, logits = answers[family]["decode/mean"], answers[family]["decode/logits"]

    assert mean.shape == (3, 13, 7, 1)
    np.testing.assert_allclose(mean, model.decode(model.encode(IMAGES[:3])[0]), atol=1e-5)
    np.testing.assert_allclose(mean, special.expit(logits), atol=1e-6)


@pytest.mark.parametrize("likelihood", GREY)
def test_a_stranger_gets_a_location_and_a_scale_of_the_intensity(likelihood, answers):
    found = answers[likelihood]
    mean, location, scale = (found[f"decode/{name}"] for name in ("mean", "location", "scale"))

    assert mean.shape == location.shape == scale.shape == (3, 13, 7, 1)
    if likelihood == "gaussian":
        np.testing.assert_allclose(mean, np.clip(location, 0, 1), atol=1e-6)
        assert len(np.unique(scale)) == 1  # one for all
    else:
        clipped = stats.logistic(location.astype(np.float64), scale.astype(np.float64))
        expected = [integrate.quad(part.sf, 0, 1)[0] for part in parts_of(clipped)]
        np.testing.assert_allclose(mean.ravel(), expected, atol=1e-4)
        assert len(np.unique(scale)) > 100
    assert scale.min() > 0


def parts_of(distribution) -> list:
    locations, scales = (part.ravel() for part in distribution.args)
    return [stats.logistic(location, scale) for location, scale in zip(locations, scales, strict=True)]


@pytest.mark.parametrize("family", [*FAMILIES, *GREY])
def test_a_stranger_samples_what_the_package_samples(family, answers):
    np.testing.assert_allclose(answers[family]["sample/images"], model_of(family).sample(4, seed=9), atol=1e-5)


@pytest.mark.parametrize("family", [*FAMILIES, *GREY])
def test_a_stranger_scores_images_as_the_evaluator_does(family, answers):
    described = description_of(family)
    images = GREY_IMAGES if family in GREY else IMAGES
    neg_elbo = Evaluator.of(described).evaluate(list(weights(described).values()), images, draws=1).neg_elbo

    elbo = answers[family]["elbo/elbo"]

    np.testing.assert_allclose(-elbo, neg_elbo, rtol=2e-5, atol=1e-3)
    assert -elbo.mean(dtype=np.float64) == pytest.approx(neg_elbo.mean(dtype=np.float64), rel=1e-6, abs=1e-4)
    np.testing.assert_allclose(answers[family]["part/elbo"], elbo[:7], rtol=2e-5, atol=1e-4)


@pytest.mark.parametrize("family", [pytest.param("mlp", marks=pytest.mark.exhaustive), "resnet"])
def test_a_model_scores_the_same_in_a_fresh_process_by_both_ways(family, monkeypatch, tmp_path):
    put_hostile_modules(tmp_path, package=True)
    monkeypatch.chdir(tmp_path)
    described = description(architecture=family)
    files = model_files(described, weights(described))
    distortion, rate = Evaluator.of(described).neg_elbo(list(weights(described).values()), IMAGES)

    found = score_in_fresh_process(files, IMAGES)

    assert found.neg_elbo == pytest.approx(distortion + rate, abs=1e-4)
    assert found.saved_model_difference < 1e-3


def test_weights_of_another_training_are_noticed_because_the_two_ways_disagree(tmp_path):
    described = description()
    files = model_files(described, weights(described))
    write(tmp_path, files | {WEIGHTS_FILE: weights_file(weights(described, seed=8))})

    mixed = score_folder(tmp_path, IMAGES)

    assert mixed.saved_model_difference > 0.1


def test_what_a_fresh_process_cannot_load_is_an_error_of_one_line():
    described = description()
    files = {CONFIG_FILE: description(width=8).to_json(), WEIGHTS_FILE: weights_file(weights(described))}

    with pytest.raises(ValueError, match="must have shape") as refusal:
        score_in_fresh_process(files, IMAGES)

    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["../outside.json", "/nowhere/outside.json", "a/../../outside.json"])
def test_a_file_that_would_land_outside_the_folder_is_refused(name):
    with pytest.raises(ValueError, match="within its folder"):
        score_in_fresh_process({name: b"{}"}, IMAGES)


def test_a_version_has_the_files_that_serving_looks_for():
    described = description()

    files = model_files(described, weights(described))

    assert {"saved_model.pb", "variables/variables.index", "config.json", "model.weights.h5"} <= set(files)
    assert b"XlaMustCompile" not in files["saved_model.pb"]
