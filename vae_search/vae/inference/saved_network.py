"""A version's SavedModel as a network: how a Keras network of somebody's own runs where its code is not installed.

A SavedModel is a program, if a restricted one: its bytes must have been checked against the log before.
"""

from collections.abc import Mapping, Sequence

import tensorflow as tf

from vae_search.core.scratch import scratch_folder
from vae_search.core.text import printable
from vae_search.vae.networks.forward import Tensors

DECODER_OUTPUTS, WIDEST_LAYER = "decoder_outputs", "widest_layer"
"""signatures beside those for serving, of a network whose code need not be here"""
PARTS = ("saved_model.pb", "fingerprint.pb", "variables/", "assets/")


class SavedNetwork:
    """Encoder and decoder of a SavedModel, with its weights: `VaeFunctions`, and a topology without weights to give."""

    ranks: tuple[int, ...] = ()

    def __init__(self, files: Mapping[str, bytes], *, latent_dim: int) -> None:
        """Load the SavedModel.

        Args:
            files: of a version, by path within its folder.

        Raises:
            ValueError: They hold no SavedModel of such a network. One line.
        """
        self._latent_dim = latent_dim
        with scratch_folder() as scratch:
            for name, content in files.items():
                if name.startswith(PARTS):
                    target = scratch / "model" / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(content)
            try:
                self._model = tf.saved_model.load(str(scratch / "model"))
                signatures = self._model.signatures
                self._encode, self._decode = signatures["encode"], signatures[DECODER_OUTPUTS]
                self._widest = int(signatures[WIDEST_LAYER]()["values"])
            except (OSError, KeyError, TypeError, ValueError, tf.errors.OpError) as error:
                told = next(iter(f"{type(error).__name__}: {error}".splitlines()))
                raise ValueError(f"must hold a SavedModel of its network, but: {printable(told, 200)}") from error

    def encoder(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and log-variance, which is clamped already."""
        found = self._encode(images=tf.convert_to_tensor(images))
        return found["mean"], found["log_variance"]

    def decoder(self, latents: tf.Tensor) -> tf.Tensor:
        """The likelihood's parameters."""
        return self._decode(latents=tf.convert_to_tensor(latents))["outputs"]

    def latent_dim(self, weights: Tensors) -> int:
        """Number of latents."""
        return self._latent_dim

    def functions(self, weights: Tensors) -> "SavedNetwork":
        """Itself: it has its weights."""
        return self

    def layer_outputs(self, shapes: Sequence[tuple[int, ...]], image_shape: tuple[int, int, int]) -> list[int]:
        """The most values that an operation puts out for one image."""
        return [self._widest, self._widest]  # as many as there are at least: two
