"""Share of a core's matrix-product speed that a training epoch reaches, and convolutions beside plain Keras.

One core, 10,000 images of 28×28 pixels, batch 128, two hidden layers on either side. The peak is the median of several
1024×1024×1024 float32 products by TensorFlow on one thread, measured in turns with the epochs. All is timed in CPU
seconds: other processes count only by the caches that they take. Counted are the multiply-adds that are really carried
out: forward, and backward without the gradient for the first layer's input, which nobody needs. Adam, binarisation,
noise, losses, averages and clipping statistics are in the time but not in the count.

    python benchmarks/kernel.py
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from fashion import slice_task
from machine import describe_machine

from vae_search.spec.hyperparameters import Config
from vae_search.vae.networks.keras_models import decoder_model, encoder_model
from vae_search.vae.networks.network import build
from vae_search.vae.networks.network_spec import NetworkSpec
from vae_search.vae.training.graph import Scalars, TrainingGraph
from vae_search.vae.training.image_feed import image_feed
from vae_search.vae.training.plan import TrainingPlan
from vae_search.vae.training.trainer import Trainer

HERE = Path(__file__).parent
TRAIN, BATCH, REPEATS = 10_000, 128, 7
PLAN = TrainingPlan(
    epochs=1, lr_schedule="constant", ema_decay=0.999, log_variance_clamp=(-6.0, 2.0), likelihood="bernoulli"
)
SCALARS = Scalars(
    learning_rate=1e-3,
    beta=1.0,
    warmup_steps=0.0,
    cosine_steps=0.0,
    free_bits=0.0,
    grad_clip=0.0,
    weight_decay=0.0,
    ema_decay=0.98,
)
DENSE = {
    "mlp 256": Config(latent_dim=32, depth=2, width=256, batch_size=BATCH),
    "mlp 512": Config(latent_dim=32, depth=2, width=512, batch_size=BATCH),
}
CONV = {"conv 16": Config(architecture="conv", latent_dim=32, depth=2, width=16, batch_size=BATCH)}


def seconds(action: Callable[[], object]) -> float:
    """CPU seconds of all threads: time that other processes had does not count."""
    started = time.process_time()
    action()
    return time.process_time() - started


def matrix_product() -> Callable[[], object]:
    """Ten products of 2·1024³ operations."""
    left, right = tf.random.normal([1024, 1024]), tf.random.normal([1024, 1024])

    def products() -> None:
        for _ in range(10):
            tf.matmul(left, right)

    return products


def epoch_flops(config: Config) -> float:
    """Multiply-adds × 2 of one epoch of a dense network: 3 × forward, less the first layer's input gradient."""
    network = build(NetworkSpec.of(config, (28, 28, 1), likelihood="bernoulli"))
    images = TRAIN // BATCH * BATCH
    return images * (3.0 * network.forward_flops - network.encoder_weights[0].flops)


def keras_epoch(config: Config, images: np.ndarray) -> Callable[[], object]:
    """The same network and batch in `keras.fit`, with a `train_step` as in keras.io's example."""
    network = build(NetworkSpec.of(config, (28, 28, 1), likelihood="bernoulli"))

    class Vae(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.decoder = encoder_model(network), decoder_model(network)
            self.seeds = keras.random.SeedGenerator(1)

        def train_step(self, grey):
            binary = tf.cast(keras.random.uniform(tf.shape(grey), seed=self.seeds) < grey, tf.float32)
            with tf.GradientTape() as tape:
                mean, log_variance = self.encoder(binary)
                noise = keras.random.normal(tf.shape(mean), seed=self.seeds)
                logits = self.decoder(mean + tf.exp(0.5 * log_variance) * noise)
                pixels = tf.nn.sigmoid_cross_entropy_with_logits(binary, logits)
                rate = 0.5 * (tf.exp(log_variance) + mean**2 - 1.0 - log_variance)
                loss = tf.reduce_mean(tf.reduce_sum(pixels, [1, 2, 3])) + tf.reduce_mean(tf.reduce_sum(rate, 1))
            weights = self.trainable_weights
            self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
            return {"loss": loss}

    vae = Vae()
    vae.compile(optimizer=keras.optimizers.Adam(1e-3))
    scaled = images.astype("float32") / 255.0
    return lambda: vae.fit(scaled, batch_size=BATCH, epochs=1, verbose=0)


def xla_beside_plain(trainer: Trainer, config: Config) -> tuple[float, float]:
    """Median seconds of an epoch with the plain graph and with XLA on each step, in turns; compilation excluded."""
    graph = trainer.start(config, PLAN, seed=1)._graph
    compiled = TrainingGraph(graph.key, trainer.task, image_feed(trainer.task.train))
    compiled._step = tf.function(compiled._step, jit_compile=True, autograph=False)
    compiled.begin([weight.numpy() for weight in graph._weights], SCALARS, batch_size=config.batch_size)
    times: dict[TrainingGraph, list[float]] = {graph: [], compiled: []}
    for epoch in range(4):
        for one, found in times.items():
            found.append(seconds(lambda one=one, epoch=epoch: one.train_epoch(1, epoch)))
    plain_s, xla_s = (statistics.median(found[1:]) for found in times.values())
    return plain_s, xla_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "kernel.json")
    arguments = parser.parse_args()
    task = slice_task(train=TRAIN, select=500)
    trainer = Trainer(task, threads=1)
    # One graph per topology holds one trial at a time, so that each config is measured to the end before the next.
    report: dict[str, dict[str, float]] = {}
    product = matrix_product()
    for name, config in DENSE.items():
        graph = trainer.start(config, PLAN, seed=1)._graph
        graph.train_epoch(1, 0)
        product()
        peaks, speeds = [], []
        for epoch in range(1, REPEATS + 1):
            peaks.append(10 * 2 * 1024**3 / seconds(product))
            speeds.append(epoch_flops(config) / seconds(lambda graph=graph, epoch=epoch: graph.train_epoch(1, epoch)))
        share = statistics.median(speeds) / statistics.median(peaks)
        report[name] = {
            "gflops": statistics.median(speeds) / 1e9,
            "peak_gflops": statistics.median(peaks) / 1e9,
            "share": share,
        }
        print(f"{name}: {report[name]['gflops']:5.1f} of {report[name]['peak_gflops']:5.1f} GFLOP/s, share {share:.2f}")
    for name, config in (DENSE | CONV).items():
        plain_s, xla_s = xla_beside_plain(trainer, config)
        report[f"plain/xla, {name}"] = {"plain_s": plain_s, "xla_s": xla_s, "ratio": plain_s / xla_s}
        print(f"{name}: with XLA on the step an epoch takes {xla_s / plain_s:.2f} × as long")
    for name, config in (DENSE | CONV).items():
        graph = trainer.start(config, PLAN, seed=1)._graph
        ours, fit = [], []
        plain = keras_epoch(config, task.train)
        plain()
        graph.train_epoch(1, 0)
        for epoch in range(1, 4):
            ours.append(seconds(lambda graph=graph, epoch=epoch: graph.train_epoch(1, epoch)))
            fit.append(seconds(plain))
        ratio = statistics.median(fit) / statistics.median(ours)
        report[f"keras.fit/ours, {name}"] = {
            "ours_s": statistics.median(ours),
            "keras_s": statistics.median(fit),
            "ratio": ratio,
        }
        print(f"{name}: an epoch takes keras.fit {ratio:.2f} × as long as ours ({statistics.median(ours):.2f} s)")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps({"measured": report, "machine": describe_machine()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
