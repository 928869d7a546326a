"""Estimates hold the evaluation: its time, and the memory of the images and draws that it has at once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vae_search.data.dataset import Dataset, load_dataset
from vae_search.data.tasks import TrainingTask
from vae_search.services import cost_estimate
from vae_search.services.cost_estimate import Estimate, estimate
from vae_search.spec.sections import DataSpec
from vae_search.spec.sweep_spec import parse_spec

SPEC = """
name: costs
data: {source: a, binarize: none}
likelihood: gaussian
search_space: {architecture: conv, latent_dim: 4, depth: 2, width: 8, batch_size: 16}
budget: {trials: 4, epochs: 2}
confirm: {finalists: 0}
"""


@pytest.fixture(autouse=True)
def steady_machine(monkeypatch) -> None:
    monkeypatch.setattr(cost_estimate, "matrix_flops_per_s", lambda: 1e9)


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).integers(0, 256, (300, 32, 32, 3), np.uint8))
    return load_dataset(DataSpec(source=str(tmp_path / "a.npy"), binarize="none"), cache=tmp_path)


def estimated(dataset: Dataset, *overrides: str, **parts: int) -> Estimate:
    images = replace(dataset.summary, parts={**dataset.summary.parts, **parts})
    return estimate(parse_spec(SPEC, base=Path(), overrides=overrides), TrainingTask.of(dataset), images)


def test_confirm_runs_are_judged_for_as_long_as_their_images_take(dataset):
    few, many = (estimated(dataset, "confirm={finalists: 1, seeds: 3}", judge=count).time_s for count in (25, 2500))

    assert many > 10 * few


def test_a_test_of_a_candidate_takes_its_time(dataset):
    wanted = ("confirm={finalists: 1, seeds: 3}", "promote={model: m}")

    assert estimated(dataset, *wanted, test=2500).time_s > 1.5 * estimated(dataset, *wanted, test=25).time_s


def test_a_worker_needs_memory_for_the_images_that_are_evaluated_at_once(dataset):
    few, full, more = (estimated(dataset, select=count) for count in (25, 500, 5000))

    assert few.memory_bytes < full.memory_bytes == more.memory_bytes
    assert (full.memory_bytes - few.memory_bytes) / full.slots > 4 * 475 * 32 * 32 * 3 * 2


def test_a_worker_needs_memory_for_a_training_step(dataset):
    small, large = (estimated(dataset, f"search_space.batch_size={size}", select=2).memory_bytes for size in (16, 200))

    assert large > small


SEVERAL = ("objective={bound: iwae}", "search_space.bound_samples=16")


def test_draws_of_the_bound_that_is_trained_take_their_time_in_the_last_epochs_alone(dataset):
    early, late = (
        estimated(dataset, *SEVERAL, f"search_space.iwae_from={share}", "budget.epochs=10", "pruning=off").time_s
        for share in (0.0, 0.9)
    )
    one = estimated(dataset, "objective={bound: iwae}", "budget.epochs=10", "pruning=off").time_s

    assert early - one == pytest.approx(10 * (late - one), rel=0.1)


def test_a_worker_needs_memory_for_every_draw_of_a_step(dataset):
    one, several = (
        estimated(dataset, *settings, "search_space.batch_size=200", select=2).memory_bytes
        for settings in ((), SEVERAL)
    )

    assert several > one + 15 * 200 * 4 * 32 * 32 * 3 * 2
