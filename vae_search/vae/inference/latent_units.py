"""Latent units of a model, one after the other moved through the prior: pictures of what it has learned."""

from dataclasses import dataclass

import numpy as np

from vae_search.vae.inference.image_grids import TRAVERSED
from vae_search.vae.inference.model import VaeModel
from vae_search.vae.training.diagnostics import active_units

MOST_UNITS = 12
VALUES = 11  # an odd number, so that 0 is one of them


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MovedUnits:
    """Images along the latent units that tell most.

    Args:
        units: numbers of the units, from 0; the one that tells most first.
        kl_nats: KL of each from the prior, of a learned one from the Gaussian of its moments, mean over images; None
            without images, where `change` orders them.
        change: root mean square by which each changes a pixel in [0, 1] over its values.
        values: that each takes, in standard deviations of the prior; the others stay.
        active: number of active units in all (Burda et al. 2016, 5.2); None without images.
        images: (units, values, height, width, channels) in [0, 1].
    """

    units: tuple[int, ...]
    kl_nats: tuple[float, ...] | None
    change: tuple[float, ...]
    values: tuple[float, ...]
    active: int | None
    images: np.ndarray


def moved_units(model: VaeModel, images: np.ndarray | None, labels: np.ndarray | None = None) -> MovedUnits:
    """Decode the units with the highest KL, at most `MOST_UNITS`, at `VALUES` values from -3 to 3 deviations.

    The others stay at the first image's posterior mean. A unit that is not active changes nothing and is left out; the
    first stays, so that there is a picture. Without images all stay at the prior's mean, and those come first that
    change most.

    Args:
        images: (n, height, width, channels) in [0, 1]; a few hundred tell the active units apart.
        labels: (n,) of a conditional model. All that is decoded has the first one's; 0 without images.
    """
    first = 0 if labels is None else int(labels[0])
    values = np.linspace(-TRAVERSED, TRAVERSED, VALUES, dtype=np.float32)
    if images is None:
        decoded = _decoded(model, model.prior_moments()[0], np.arange(model.latent_dim), values, label=first)
        order = np.argsort(-_change(decoded), kind="stable")[:MOST_UNITS]
        kl, active, shown = None, None, decoded[order]
    else:
        mean, log_variance = model.encode(images, labels)
        # Of a learned prior its nearest Gaussian: KL(q ‖ N(centre, deviation²)), in closed form as well.
        centre, deviation = model.prior_moments()
        scaled, spread = (mean - centre) / deviation, log_variance - 2.0 * np.log(deviation)
        by_unit = 0.5 * (scaled**2 + np.exp(spread) - 1.0 - spread).mean(axis=0)
        active = active_units(mean)
        order = np.argsort(-by_unit, kind="stable")[: min(MOST_UNITS, max(1, active))]
        kl, shown = tuple(float(nats) for nats in by_unit[order]), _decoded(model, mean[0], order, values, label=first)
    return MovedUnits(
        units=tuple(int(unit) for unit in order),
        kl_nats=kl,
        change=tuple(float(each) for each in _change(shown)),
        values=tuple(round(float(value), 6) for value in values),
        active=active,
        images=shown,
    )


def _decoded(model: VaeModel, base: np.ndarray, units: np.ndarray, values: np.ndarray, *, label: int) -> np.ndarray:
    moved = np.tile(base, (len(units), len(values), 1))
    centre, deviation = model.prior_moments()
    for row, unit in enumerate(units):
        moved[row, :, unit] = centre[unit] + deviation[unit] * values
    rows = moved.reshape(-1, model.latent_dim)
    decoded = model.decode(rows, np.full(len(rows), label) if model.classes else None)
    return decoded.reshape(len(units), len(values), *decoded.shape[1:])


def _change(images: np.ndarray) -> np.ndarray:
    """(units, values, height, width, channels) -> (units,): standard deviation over the values, pixels taken alike."""
    changed: np.ndarray = np.sqrt(images.var(axis=1).mean(axis=(1, 2, 3)))
    return changed
