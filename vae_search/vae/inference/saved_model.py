"""Export of a finished model: a SavedModel for TensorFlow Serving, weights and config for this package."""

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from vae_search.core.scratch import scratch_folder
from vae_search.vae.inference.model import VaeModel
from vae_search.vae.inference.saved_network import DECODER_OUTPUTS, WIDEST_LAYER
from vae_search.vae.inference.weights_file import weights_file
from vae_search.vae.networks.forward import VaeFunctions
from vae_search.vae.networks.hierarchy.trained_hierarchy import TrainedEncoder
from vae_search.vae.networks.model_config import ModelDescription
from vae_search.vae.networks.network import build
from vae_search.vae.objective.bounds import elbo_terms
from vae_search.vae.objective.evaluation_noise import evaluation_noise
from vae_search.vae.objective.evaluation_size import EVALUATION_BATCH

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.weights.h5"


def model_files(description: ModelDescription, weights: Mapping[str, np.ndarray]) -> dict[str, bytes]:
    """Files of a model version except its card, by path within its folder.

    The SavedModel is for serving; `config.json` and `model.weights.h5` are what `VaeModel.from_version` reads.

    Args:
        weights: averaged weights by the network's names.

    Raises:
        ValueError: The weights are not the described network's.
    """
    model = VaeModel(description, weights)
    return saved_model_files(model) | {
        CONFIG_FILE: description.to_json(),
        WEIGHTS_FILE: weights_file(weights),
    }


def saved_model_files(model: VaeModel) -> dict[str, bytes]:
    """A SavedModel of plain graphs (no XLA), by path within its folder; `tf.saved_model.load(folder)` reads it.

    Signatures, all float32 and for batches of any size; padding and cropping to the network's sizes is inside:
        encode: images (batch, height, width, channels) in [0, 1] -> mean, log_variance, each (batch, latent_dim)
        decode: latents (batch, latent_dim) -> mean, and the likelihood's parameters: logits for bernoulli, else
            location and scale of the intensity; each (batch, height, width, channels)
        sample: count () int32, seed () int32 -> images (count, height, width, channels), means of p(x|z) for draws of
            z from the model's prior, whose components are inside
        elbo: images (batch, height, width, channels), the whole numbers that the likelihood explains divided by the
            largest, so {0, 1} for bernoulli -> elbo (batch,) in nats, one draw of z whose noise is fixed by the
            position in the batch, as the package's own evaluation draws its first

    Those of a conditional model take labels, (batch,) int64 from 0 on, beside images and latents; `sample` takes the
    labels of the images to make instead of their count.

    That of a Keras network of somebody's own has two more, by which it is scored where its code is not installed:
        decoder_outputs: latents (batch, latent_dim) -> outputs, as the network puts them out
        widest_layer: -> values () int64, the most that an operation puts out for one image

    `encode` is what serving calls by default. Two exports of one model may differ in bytes: TensorFlow numbers the
    functions of a process.
    """
    signatures = Signatures(model=model)
    image_shape, latent_dim = model.description.network.image_shape, model.latent_dim
    archive = keras.export.ExportArchive()
    archive.track(model.encoder)
    archive.track(model.decoder)
    images = tf.TensorSpec([None, *image_shape], tf.float32, name="images")
    latents = tf.TensorSpec([None, latent_dim], tf.float32, name="latents")
    count, seed = (tf.TensorSpec([], tf.int32, name=name) for name in ("count", "seed"))
    labels = [tf.TensorSpec([None], tf.int64, name="labels")] if model.classes else []
    archive.add_endpoint("encode", signatures.encode, [images, *labels])
    archive.add_endpoint("decode", signatures.decode, [latents, *labels])
    if labels:
        archive.add_endpoint("sample", signatures.sample_labelled, [*labels, seed])
    else:
        archive.add_endpoint("sample", signatures.sample, [count, seed])
    archive.add_endpoint("elbo", signatures.elbo, [images, *labels])
    if model.description.network.code is not None:
        archive.add_endpoint(DECODER_OUTPUTS, signatures.decoder_outputs, [latents])
        archive.add_endpoint(WIDEST_LAYER, signatures.widest_layer, [])
    with scratch_folder() as scratch:
        folder = scratch / "model"
        archive.write_out(str(folder), verbose=False)
        found = sorted(path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signatures:
    """Signatures of a SavedModel, as functions of tensors."""

    model: VaeModel

    def encode(self, images: tf.Tensor, *labels: tf.Tensor) -> dict[str, tf.Tensor]:
        mean, raw_log_variance = self._functions(*labels).encoder(images)
        return {"mean": mean, "log_variance": tf.clip_by_value(raw_log_variance, *self.model.description.clamp)}

    def decode(self, latents: tf.Tensor, *labels: tf.Tensor) -> dict[str, tf.Tensor]:
        output = self._functions(*labels).decoder(latents)
        return {"mean": self.model.likelihood.mean(output), **self.model.likelihood.parameters(output)}

    def sample(self, count: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._sampled(count, seed)

    def sample_labelled(self, labels: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._sampled(tf.shape(labels)[0], seed, labels)

    def decoder_outputs(self, latents: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"outputs": self.model.decoder(latents)}

    def widest_layer(self) -> dict[str, tf.Tensor]:
        return {"values": tf.constant(max(build(self.model.description.network).layer_outputs), tf.int64)}

    def elbo(self, images: tf.Tensor, *labels: tf.Tensor) -> dict[str, tf.Tensor]:
        noise = _evaluation_noise(tf.shape(images)[0], self.model.latent_dim)
        terms = elbo_terms(
            self._functions(*labels),
            images,
            noise,
            clamp=self.model.description.clamp,
            likelihood=self.model.likelihood,
            prior=self.model.prior,
        )
        return {"elbo": -(terms.distortion + tf.reduce_sum(terms.kl, axis=1))}

    def _sampled(self, count: tf.Tensor, seed: tf.Tensor, *labels: tf.Tensor) -> dict[str, tf.Tensor]:
        latents = self.model.prior_draws(count, seed)
        return {"images": self.model.likelihood.mean(self._functions(*labels).decoder(latents))}

    def _functions(self, *labels: tf.Tensor) -> VaeFunctions:
        if isinstance(self.model.encoder, TrainedEncoder):
            return self.model.encoder.functions(*labels)
        return LabelledModel(model=self.model, labels=labels[0]) if labels else self.model


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledModel:
    """A conditional model for images of these labels, (batch,): `VaeFunctions`."""

    model: VaeModel
    labels: tf.Tensor

    def encoder(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mean, raw_log_variance = self.model.encoder([images, self.labels])
        return mean, raw_log_variance

    def decoder(self, latents: tf.Tensor) -> tf.Tensor:
        return self.model.decoder([latents, self.labels])


def _evaluation_noise(count: tf.Tensor, latent_dim: int) -> tf.Tensor:
    """The first draw's noise of `Evaluator` for the first `count` images: (count, latent_dim)."""
    batches = tf.map_fn(
        lambda position: evaluation_noise(position, 0, draws=1, latent_dim=latent_dim)[0],
        tf.range(-(-count // EVALUATION_BATCH)),
        fn_output_signature=tf.TensorSpec([EVALUATION_BATCH, latent_dim], tf.float32),
    )
    return tf.reshape(batches, [-1, latent_dim])[:count]
