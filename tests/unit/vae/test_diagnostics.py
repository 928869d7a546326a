import numpy as np
import pytest

from vae_search.vae.training.diagnostics import (
    SPIKE_WINDOW_STEPS,
    active_units,
    bits_per_dim,
    instability,
    spike_excess,
)

BASELINE, FLOOR = 380.0, 180.0
EPOCHS = np.arange(1, 41)


def of(held_out, training=None, *, spikes=(0.0,), warmup_epochs=0, rate=10.0):
    """Instability of a curve, the training bound falling and rising with the held-out one unless it is given."""
    return instability(
        list(held_out),
        list(held_out if training is None else training),
        list(spikes),
        warmup_epochs=warmup_epochs,
        rate=rate,
        baseline=BASELINE,
        floor=FLOOR,
    )


@pytest.mark.parametrize("epochs", [8, 12, 27, 45, 200])
@pytest.mark.parametrize(
    "fall",
    [
        lambda t: 240 + 140 * np.exp(-t / 2),  # fast
        lambda t: 240 + 140 * np.exp(-t / 40),  # slow
        lambda t: 230 + 150 / t,
        lambda t: 240 + 30 / t,
        lambda t: 240 + 100 / (1 + np.exp(t - 6)),  # nothing for long, then all at once
    ],
    ids=["exponential, fast", "exponential, slow", "power, fast", "power, slow", "late start"],
)
def test_a_falling_curve_has_no_instability_however_fast_and_bent_it_is(fall, epochs):
    assert of(fall(np.arange(1.0, epochs + 1))).total == 0.0


@pytest.mark.parametrize("epochs", [8, 12, 27, 45, 90, 200])
@pytest.mark.parametrize(
    ("sigma", "limit"),
    [(0.05, 0.003), (0.1, 0.02), (0.2, 0.06), (1.0, 0.42)],  # nats; the tolerance is 0.1
)
def test_white_noise_costs_nothing_below_the_tolerance_and_half_of_itself_above_at_any_length(epochs, sigma, limit):
    random = np.random.default_rng(epochs)
    curves = 290.0 + sigma * random.standard_normal((300, 2, epochs))

    found = [of(held_out, training) for held_out, training in curves]

    assert np.mean([one.total for one in found]) < limit
    assert np.mean([one.regression > 0 for one in found]) <= 0.01


def test_noise_beyond_the_tolerance_is_roughness_that_grows_with_it():
    noise = np.random.default_rng(1).standard_normal(4000)

    quiet, loud = (of(230.0 + sigma * noise).roughness for sigma in (1.0, 5.0))

    assert 0.2 < quiet < 0.45
    assert 5 * quiet < loud < 5 * 0.45


def test_a_final_rise_is_a_regression_of_its_height():
    curve = [*np.linspace(320, 300, 20), 303.0, 303.0, 303.0]

    found = of(curve)

    assert found.regression == pytest.approx(303 - 301.05, abs=0.01)  # 301.05: the median of the best three
    assert found.roughness == pytest.approx((3.0 - 0.1) / 22)  # one rise in 22, less the tolerance


def test_overfitting_is_no_instability():
    held_out = 229.2 + 40 * np.exp(-EPOCHS / 4) + np.maximum(0, 0.3 * (EPOCHS - 18))
    training = 225.0 + 40 * np.exp(-EPOCHS / 6)

    assert of(held_out, training).total == 0.0
    assert of(held_out, held_out).regression == pytest.approx(0.3 * 19.5, abs=0.2)  # in training it is


def test_a_model_that_is_better_at_every_epoch_is_never_ranked_behind_at_any_weight():
    t = np.arange(1, 28)
    ends_low = 229.2 + 40 * np.exp(-t / 4) + np.maximum(0, 0.05 * (t - 18))  # overfits a little
    stays_flat = 229.75 + 40 * np.exp(-t / 4)
    training = 228.0 + 40 * np.exp(-t / 4)
    assert (ends_low < stays_flat).all()

    for weight in (0.0, 0.3, 1.0, 3.0):
        first, second = (curve[-1] + weight * of(curve, training).total for curve in (ends_low, stays_flat))
        assert first < second


@pytest.mark.parametrize(
    ("curve", "rate"),
    [
        (np.full(27, BASELINE), 0.0),  # collapsed from the start
        (np.full(27, BASELINE + 6.0), 4.0),  # frozen at its first weights
        (np.linspace(BASELINE, BASELINE - 10, 27), 4.0),  # as good as frozen
        (np.full(27, BASELINE - 30.0), 0.2),  # better than the mean image, without using its code
    ],
)
def test_a_training_that_has_learned_nothing_is_less_stable_than_a_noisy_one(curve, rate):
    noisy = 240.0 + 140 * np.exp(-EPOCHS / 4) + np.random.default_rng(4).standard_normal(40)

    found = of(curve, rate=rate)

    assert found.total == found.stagnation > 5 * of(noisy).total > 0


def test_nats_that_were_lost_again_are_counted_once():
    curve = [*np.linspace(360, 260, 20), *np.full(7, BASELINE)]

    found = of(curve, rate=0.0)

    assert found.regression > 100
    assert found.stagnation == 0.0


def test_a_training_that_recovers_is_less_unstable_the_sooner_and_the_smaller_its_fall_was():
    healthy = 240 + 140 * np.exp(-EPOCHS / 4)
    totals = []
    for height in (0.0, 5.0, 40.0):
        curve = healthy + height * np.where(EPOCHS >= 20, np.exp(-(EPOCHS - 20) / 3), 0)
        totals.append(of(curve).total)

    assert totals[0] == 0.0
    assert 5 * totals[1] < totals[2]


def test_the_epochs_of_the_warm_up_do_not_count():
    curve = [200.0, 300.0] * 3 + [240.0] * 8

    assert of(curve, warmup_epochs=6).total == 0.0
    assert of(curve).total > 5.0


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 5])
def test_a_training_that_stopped_early_has_an_instability_as_well(epochs):
    assert of(np.linspace(300, 250, epochs)).total == 0.0
    assert of(np.full(epochs, BASELINE), rate=0.0, warmup_epochs=4).stagnation == pytest.approx(20.0)


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
