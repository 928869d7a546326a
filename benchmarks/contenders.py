"""Other ways to run the same work: stock Ray Tune with `keras.fit`, and two processes without any framework.

The docstring of `sweep_speed.py` says what is compared. Usage: contenders.py tune|tune-reuse|bare WORK.json RESULT.json
"""

import json
import multiprocessing
import os
import queue
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

EVALUATION_BATCH = 500


def read_images(work: dict):
    """Training images as uint8, validation images binarised once; both (n, 784)."""
    import numpy as np

    with np.load(work["images"]) as arrays:
        train = arrays["x_train"].reshape(len(arrays["x_train"]), -1)
    count = work["validation"]
    select = np.random.RandomState(777).binomial(1, train[-count:] / 255.0)  # the published protocol's stream
    return train[:-count], select.astype("float32")


def build_keras_vae(config: dict, mean_image):
    """The variational autoencoder of keras.io's example, with dense layers and binary pixels."""
    import keras
    import tensorflow as tf

    class Vae(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            hidden = [keras.layers.Dense(config["width"], activation="relu") for _ in range(config["depth"])]
            self.encoder = keras.Sequential([*hidden, keras.layers.Dense(2 * config["latent_dim"])])
            hidden = [keras.layers.Dense(config["width"], activation="relu") for _ in range(config["depth"])]
            self.decoder = keras.Sequential([*hidden, keras.layers.Dense(784)])
            self.seeds = keras.random.SeedGenerator(1)
            self.loss_tracker = keras.metrics.Mean(name="loss")
            self.neg_elbo_tracker = keras.metrics.Mean(name="neg_elbo")

        @property
        def metrics(self):
            return [self.loss_tracker, self.neg_elbo_tracker]

        def terms(self, images):
            mean, log_variance = tf.split(self.encoder(images), 2, axis=1)
            noise = keras.random.normal(tf.shape(mean), seed=self.seeds)
            logits = self.decoder(mean + tf.exp(0.5 * log_variance) * noise)
            distortion = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(images, logits), axis=1)
            rate = 0.5 * tf.reduce_sum(tf.exp(log_variance) + mean**2 - 1.0 - log_variance, axis=1)
            return tf.reduce_mean(distortion), tf.reduce_mean(rate)

        def train_step(self, grey):
            images = tf.cast(keras.random.uniform(tf.shape(grey), seed=self.seeds) < grey, tf.float32)
            with tf.GradientTape() as tape:
                distortion, rate = self.terms(images)
                loss = distortion + config["beta"] * rate
            self.optimizer.apply_gradients(
                zip(tape.gradient(loss, self.trainable_weights), self.trainable_weights, strict=True)
            )
            self.loss_tracker.update_state(loss)
            return {"loss": self.loss_tracker.result()}

        def test_step(self, images):
            distortion, rate = self.terms(images)
            self.neg_elbo_tracker.update_state(distortion + rate)
            return {"neg_elbo": self.neg_elbo_tracker.result()}

    vae = Vae()
    vae.compile(optimizer=keras.optimizers.Adam(config["learning_rate"]))
    return vae


def run_tune(work: dict, *, reuse: bool) -> list[dict]:
    """Ray Tune with OptunaSearch and a function trainable around `keras.fit`, as the documentation shows it."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    import ray
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    train, select = read_images(work)

    def trainable(config: dict, data=None) -> None:
        import keras
        import tensorflow as tf

        if not tf.config.threading.get_intra_op_parallelism_threads():
            tf.config.threading.set_intra_op_parallelism_threads(1)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        images, held_out = data
        keras.utils.clear_session()

        class Report(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                tune.report({"neg_elbo": float(logs["val_neg_elbo"])})

        vae = build_keras_vae(config, None)
        vae.fit(
            images.astype("float32") / 255.0,
            validation_data=held_out,
            batch_size=work["batch_size"],
            epochs=work["epochs"],
            verbose=0,
            callbacks=[Report()],
        )

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    space = {
        "latent_dim": tune.randint(1, 65),
        "beta": tune.loguniform(0.1, 10.0),
        "learning_rate": tune.loguniform(1e-5, 1e-1),
        "depth": tune.randint(1, 9),
        "width": tune.randint(1, 1025),
    }
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(trainable, data=(train, select)), {"cpu": 1}),
        param_space=space,
        tune_config=tune.TuneConfig(
            metric="neg_elbo",
            mode="min",
            num_samples=len(work["configs"]),
            max_concurrent_trials=2,
            search_alg=OptunaSearch(points_to_evaluate=work["configs"]),
            reuse_actors=reuse,
        ),
        run_config=tune.RunConfig(verbose=0, storage_path=work["scratch"]),
    )
    results = tuner.fit()
    return [{"config": result.config, "neg_elbo": result.metrics["neg_elbo"]} for result in results]


def train_bare(config: dict, work: dict, images, held_out) -> float:
    """One config: a compiled epoch over the whole training set, written by hand; the last held-out bound."""
    import keras
    import tensorflow as tf

    size, count = work["batch_size"], int(images.shape[0])
    latent_dim = config["latent_dim"]

    def network(inputs: int, outputs: int) -> keras.Model:
        hidden = [keras.layers.Dense(config["width"], activation="relu") for _ in range(config["depth"])]
        return keras.Sequential([keras.Input((inputs,)), *hidden, keras.layers.Dense(outputs)])

    encoder, decoder = network(784, 2 * latent_dim), network(latent_dim, 784)
    weights = encoder.trainable_variables + decoder.trainable_variables
    optimizer = keras.optimizers.Adam(config["learning_rate"])
    optimizer.build(weights)

    def terms(batch, noise):
        mean, log_variance = tf.split(encoder(batch), 2, axis=1)
        logits = decoder(mean + tf.exp(0.5 * log_variance) * noise)
        distortion = tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(batch, logits), axis=1)
        rate = 0.5 * tf.reduce_sum(tf.exp(log_variance) + mean**2 - 1.0 - log_variance, axis=1)
        return tf.reduce_mean(distortion), tf.reduce_mean(rate)

    @tf.function
    def epoch(number):
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=tf.stack([1, number]))
        for step in tf.range(count // size):
            grey = tf.gather(images, order[step * size : (step + 1) * size])
            seed = tf.stack([number, step])
            draw = tf.random.stateless_uniform([size, 784], seed)
            batch = tf.cast(draw * 255.0 < tf.cast(grey, tf.float32), tf.float32)
            noise = tf.random.stateless_normal([size, latent_dim], seed)
            with tf.GradientTape() as tape:
                distortion, rate = terms(batch, noise)
                loss = distortion + config["beta"] * rate
            optimizer.apply(tape.gradient(loss, weights), weights)

    @tf.function
    def evaluate():
        total = 0.0
        parts = held_out.shape[0] // EVALUATION_BATCH
        for part in tf.range(parts):
            noise = tf.random.stateless_normal([EVALUATION_BATCH, latent_dim], tf.stack([777, part]))
            distortion, rate = terms(held_out[part * EVALUATION_BATCH : (part + 1) * EVALUATION_BATCH], noise)
            total += distortion + rate
        return total / float(parts)

    neg_elbo = float("nan")
    for number in range(work["epochs"]):
        epoch(tf.constant(number))
        neg_elbo = float(evaluate())
    return neg_elbo


def bare_worker(work: dict, waiting, done) -> None:
    """One process that takes configs until there are no more."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    train, select = read_images(work)
    images, held_out = tf.constant(train), tf.constant(select)
    while (config := waiting.get()) is not None:
        done.put({"config": config, "neg_elbo": train_bare(config, work, images, held_out)})


def run_bare(work: dict) -> list[dict]:
    """Two processes that take configs from a queue."""
    context = multiprocessing.get_context("spawn")
    waiting, done = context.Queue(), context.Queue()
    for config in [*work["configs"], None, None]:
        waiting.put(config)
    processes = [context.Process(target=bare_worker, args=(work, waiting, done)) for _ in range(2)]
    for process in processes:
        process.start()
    results: list[dict] = []
    while len(results) < len(work["configs"]):
        try:
            results.append(done.get(timeout=5))
        except queue.Empty:
            if not any(process.is_alive() for process in processes):
                raise SystemExit("both processes died") from None
    for process in processes:
        process.join()
    return results


def main() -> None:
    kind, work_file, result_file = sys.argv[1:]
    work = json.loads(Path(work_file).read_text())
    started = time.perf_counter()
    results = run_bare(work) if kind == "bare" else run_tune(work, reuse=kind == "tune-reuse")
    Path(result_file).write_text(json.dumps({"results": results, "inside_s": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
