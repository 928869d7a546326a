"""Training on shards of each batch: what it learns, and that its bits depend on no number of threads."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from vae_search.data.tasks import TaskLabels
from vae_search.search.planning.continuation import shards_of
from vae_search.spec.hyperparameters import Config
from vae_search.vae.training.trainer import Trainer

pytestmark = pytest.mark.needs_tensorflow

CONFIG = Config(latent_dim=4, depth=1, width=16, batch_size=63)  # shards of 31 and 32

THREADED = """
import hashlib, sys
from dataclasses import replace
import numpy as np
from vae_search.data.dataset import load_dataset
from vae_search.data.tasks import TrainingTask
from vae_search.spec.hyperparameters import Config
from vae_search.spec.sections import DataSpec
from vae_search.vae.training.plan import TrainingPlan
from vae_search.vae.training.trainer import Trainer
from pathlib import Path

task = TrainingTask.of(load_dataset(DataSpec(source="digits"), cache=Path("none")))
trainer = Trainer(task, threads=int(sys.argv[1]), shares_operations=False)
plan = TrainingPlan(
    epochs=2, lr_schedule="constant", ema_decay=0.9, log_variance_clamp=(-8.0, 4.0), likelihood="bernoulli", shards=2
)
run = trainer.start(Config(latent_dim=8, width=256, batch_size=256, prior="mixture", prior_components=5), plan, seed=3)
while not run.is_over:
    run.train_epoch()
arrays = run.averaged_weights()
print(hashlib.sha256(b"".join(arrays[name].tobytes() for name in sorted(arrays))).hexdigest())
"""


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        replace(CONFIG, free_bits=0.2, grad_clip=1.0, weight_decay=0.01),
        replace(CONFIG, prior="mixture", prior_components=3, free_bits=0.2),
        replace(CONFIG, prior="vamp", prior_components=3),
        replace(CONFIG, architecture="hvae"),
        replace(CONFIG, architecture="conv"),
    ],
    ids=lambda config: f"{config.architecture}-{config.prior}-{config.free_bits}",
)
def test_two_shards_of_a_batch_train_what_the_whole_one_does(trainer, plan, config):
    found = []
    for shards in (1, 2):
        run = trainer.start(config, replace(plan, shards=shards), seed=3)
        found.append((run.train_epoch(), run.averaged_weights()))

    (whole, expected), (sharded, weights) = found
    assert sharded.train_neg_elbo == pytest.approx(whole.train_neg_elbo, rel=1e-4)
    assert sharded.grad_norm_max == pytest.approx(whole.grad_norm_max, rel=1e-3)
    for name, value in expected.items():
        np.testing.assert_allclose(weights[name], value, rtol=1e-2, atol=1e-3, err_msg=name)


def test_shards_of_a_conditional_model_see_their_own_labels(task, plan):
    labels = np.arange(len(task.train)) % 3
    select = np.arange(len(task.select)) % 3
    labelled = replace(task, labels=TaskLabels(train=labels, select=select, classes=3), measured_labels=select)
    trainer, found = Trainer(labelled, threads=1), []
    for shards in (1, 2):
        run = trainer.start(CONFIG, replace(plan, shards=shards), seed=3)
        found.append((run.train_epoch().train_neg_elbo, run.averaged_weights()))

    assert found[1][0] == pytest.approx(found[0][0], rel=1e-4)
    for name, value in found[0][1].items():
        np.testing.assert_allclose(found[1][1][name], value, rtol=1e-2, atol=1e-3, err_msg=name)


def test_a_sharded_run_that_continues_from_its_state_ends_with_the_same_bits(trainer, plan):
    sharded = replace(plan, shards=2)
    whole = trainer.start(CONFIG, sharded, seed=9)
    whole.train_epoch()
    state, measurements = whole.state(), list(whole.measurements)
    expected = whole.train_epoch().neg_elbo

    continued = trainer.start(CONFIG, sharded, seed=9)
    continued.restore(state, measurements)

    assert continued.train_epoch().neg_elbo == expected


@pytest.mark.slow
def test_one_thread_and_two_train_the_same_bits():
    found = [
        subprocess.run([sys.executable, "-c", THREADED, threads], capture_output=True, text=True, check=True).stdout
        for threads in ("1", "2")
    ]

    assert found[0] == found[1]
    assert len(found[0].strip()) == 64


@pytest.mark.parametrize(("batch_size", "threads", "shards"), [(256, 2, 2), (64, 2, 2), (64, 8, 2), (16, 4, 1)])
def test_shards_are_as_many_as_threads_but_not_too_small(batch_size, threads, shards):
    assert shards_of(batch_size, threads=threads) == shards
