import hashlib
from dataclasses import replace

import numpy as np
import pytest

from vae_search.core.measurements import Diverged
from vae_search.spec.hyperparameters import Config
from vae_search.vae.networks.network import build
from vae_search.vae.objective.evaluation_size import EVALUATION_BATCH
from vae_search.vae.training.plan import TrainingPlan

pytestmark = pytest.mark.needs_tensorflow

FAMILIES = {
    "mlp": Config(architecture="mlp", latent_dim=6, depth=2, width=32, batch_size=64, activation="gated"),
    "pyramid": Config(architecture="pyramid", latent_dim=6, depth=2, width=32, batch_size=64),
    "conv": Config(
        architecture="conv",
        latent_dim=6,
        depth=2,
        width=4,
        batch_size=128,
        activation="elu",
        grad_clip=2.0,
        weight_decay=1e-4,
        free_bits=0.05,
        kl_warmup_epochs=2,
    ),
    "resnet": Config(architecture="resnet", latent_dim=6, depth=2, blocks=2, width=4, batch_size=64, grad_clip=2.0),
    "hvae": Config(
        architecture="hvae", latent_dim=7, depth=1, width=24, batch_size=64, activation="gated", free_bits=0.05
    ),
    "hvae_conv": Config(
        architecture="hvae_conv",
        latent_dim=7,
        depth=2,
        width=4,
        batch_size=128,
        activation="elu",
        grad_clip=2.0,
        free_bits=0.05,
        kl_warmup_epochs=2,
    ),
}


def digest(weights: dict[str, np.ndarray]) -> str:
    return hashlib.sha256(b"".join(weights[name].tobytes() for name in sorted(weights))).hexdigest()


def train(run, epochs: int):
    return [run.train_epoch() for _ in range(epochs)]


def without_clocks(measurement) -> tuple:
    return tuple(getattr(measurement, name) for name in measurement.__dataclass_fields__ if not name.endswith("_s"))


def test_training_beats_the_model_without_latents(trainer, task, plan):
    run = trainer.start(FAMILIES["mlp"], plan, seed=1)
    mean = np.clip(task.pixels.mean, 0.001, 0.999)
    without_latents = -np.mean(
        np.sum(task.select * np.log(mean) + (1 - task.select) * np.log(1 - mean), axis=(1, 2, 3))
    )

    values = [measurement.neg_elbo for measurement in train(run, 12)]

    assert values[0] > values[5] > values[11]
    assert values[11] < without_latents


def test_a_kept_graph_starts_the_next_trial_as_if_nothing_had_run_before(trainer, plan):
    config = FAMILIES["mlp"]
    first = [without_clocks(m) for m in train(trainer.start(config, plan, seed=5), 2)]
    train(trainer.start(config, plan, seed=6), 3)

    again = [without_clocks(m) for m in train(trainer.start(config, plan, seed=5), 2)]

    assert again == first


def test_trials_on_one_kept_graph_may_differ_in_every_scalar(trainer, plan):
    config = FAMILIES["mlp"]
    other = Config.from_params(
        {
            **{name: getattr(config, name) for name in ("latent_dim", "depth", "width", "batch_size", "activation")},
            "beta": 4.0,
            "learning_rate": 3e-3,
        }
    )

    plain, weighted = (train(trainer.start(c, plan, seed=5), 3)[-1] for c in (config, other))

    assert weighted.rate < plain.rate
    assert (plain.beta, weighted.beta) == (1.0, 4.0)
    assert weighted.learning_rate == pytest.approx(3e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_of_the_same_weights_do_not_depend_on_what_only_training_knows(family, trainer, task):
    runs = {}
    for beta, clip in ((0.1, 0.0), (10.0, 5.0)):
        config = replace(FAMILIES[family], batch_size=64 if clip else 128, beta=beta, grad_clip=clip)
        plan = TrainingPlan(
            epochs=4, lr_schedule="cosine", ema_decay=0.9, log_variance_clamp=(-6.0, 2.0), likelihood="bernoulli"
        )
        run = trainer.start(config, plan, seed=1)
        runs[beta] = run
    weights = list(runs[0.1].averaged_weights().values())

    first, second = (run._graph.evaluator for run in runs.values())

    assert first is not second
    assert first.neg_elbo(weights, task.select) == second.neg_elbo(weights, task.select)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_evaluation_of_a_part_agrees_with_the_whole(family, trainer, task, plan):
    run = trainer.start(FAMILIES[family], plan, seed=2)
    evaluator, weights = run._graph.evaluator, run._graph.averages
    images = np.concatenate([task.select, task.select])[: EVALUATION_BATCH + 30]

    whole, part = (evaluator.evaluate(weights, some, draws=12) for some in (images, images[:100]))

    np.testing.assert_allclose(whole.neg_elbo[:100], part.neg_elbo, rtol=2e-6)
    assert len(whole.neg_elbo) == EVALUATION_BATCH + 30


def test_the_importance_weighted_bound_is_taken_where_the_sweep_ranks_by_it_and_survives_a_resume(trainer, plan):
    config, ranked = FAMILIES["mlp"], replace(plan, iwae_epochs=frozenset([2, 4]))
    whole = trainer.start(config, ranked, seed=9)
    train(whole, 2)
    state, measurements = whole.state(), list(whole.measurements)
    train(whole, 2)
    scores, expected = whole.scores(), [without_clocks(m) for m in whole.measurements]

    continued = trainer.start(config, ranked, seed=9)
    continued.restore(state, measurements)
    train(continued, 2)

    assert [m.iwae is not None for m in whole.measurements] == [False, True, False, True]
    assert [m.neg_bound for m in whole.measurements[:2]] == [measurements[0].neg_elbo, -measurements[1].iwae]
    assert scores.neg_bound == -scores.iwae == whole.measurements[-1].neg_bound < scores.neg_elbo
    assert [without_clocks(m) for m in continued.measurements] == expected


@pytest.mark.parametrize("family", ["mlp", "conv"])
def test_bfloat16_trains_other_bits_to_nearly_the_same_bound_which_is_taken_in_float32(family, trainer, plan):
    rounded, exact = (replace(plan, precision=precision) for precision in ("bfloat16", "float32"))
    runs = [trainer.start(FAMILIES[family], each, seed=9) for each in (rounded, exact)]
    trained = train(runs[0], 4)
    scores, weights = runs[0].scores(), list(runs[0].averaged_weights().values())

    exact_again = trainer.start(FAMILIES[family], exact, seed=9)
    expected = train(exact_again, 4)

    assert trained[-1].train_neg_elbo != expected[-1].train_neg_elbo
    assert trained[-1].neg_elbo == pytest.approx(expected[-1].neg_elbo, rel=0.01)
    distortion, rate = exact_again._graph.evaluator.neg_elbo(weights, trainer.task.select)
    assert scores.neg_elbo == distortion + rate


def test_a_learning_rate_that_explodes_ends_as_diverged(trainer, plan):
    config = Config(latent_dim=6, depth=8, width=32, batch_size=64, learning_rate=1.0, activation="gated")
    run = trainer.start(config, plan, seed=1)

    with pytest.raises(Diverged, match="epoch"):
        train(run, 40)


def test_warm_up_rises_linearly_to_beta(trainer, plan):
    config = Config(latent_dim=6, depth=1, width=16, batch_size=64, beta=2.0, kl_warmup_epochs=4)

    betas = [m.beta for m in train(trainer.start(config, plan, seed=1), 5)]

    assert betas == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0])


def test_the_cosine_schedule_ends_near_zero(trainer):
    plan = TrainingPlan(
        epochs=4, lr_schedule="cosine", ema_decay=0.999, log_variance_clamp=(-6.0, 2.0), likelihood="bernoulli"
    )
    config = Config(latent_dim=6, depth=1, width=16, batch_size=64, learning_rate=1e-3)

    rates = [m.learning_rate for m in train(trainer.start(config, plan, seed=1), 4)]

    assert rates == pytest.approx([1e-3, 1e-3 * 0.5 * (1 + 2**-0.5), 5e-4, 1e-3 * 0.5 * (1 - 2**-0.5)], rel=1e-4)


def test_clipping_at_a_tight_limit_clips_and_is_counted(trainer, plan):
    config = Config(latent_dim=6, depth=1, width=16, batch_size=64, grad_clip=0.2)

    last = train(trainer.start(config, plan, seed=1), 2)[-1]

    assert last.clip_share > 0.5
    assert last.skipped_steps == 0


def test_scores_describe_a_healthy_model(trainer, task, plan):
    run = trainer.start(FAMILIES["mlp"], replace(plan, epochs=14), seed=1)
    train(run, 14)

    scores, costs = run.scores(), run.costs()

    assert scores.neg_elbo == pytest.approx(scores.distortion + scores.rate)
    assert sum(scores.kl_per_dimension) == pytest.approx(scores.rate, rel=1e-4)
    assert -scores.neg_elbo < scores.iwae < -task.floor
    assert scores.iwae_k == 16
    assert 1 <= scores.active_units <= 6
    assert scores.shuffle_gap > 1.0
    assert 0.1 < scores.mutual_information <= np.log(len(task.select))
    assert scores.mutual_information + scores.marginal_kl == pytest.approx(scores.rate, rel=1e-4)
    assert scores.floor_excess == pytest.approx(scores.neg_elbo - task.floor)
    assert scores.bits_per_dim == pytest.approx(scores.neg_elbo / (64 * np.log(2)))
    assert scores.instability is not None
    assert scores.instability.total >= 0
    assert costs.train_flops == 3.0 * build(run.network_spec).forward_flops * 14 * 1280
    assert costs.peak_memory_bytes > 10**8


@pytest.mark.parametrize(("epochs", "is_measured"), [(11, False), (12, True)])
def test_all_configs_of_a_sweep_have_an_instability_or_none_has(trainer, plan, epochs, is_measured):
    of_sweep = replace(plan, epochs=epochs, longest_warmup_epochs=4)

    for warmup in (0, 4):
        config = Config(latent_dim=6, depth=1, width=16, batch_size=256, kl_warmup_epochs=warmup)
        run = trainer.start(config, of_sweep, seed=1)
        train(run, epochs)
        assert (run.scores().instability is not None) is is_measured


def test_frozen_and_collapsed_trainings_are_the_least_stable(trainer, plan):
    settings = {"latent_dim": 6, "depth": 1, "width": 32, "batch_size": 32}
    configs = {
        "healthy": Config(**settings, learning_rate=1e-2),
        "frozen": Config(**settings, learning_rate=1e-9),
        "collapsed": Config(**settings, learning_rate=1e-2, beta=100.0),
    }
    found = {}
    for name, config in configs.items():
        run = trainer.start(config, replace(plan, epochs=20), seed=1)
        train(run, 20)
        found[name] = run.scores().instability

    assert found["healthy"].total < 0.2
    assert found["frozen"].stagnation > 1.0
    assert found["collapsed"].stagnation > 1.0
