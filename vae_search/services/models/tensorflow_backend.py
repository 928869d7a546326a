"""The TensorFlow side of a promotion: a confirm run's weights made into a version's files, and these measured."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from vae_search.core.image_bounds import ImageBounds, LadderStep
from vae_search.data.dataset import Dataset
from vae_search.data.pixel_statistics import BINARY, intensities
from vae_search.data.random_access.mapped_images import PixelArray
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.registry.fitted_prior import PRIOR_FILE, FittedPriorRecord
from vae_search.registry.promotion.evidence import Candidate
from vae_search.registry.promotion.gate_results import SampleQuality
from vae_search.registry.promotion.model_backend import TestScore
from vae_search.store.ledger.artifacts import MODEL_FILE
from vae_search.store.ledger.artifacts import WEIGHTS_FILE as TRAINED_WEIGHTS
from vae_search.vae.inference.ex_post.fitted_prior import FittedPrior, fit_prior
from vae_search.vae.inference.feature_space import FeatureSpace, feature_space_of, feature_train_images
from vae_search.vae.inference.image_grids import reconstructions, samples_png, sheet_png
from vae_search.vae.inference.model import VaeModel
from vae_search.vae.inference.npz import arrays_of
from vae_search.vae.inference.reload_check import score_in_fresh_process
from vae_search.vae.inference.sample_quality import sample_quality
from vae_search.vae.inference.saved_model import CONFIG_FILE, WEIGHTS_FILE, model_files
from vae_search.vae.inference.scoring import judge, judge_ladder
from vae_search.vae.networks.model_config import ModelDescription

logger = logging.getLogger(__name__)

SAMPLES_FILE, RECONSTRUCTIONS_FILE = "samples.png", "reconstructions.png"
PICTURED = 64
PICTURE_COLUMNS = 8
PICTURE_SEED = 0
COMPARED_IMAGES = 5000  # samples beside held-out images; the distance has a bias that depends on their number
COMPARED_SEED = 782


class TensorFlowBackend:
    """The backend of one data set, which is read when it is first needed.

    Args:
        fit_prior: Gaussians of a mixture that is fitted to each candidate and kept if it is better; 0: none is.
    """

    def __init__(self, load: Callable[[], Dataset], *, fit_prior: int = 0) -> None:
        self._load = load
        self._fit_prior = fit_prior

    def export(self, candidate: Candidate, artifact: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """The SavedModel, the weights with their config, two pictures, and what a fitted prior has gained."""
        description = ModelDescription.from_json(artifact[MODEL_FILE])
        weights: Mapping[str, np.ndarray] = arrays_of(artifact[TRAINED_WEIGHTS])
        record: dict[str, bytes] = {}
        if self._fit_prior:
            fitted, found = self._fitted(description, weights)
            record = {PRIOR_FILE: found.to_bytes()}
            if found.kept:
                description, weights = fitted.description, fitted.weights
        model = VaeModel(description, weights)
        originals = intensities(self._dataset.judge[: PICTURED // 2], self._dataset.pixels.levels)
        labels = None if self._judge_labels is None else self._judge_labels[: PICTURED // 2]
        return {
            **model_files(description, weights),
            **record,
            SAMPLES_FILE: samples_png(model, PICTURED, seed=PICTURE_SEED),
            RECONSTRUCTIONS_FILE: sheet_png(reconstructions(model, originals, labels, columns=PICTURE_COLUMNS)),
        }

    def reload_difference(self, files: Mapping[str, bytes], recorded: ImageBounds) -> float | None:
        """The greater of the differences by the weights file and by the SavedModel; None if either cannot be loaded.

        With a fitted prior the bound that the model had when that was fitted is the recorded one.

        Raises:
            ProcessLost: The process that should load them was lost, so nothing is known.
        """
        try:
            found = score_in_fresh_process(files, self._dataset.judge, self._judge_labels)
        except ValueError as error:
            logger.warning("the model does not reload: %s", error)
            return None
        fitted = FittedPriorRecord.of(files)
        expected = float(recorded.neg_elbo.mean())
        if fitted is not None and fitted.judge_neg_elbo is not None:
            expected = fitted.judge_neg_elbo
        return max(abs(found.neg_elbo - expected), found.saved_model_difference)

    def sample_quality(self, files: Mapping[str, bytes]) -> SampleQuality:
        """The Fréchet distance between generated and judge images: draws of binarised pixels, means of all others.

        Black and white images are draws themselves, and a grey mean is none of their kind. Of grey and coloured ones
        people see the means, and independent noise of each pixel would drown what tells two models apart.
        """
        held_out = self._dataset.judge[:COMPARED_IMAGES]
        model = _model_of(files)
        levels, kind = self._dataset.pixels.levels, ""
        labels = None if self._judge_labels is None else self._judge_labels[: len(held_out)]  # as many of each class
        if levels == BINARY:
            made = model.draw(len(held_out), seed=COMPARED_SEED, labels=labels)
        else:
            means = model.sample(len(held_out), seed=COMPARED_SEED, labels=labels)
            made, kind = np.rint(means * (levels - 1)).astype(np.uint8), "_of_means"
        found = sample_quality(self._space, made, held_out=held_out, train=self._train)
        return SampleQuality(metric=found.metric + kind, value=found.frechet, standard_error=found.frechet_se)

    def held_out_share_in_train(self) -> float:
        """Share of images that equal a training image, of the held-out part with most of them."""
        return self._dataset.summary.held_out_share_in_train

    def importance_ladder(self, files: Mapping[str, bytes]) -> Sequence[LadderStep]:
        """IWAE-50, -500 and -5000 on 500 judge images; half a minute per core for 28×28 images and a 2×256 MLP."""
        model = _model_of(files)
        return judge_ladder(model.trained, model.description, JudgeTask.of(self._dataset))

    def test_score(self, files: Mapping[str, bytes]) -> TestScore:
        """IWAE-500 on the test images."""
        model = _model_of(files)
        found = judge(model.trained, model.description, JudgeTask.of_test(self._dataset))
        return TestScore(
            neg_elbo=float(found.neg_elbo.mean()),
            neg_iwae=-float(found.iwae.mean()),
            iwae_k=found.iwae_k,
            standard_error=found.standard_error,
            images=len(found.iwae),
        )

    def _fitted(
        self, description: ModelDescription, weights: Mapping[str, np.ndarray]
    ) -> tuple[FittedPrior, FittedPriorRecord]:
        """A model with a fitted prior, and what that has gained; the select images decide whether it stays."""
        fitted = fit_prior(description, weights, TrainingTask.of(self._dataset), components=self._fit_prior)
        found = FittedPriorRecord(
            components=self._fit_prior,
            kept=fitted.is_better,
            gain=fitted.gain,
            standard_error=fitted.standard_error,
            iwae_k=fitted.iwae_k,
            images=fitted.images,
        )
        if not found.kept:
            return fitted, found
        judged = judge(fitted.weights, fitted.description, JudgeTask.of(self._dataset))
        return fitted, replace(
            found,
            judge_neg_elbo=float(judged.neg_elbo.mean()),
            judge_neg_iwae=float(judged.neg_iwae.mean()),
            judge_iwae_k=judged.iwae_k,
        )

    @cached_property
    def _dataset(self) -> Dataset:
        return self._load()

    @property
    def _judge_labels(self) -> np.ndarray | None:
        """Labels of the judge images, of a conditional task."""
        return JudgeTask.of(self._dataset).labels

    @cached_property
    def _space(self) -> FeatureSpace:
        return feature_space_of(TrainingTask.of(self._dataset), JudgeTask.of(self._dataset))

    @cached_property
    def _train(self) -> PixelArray:
        return feature_train_images(TrainingTask.of(self._dataset))


def _model_of(files: Mapping[str, bytes]) -> VaeModel:
    """A version's model, from its files."""
    return VaeModel.from_version(files[CONFIG_FILE], files[WEIGHTS_FILE], saved_model=files)
