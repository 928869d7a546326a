"""Costs of a training: analytic operations, and what the machine spent on them."""

import resource
import sys
from collections.abc import Sequence

from vae_search.core.measurements import Costs, EpochMeasurement
from vae_search.vae.networks.network import BuiltNetwork


def costs_of(
    measurements: Sequence[EpochMeasurement], network: BuiltNetwork, *, images: int, batch_size: int, device: str
) -> Costs:
    """Cost of the epochs that were measured, scoring after each of them included.

    Args:
        images: training images seen in them.
        device: that trained.
    """
    wall_s = sum(measurement.wall_s for measurement in measurements)
    return Costs(
        parameters=network.parameters,
        # A backward pass costs two forward passes: one matrix product for the inputs, one for the weights.
        train_flops=3.0 * flops_per_image(network, batch_size=batch_size) * images,
        cpu_s=sum(measurement.cpu_s for measurement in measurements),
        wall_s=wall_s,
        images_per_s=images / wall_s,
        peak_memory_bytes=_peak_memory_bytes(),
        compiled="graph",
        device=device,
    )


def flops_per_image(network: BuiltNetwork, *, batch_size: int) -> float:
    """Multiply-adds × 2 of one training image forwards, with its part of what each step does once."""
    return network.forward_flops + network.step_flops / batch_size


def _peak_memory_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux kibibytes
