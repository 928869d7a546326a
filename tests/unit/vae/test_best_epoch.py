"""The averages of the best epoch: kept, scored, and carried through a state."""

from dataclasses import replace

import numpy as np
import pytest

from vae_search.spec.hyperparameters import Config
from vae_search.vae.training.plan import TrainingPlan
from vae_search.vae.training.trainer import Trainer

pytestmark = pytest.mark.needs_tensorflow

# On 96 images the bound stops falling after a few epochs, and rises in between.
CONFIG = Config(latent_dim=4, depth=1, width=64, batch_size=16, learning_rate=1e-2, kl_warmup_epochs=2)
EPOCHS = 14


@pytest.fixture(scope="module")
def plan() -> TrainingPlan:
    return TrainingPlan(
        epochs=EPOCHS, lr_schedule="constant", ema_decay=0.999, log_variance_clamp=(-6.0, 2.0), likelihood="bernoulli"
    )


@pytest.fixture(scope="module")
def few(task):
    return replace(task, train=task.train[:96])


@pytest.fixture(scope="module")
def trainer(few) -> Trainer:
    return Trainer(few, threads=1)


def averages(run) -> list[np.ndarray]:
    return [average.numpy() for average in run._graph.averages]


def equal(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def test_the_weights_of_the_epoch_with_the_least_bound_after_warm_up_are_kept_and_scored(trainer, few, plan):
    run = trainer.start(CONFIG, plan, seed=3)
    by_epoch = []
    for _ in range(EPOCHS):
        run.train_epoch()
        by_epoch.append(averages(run))
    bounds = [measurement.neg_elbo for measurement in run.measurements]
    best = 2 + int(np.argmin(bounds[2:])) + 1

    scores = run.scores()

    assert best < EPOCHS  # else this shows nothing
    assert (run.best_epoch, scores.best_epoch) == (best, best)
    kept = list(run.averaged_weights().values())
    assert equal(kept, by_epoch[best - 1])
    assert not equal(kept, by_epoch[-1])
    distortion, rate = run._graph.evaluator.neg_elbo(kept, few.select)
    assert (scores.distortion, scores.rate, scores.neg_elbo) == (distortion, rate, bounds[best - 1])
    assert sum(scores.kl_per_dimension) == pytest.approx(rate, rel=1e-4)
    assert scores.generalisation_gap == pytest.approx(scores.neg_elbo - scores.train_neg_elbo)
    assert scores.floor_excess == pytest.approx(scores.neg_elbo - few.floor)
    assert scores.logvar_clamp_share == run.measurements[best - 1].clamped_share


def test_what_is_kept_is_not_changed_by_further_training(trainer, plan):
    run = trainer.start(CONFIG, plan, seed=3)
    kept = {}
    for _ in range(EPOCHS):
        run.train_epoch()
        before = kept.setdefault(run.best_epoch, [array.copy() for array in run.averaged_weights().values()])
        assert equal(list(run.averaged_weights().values()), before)


@pytest.mark.parametrize("halted_at", [1, 2, 3, 5, 9, 13])
def test_a_run_that_continues_after_any_epoch_keeps_the_same_bits_and_scores(trainer, plan, halted_at):
    whole = trainer.start(CONFIG, plan, seed=3)
    states = {}
    for _ in range(EPOCHS):
        whole.train_epoch()
        if whole.epoch == halted_at:
            states = {name: array.copy() for name, array in whole.state().items()}
            measurements = list(whole.measurements)
    expected, weights = whole.scores(), list(whole.averaged_weights().values())

    trainer.start(replace(CONFIG, learning_rate=1e-3), plan, seed=99).train_epoch()
    continued = trainer.start(CONFIG, plan, seed=3)
    continued.restore(states, measurements)
    while not continued.is_over:
        continued.train_epoch()

    assert continued.scores() == expected
    assert whole.state().keys() == continued.state().keys()
    assert equal(list(continued.state().values()), list(whole.state().values()))
    assert equal(list(continued.averaged_weights().values()), weights)


def test_a_state_holds_one_more_copy_of_the_weights_only_where_they_are_not_the_averages(trainer, plan):
    run = trainer.start(CONFIG, plan, seed=3)
    for _ in range(EPOCHS):
        run.train_epoch()
        copies = sum(name.startswith("best/") for name in run.state())
        assert copies == (0 if run.best_epoch == run.epoch else len(run._network.names))


def test_a_state_without_the_best_epochs_weights_is_refused(trainer, plan):
    run = trainer.start(CONFIG, plan, seed=3)
    for _ in range(EPOCHS):
        run.train_epoch()
    state = {name: array for name, array in run.state().items() if not name.startswith("best/")}

    with pytest.raises(ValueError, match="must hold the weights of the best epoch"):
        trainer.start(CONFIG, plan, seed=3).restore(state, run.measurements)


def test_patience_ends_a_run_before_the_plan_does(trainer, plan):
    run = trainer.start(CONFIG, replace(plan, epochs=200, patience=2), seed=3)

    while not run.is_over:
        run.train_epoch()

    assert 2 + 12 <= run.epoch < 200
    assert run.epoch - run.best_epoch >= 2
