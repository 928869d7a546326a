"""Models that are really bad, trained or damaged here, and the gates that stop them."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.support.sweeps import Session
from vae_search.core.trial_state import State
from vae_search.data.dataset import Dataset, load_dataset
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.registry.promotion.evidence import Candidate
from vae_search.registry.promotion.gate_results import GateInputs
from vae_search.registry.promotion.gates import judge
from vae_search.spec.sections import DataSpec
from vae_search.store.backends.base import Store
from vae_search.store.ledger import artifacts
from vae_search.store.ledger.artifacts import MODEL_FILE, PER_IMAGE_FILE, WEIGHTS_FILE
from vae_search.store.ledger.confirm_runs import ConfirmRuns
from vae_search.store.ledger.image_bounds_file import bounds_from_parquet
from vae_search.vae.inference.npz import arrays_of
from vae_search.vae.inference.reload_check import score_in_fresh_process
from vae_search.vae.inference.saved_model import model_files
from vae_search.vae.networks.model_config import ModelDescription

pytestmark = pytest.mark.needs_tensorflow

NOT_MEASURED = GateInputs(
    reload_difference=0.0, sample_quality=None, champion_sample_quality=None, held_out_share_in_train=0.0
)
HEALTHY = ("search_space={latent_dim: 6, learning_rate: 3e-3, depth: 1, width: 64, batch_size: 32}", "budget.epochs=30")


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Dataset:
    return load_dataset(DataSpec(source="digits"), cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture
def train_images() -> int:
    return 1200


@pytest.fixture
def small_task(digits, train_images) -> TrainingTask:
    whole = TrainingTask.of(digits)
    return replace(whole, train=whole.train[:train_images])


@pytest.fixture
def judge_task(digits) -> JudgeTask:
    return JudgeTask.of(digits)


@pytest.fixture
def confirmed(open_session: Callable[..., Session], store: Store) -> Callable[..., Candidate]:
    """The candidate of a sweep of one config with three confirmed seeds."""

    def run(*overrides: str) -> Candidate:
        session = open_session(
            "confirm={finalists: 1, seeds: 3}", "budget.trials=1", "pruning=off", *HEALTHY, *overrides
        )
        session.run()
        rows = ConfirmRuns(store, "small").rows()
        bounds = {}
        for row in rows:
            if row.state is State.COMPLETE:
                files = artifacts.load(store, "small", row.key, sha256=row.artifact_sha256)
                bounds[row.confirm_seed] = bounds_from_parquet(files[PER_IMAGE_FILE], where=row.key)
        return Candidate(rows=tuple(rows), bounds=bounds)

    return run


def stopped_by(candidate: Candidate) -> set[str]:
    return {gate.name for gate in judge(candidate, NOT_MEASURED, {}) if not gate.passed} - {"sample_quality"}


def test_a_healthy_model_passes(confirmed):
    # With 1,200 images seeds differ by more than the usual limit.
    assert stopped_by(confirmed()) <= {"seed_spread"}


def test_a_model_whose_beta_collapsed_its_code_is_stopped(confirmed):
    assert {"rate", "active_units", "shuffle_gap"} <= stopped_by(confirmed("search_space.beta=100"))


@pytest.mark.exhaustive
def test_an_autoencoder_without_a_prior_is_stopped(confirmed):
    assert "learned" in stopped_by(confirmed("search_space.beta=1e-6", "search_space.latent_dim=32"))


def test_a_model_that_still_warms_up_is_refused_before_it_is_trained(confirmed):
    with pytest.raises(Exception, match="the warm-up must end before"):
        confirmed("search_space.kl_warmup_epochs=30")


@pytest.mark.exhaustive
def test_a_config_with_a_seed_that_diverges_is_stopped(confirmed, monkeypatch):
    from vae_search.core.measurements import Diverged
    from vae_search.vae.training.training_run import TrainingRun

    train_epoch, trained = TrainingRun.train_epoch, []

    def diverges_in_the_third_training(run: TrainingRun):
        if run.epoch == 0:
            trained.append(run)
        if len(trained) == 3 and run.epoch == 4:
            raise Diverged("the loss of step 7 in epoch 5 is nan")
        return train_epoch(run)

    monkeypatch.setattr(TrainingRun, "train_epoch", diverges_in_the_third_training)

    candidate = confirmed()

    assert [row.state for row in candidate.rows].count(State.FAIL) == 1
    assert {"seeds", "completed"} <= stopped_by(candidate)


@pytest.mark.parametrize("train_images", [160])
@pytest.mark.exhaustive
def test_an_overfitted_model_is_stopped(confirmed, train_images):
    candidate = confirmed("search_space.width=256", "search_space.beta=0.1", "budget.epochs=150", "ema_decay=0")

    assert "generalisation" in stopped_by(candidate)


def test_weights_that_are_not_numbers_do_not_reload(confirmed, store, judge_task):
    row = confirmed().rows[0]
    files = artifacts.load(store, "small", row.key, sha256=row.artifact_sha256)
    description, weights = ModelDescription.from_json(files[MODEL_FILE]), arrays_of(files[WEIGHTS_FILE])
    first = next(iter(weights))
    spoiled = {**weights, first: np.full_like(weights[first], math.nan)}

    with pytest.raises(ValueError, match="finite"):
        score_in_fresh_process(model_files(description, spoiled), judge_task.images)


@pytest.mark.exhaustive
def test_weights_that_were_tampered_with_do_not_score_what_was_recorded(confirmed, store, judge_task):
    row = confirmed().rows[0]
    files = artifacts.load(store, "small", row.key, sha256=row.artifact_sha256)
    description, weights = ModelDescription.from_json(files[MODEL_FILE]), arrays_of(files[WEIGHTS_FILE])
    last = list(weights)[-1]
    tampered = model_files(description, {**weights, last: weights[last] + 0.5})
    recorded = bounds_from_parquet(files[PER_IMAGE_FILE], where="bounds").neg_elbo.mean()

    difference = abs(score_in_fresh_process(tampered, judge_task.images).neg_elbo - recorded)

    verdicts = judge(confirmed_again(row, files), replace(NOT_MEASURED, reload_difference=difference), {})
    assert not next(gate for gate in verdicts if gate.name == "reload").passed


def confirmed_again(row, files) -> Candidate:
    bounds = bounds_from_parquet(files[PER_IMAGE_FILE], where="bounds")
    return Candidate(rows=(row,), bounds={row.confirm_seed: bounds})
