"""Learning rate of `wsd`: constant in trials, and in confirm runs until their last fifth."""

import pytest

from vae_search.spec.hyperparameters import Config
from vae_search.vae.training.plan import TrainingPlan
from vae_search.vae.training.trainer import Trainer

pytestmark = pytest.mark.needs_tensorflow

CONFIG = Config.from_params({"latent_dim": 2, "width": 16, "depth": 1, "batch_size": 64, "learning_rate": 1e-3})


def plan_of(schedule: str) -> TrainingPlan:
    return TrainingPlan(
        epochs=5, lr_schedule=schedule, ema_decay=0.999, log_variance_clamp=(-6.0, 2.0), likelihood="bernoulli"
    )


def rates(task, plan: TrainingPlan) -> list[float]:
    run = Trainer(task, threads=1).start(CONFIG, plan, seed=0)
    return [run.train_epoch().learning_rate for _ in range(plan.epochs)]


def test_trials_stay_at_their_rate(small_task):
    assert rates(small_task, plan_of("wsd")) == pytest.approx([1e-3] * 5)


def test_confirm_runs_decay_to_nothing_over_their_last_fifth(small_task):
    found = rates(small_task, plan_of("wsd").confirming(10))

    assert found[:9] == pytest.approx([1e-3] * 9)  # each is of an epoch's first step
    assert found[9] == pytest.approx(0.5e-3)


@pytest.mark.parametrize(("schedule", "epochs"), [("constant", 0), ("cosine", 5), ("wsd", 0)])
def test_a_cosine_decays_all_the_time_and_the_others_not_in_trials(schedule, epochs):
    assert plan_of(schedule).decay_epochs == epochs
