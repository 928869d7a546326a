"""Costs of a training: analytic operations, and what the machine spent on them."""

import resource
import sys
from collections.abc import Sequence

from vae_search.core.measurements import Costs, EpochMeasurement
from vae_search.spec.hyperparameters import Config
from vae_search.vae.networks.network import BuiltNetwork


def costs_of(
    measurements: Sequence[EpochMeasurement], network: BuiltNetwork, *, images: int, config: Config, device: str
) -> Costs:
    """Cost of the epochs that were measured, scoring after each of them included.

    Args:
        images: training images seen in them.
        device: that trained.
    """
    weighted = sum(measurement.train_neg_iwae is not None for measurement in measurements)
    decoded_again = images // len(measurements) * weighted * (config.bound_samples - 1)
    wall_s = sum(measurement.wall_s for measurement in measurements)
    return Costs(
        parameters=network.parameters,
        # A backward pass costs two forward passes: one matrix product for the inputs, one for the weights.
        train_flops=3.0 * flops_per_image(network, batch_size=config.batch_size) * images
        + 3.0 * network.decoder_flops * decoded_again,
        cpu_s=sum(measurement.cpu_s for measurement in measurements),
        wall_s=wall_s,
        images_per_s=images / wall_s,
        peak_memory_bytes=_peak_memory_bytes(),
        compiled="graph",
        device=device,
    )


def flops_per_image(network: BuiltNetwork, *, batch_size: int) -> float:
    """Multiply-adds × 2 of one training image forwards by one draw, with its part of what each step does once."""
    return network.forward_flops + network.step_flops / batch_size


def mean_flops_per_image(network: BuiltNetwork, config: Config, *, epochs: int) -> float:
    """The same on average over a whole training, whose last epochs may decode several draws of each image."""
    share = 1.0 - config.elbo_epochs(epochs) / epochs
    more = share * (config.bound_samples - 1) * network.decoder_flops
    return flops_per_image(network, batch_size=config.batch_size) + more


def _peak_memory_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux kibibytes
