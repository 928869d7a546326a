"""Trainings whose last epochs train the importance-weighted bound: the epochs before, what is kept."""

from dataclasses import replace

import numpy as np
import pytest

from tests.support.networks import digits_task
from vae_search.data.tasks import TaskLabels
from vae_search.spec.hyperparameters import Config
from vae_search.vae.networks.network import build
from vae_search.vae.training.plan import TrainingPlan
from vae_search.vae.training.trainer import Trainer

pytestmark = pytest.mark.needs_tensorflow

EPOCHS, ELBO_EPOCHS = 4, 2
PLAN = TrainingPlan(
    epochs=EPOCHS,
    lr_schedule="cosine",
    ema_decay=0.99,
    log_variance_clamp=(-6.0, 2.0),
    likelihood="bernoulli",
    iwae_epochs=frozenset([EPOCHS]),
)


def config(**changes) -> Config:
    fields = {"latent_dim": 4, "depth": 1, "width": 16, "batch_size": 64, "learning_rate": 3e-3, "bound_samples": 5}
    return Config.from_params(fields | {"iwae_from": 0.5} | changes)


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    return Trainer(digits_task(), threads=1)


def train(run, epochs: int) -> list:
    return [run.train_epoch() for _ in range(epochs)]


def bits(run) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in run.state().items()}


def without_clocks(measurement) -> tuple:
    return tuple(getattr(measurement, name) for name in measurement.__dataclass_fields__ if not name.endswith("_s"))


@pytest.mark.parametrize(
    ("samples", "share", "epochs", "expected"),
    [(1, 0.5, 10, 10), (8, 0.7, 10, 7), (8, 0.0, 10, 0), (8, 0.99, 10, 9), (2, 0.7, 1, 0), (8, 0.29, 100, 29)],
)
def test_the_share_is_of_the_epochs_of_the_run_and_leaves_the_last_one(samples, share, epochs, expected):
    assert Config(bound_samples=samples, iwae_from=share).elbo_epochs(epochs) == expected


def test_before_the_share_is_over_a_run_has_the_bits_of_one_that_trains_the_elbo(trainer):
    elbo = trainer.start(config(bound_samples=1), PLAN, seed=3)
    expected, of_elbo = train(elbo, ELBO_EPOCHS), bits(elbo)
    weighted = trainer.start(config(), PLAN, seed=3)

    found = train(weighted, ELBO_EPOCHS)

    assert [without_clocks(each) for each in found] == [without_clocks(each) for each in expected]
    assert bits(weighted) == of_elbo
    assert bits_differ(train(elbo, 1)[0], train(weighted, 1)[0])


def bits_differ(one, other) -> bool:
    return one.neg_elbo != other.neg_elbo


def test_epochs_say_by_which_bound_they_trained_and_the_kept_one_is_of_the_last_bound(trainer):
    run = trainer.start(config(learning_rate=1e-2), PLAN, seed=3)
    measured = train(run, EPOCHS)
    scores = run.scores()

    assert [each.train_neg_iwae is not None for each in measured] == [False, False, True, True]
    assert [each.iwae is not None for each in measured] == [False, False, True, True]
    assert all(each.train_neg_iwae < each.train_neg_elbo for each in measured[ELBO_EPOCHS:])
    assert run.best_epoch == 1 + max(range(ELBO_EPOCHS, EPOCHS), key=lambda epoch: measured[epoch].iwae)
    assert scores.iwae == measured[run.best_epoch - 1].iwae == -scores.neg_bound


def test_free_bits_are_those_of_the_elbo_and_mean_nothing_to_the_weighted_bound(trainer):
    states = []
    for free_bits in (0.0, 5.0):
        run = trainer.start(config(iwae_from=0.0, free_bits=free_bits), PLAN, seed=3)
        train(run, 1)
        states.append(bits(run))

    assert states[0] == states[1]


def test_a_smaller_beta_costs_the_rate_less(trainer):
    rates = []
    for beta in (0.2, 4.0):
        run = trainer.start(config(iwae_from=0.0, beta=beta, learning_rate=1e-2), PLAN, seed=3)
        rates.append(train(run, 3)[-1].rate)

    assert rates[0] > 1.2 * rates[1]


def test_one_graph_serves_every_number_of_draws():
    trainer = Trainer(digits_task(), threads=1)
    found = []
    for samples in (2, 9, 2):
        run = trainer.start(config(bound_samples=samples, iwae_from=0.0), PLAN, seed=3)
        train(run, 1)
        found.append(bits(run))

    assert found[0] == found[2] != found[1]
    assert len(trainer._graphs) == 1


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_labels_and_mirrors_go_with_it_in_every_precision(precision):
    task = digits_task()
    labels = TaskLabels(train=np.arange(len(task.train)) % 3, select=np.arange(len(task.select)) % 3, classes=3)
    trainer = Trainer(replace(task, labels=labels, measured_labels=labels.select), threads=1)
    run = trainer.start(config(learning_rate=1e-2), replace(PLAN, precision=precision, mirrors=True), seed=3)

    measured = train(run, EPOCHS)

    assert measured[-1].iwae > measured[ELBO_EPOCHS - 1].neg_elbo * -1
    assert run.scores().iwae > -run.scores().neg_elbo


@pytest.mark.parametrize("likelihood", ["gaussian", "discretized_logistic"])
def test_it_trains_by_every_likelihood(likelihood):
    task = replace(digits_task(), dynamic=False)
    task = replace(task, pixels=replace(task.pixels, levels=17), select=task.train[:200])
    run = Trainer(task, threads=1).start(config(), replace(PLAN, likelihood=likelihood), seed=3)

    measured = train(run, EPOCHS)

    assert measured[-1].iwae > measured[ELBO_EPOCHS].iwae
    assert measured[-1].scale_clamped_share is not None


def test_every_draw_beyond_the_first_costs_a_pass_through_the_decoder(trainer):
    run = trainer.start(config(), PLAN, seed=3)
    network = build(run.network_spec)
    images = run._graph.steps_per_epoch * 64
    train(run, ELBO_EPOCHS)
    before = run.costs().train_flops
    train(run, 1)

    assert before == 3 * network.forward_flops * images * ELBO_EPOCHS
    added = run.costs().train_flops - before
    assert added == 3 * (network.forward_flops + 4 * network.decoder_flops) * images
