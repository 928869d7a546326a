"""A small autoencoder with self-attention over patches of the image: `architecture: {keras: "attention_net:build"}`."""

import keras
from keras import layers


class Places(layers.Layer):
    """Adds to each patch what is learned about its place."""

    def build(self, input_shape):
        self.places = self.add_weight(shape=input_shape[1:], initializer="glorot_uniform", name="places")

    def call(self, patches):
        return patches + self.places


def build(image_shape, latent_dim, outputs_per_value, patch=4, dim=16, heads=2, blocks=1):
    """Encoder: image -> [mean, log-variance]. Decoder: latents -> `outputs_per_value` outputs for each value."""
    height, width, channels = image_shape
    rows, columns = -(-height // patch), -(-width // patch)
    padding = ((0, rows * patch - height), (0, columns * patch - width))

    images = keras.Input(image_shape)
    x = layers.Conv2D(dim, patch, strides=patch)(layers.ZeroPadding2D(padding)(images))
    x = attended(layers.Reshape((rows * columns, dim))(x), heads, blocks)
    x = layers.Flatten()(x)
    encoder = keras.Model(images, [layers.Dense(latent_dim)(x), layers.Dense(latent_dim)(x)])

    latents = keras.Input((latent_dim,))
    x = layers.Reshape((rows * columns, dim))(layers.Dense(rows * columns * dim)(latents))
    x = layers.Reshape((rows, columns, dim))(attended(x, heads, blocks))
    x = layers.Conv2DTranspose(outputs_per_value * channels, patch, strides=patch)(x)
    return encoder, keras.Model(latents, layers.Cropping2D(padding)(x))


def attended(x, heads, blocks):
    """Blocks of a transformer: attention and two dense layers, each added to what comes in."""
    dim = x.shape[-1]
    x = Places()(x)
    for _ in range(blocks):
        normal = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(heads, dim // heads)(normal, normal)
        x = x + layers.Dense(dim)(layers.Dense(2 * dim, "gelu")(layers.LayerNormalization()(x)))
    return x
