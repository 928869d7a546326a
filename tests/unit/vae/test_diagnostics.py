import math

import numpy as np
import pytest

from vae_search.vae.training.diagnostics import (
    MIN_EVALUATIONS,
    SPIKE_WINDOW_STEPS,
    active_units,
    bits_per_dim,
    instability,
    spike_excess,
)


def test_a_smoothly_falling_curve_has_no_instability():
    curve = [100.0 + 50.0 * math.exp(-epoch / 10) for epoch in range(45)]

    found = instability(curve, [0.0] * 45, warmup_epochs=0)

    assert found.regression == 0.0
    assert found.roughness < 0.05
    assert found.total == found.roughness


def test_roughness_of_white_noise_is_its_standard_deviation():
    noise = np.random.default_rng(1).normal(0.0, 0.7, 4000)

    found = instability(list(100.0 + noise), [0.0] * 4000, warmup_epochs=0)

    assert found.roughness == pytest.approx(0.7, rel=0.05)


def test_a_final_rise_is_a_regression_of_its_height():
    curve = [*np.linspace(120, 100, 20), 103.0, 103.0, 103.0]

    found = instability(curve, [0.0] * len(curve), warmup_epochs=0)

    assert found.regression == pytest.approx(3.0)


def test_the_epochs_of_the_warm_up_do_not_count():
    curve = [10.0] * 5 + [100.0] * MIN_EVALUATIONS

    found = instability(curve, [0.0] * len(curve), warmup_epochs=5)

    assert found.total == 0.0


def test_too_few_evaluations_are_refused_with_their_number():
    with pytest.raises(ValueError, match=r"got 11"):
        instability([1.0] * 11, [0.0] * 11, warmup_epochs=0)


def test_a_spike_counts_with_its_height_above_the_usual_noise():
    losses = np.full(300, 100.0)
    losses[250] = 140.0

    excess = spike_excess(np.zeros(0), losses)

    assert excess[250] == pytest.approx(40.0)
    assert np.count_nonzero(excess) == 1


def test_spikes_are_found_the_same_when_training_continues_in_another_call():
    losses = np.random.default_rng(2).normal(100.0, 1.0, 500)
    losses[[230, 260, 420]] += 50.0

    whole = spike_excess(np.zeros(0), losses)
    first = spike_excess(np.zeros(0), losses[:240])
    second = spike_excess(losses[:240][-SPIKE_WINDOW_STEPS:], losses[240:])

    np.testing.assert_array_equal(np.concatenate([first, second]), whole)
    assert np.count_nonzero(whole) == 3


def test_steps_without_a_full_window_before_them_have_no_excess():
    losses = np.full(SPIKE_WINDOW_STEPS, 100.0)
    losses[50] = 1000.0

    assert spike_excess(np.zeros(0), losses).sum() == 0.0


def test_a_latent_is_active_if_its_mean_varies_over_images():
    means = np.zeros((1000, 3))
    means[:, 1] = np.random.default_rng(3).normal(0, 1, 1000)
    means[:, 2] = 5.0

    assert active_units(means) == 1


def test_bits_per_dim_of_published_values():
    # Exemplar-VAE table: 84.45 and 228.70 nats on 28×28 images.
    assert bits_per_dim(84.45, 784) == pytest.approx(0.1554, abs=1e-4)
    assert bits_per_dim(228.70, 784) == pytest.approx(0.4208, abs=1e-4)
