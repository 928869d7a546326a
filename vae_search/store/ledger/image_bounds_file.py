"""Bounds of a model on each judge image, in the images' order, and their Parquet file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from vae_search.errors import CorruptStore
from vae_search.store.ledger.artifacts import PER_IMAGE_FILE
from vae_search.store.ledger.checksums import decode_checked, encode_checked

_ARRAYS = ("distortion", "rate", "iwae", "baseline")
# Within its folder: the same bytes are valid in every folder, whose manifest binds them to it.
_NAME = PER_IMAGE_FILE
_SCHEMA = pa.schema(
    [("confirm_seed", pa.int32()), ("image", pa.int32())]
    + [(name, pa.float64()) for name in _ARRAYS]
    + [("iwae_k", pa.int32())]
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PerImageBounds:
    """One model on the judge images. Every array is (n,) float64, in nats.

    Args:
        distortion: -E_q[log p(x|z)], at beta = 1.
        rate: KL(q(z|x) ‖ p(z)).
        iwae: the IWAE-`iwae_k` bound on log p(x) (Burda et al. 2016, eq. 8); higher is better.
        baseline: -log p(x) under the latent-free model: independent pixels with the training images' mean.
        iwae_k: importance samples of `iwae`.

    Raises:
        ValueError: The arrays are empty or of different lengths, or a value is NaN or infinite.
    """

    distortion: np.ndarray
    rate: np.ndarray
    iwae: np.ndarray
    baseline: np.ndarray
    iwae_k: int

    def __post_init__(self) -> None:
        shape = np.shape(self.distortion)
        for name in _ARRAYS:
            values = np.asarray(getattr(self, name), np.float64)
            if values.ndim != 1 or values.size == 0:
                raise ValueError(f"{name}: must be one value per image, but got shape {values.shape}")
            if values.shape != shape:
                raise ValueError(f"{name}: must have {shape[0]} values, as distortion has, but has {len(values)}")
            if not np.isfinite(values).all():
                where = int(np.flatnonzero(~np.isfinite(values))[0])
                raise ValueError(f"{name}: must be finite, but image {where} has {values[where]}")
            object.__setattr__(self, name, values)
        if isinstance(self.iwae_k, bool) or not isinstance(self.iwae_k, int) or self.iwae_k < 1:
            raise ValueError(f"`iwae_k >= 1` must hold, but got {self.iwae_k!r}")

    def __len__(self) -> int:
        return len(self.distortion)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PerImageBounds):
            return NotImplemented
        same = all(np.array_equal(getattr(self, name), getattr(other, name)) for name in _ARRAYS)
        return same and self.iwae_k == other.iwae_k

    @property
    def neg_elbo(self) -> np.ndarray:
        """(n,) distortion + rate, nats."""
        neg_elbo: np.ndarray = self.distortion + self.rate
        return neg_elbo

    @property
    def neg_iwae(self) -> np.ndarray:
        """(n,) the bound on -log p(x): what contests compare; lower is better."""
        return -self.iwae

    def to_parquet(self) -> bytes:
        """One row per image; the column `confirm_seed` is NULL."""
        return _to_parquet([(None, self)])

    @classmethod
    def from_parquet(cls, content: bytes, *, where: str) -> "PerImageBounds":
        """The bounds of `to_parquet`; `where` names the file in messages.

        Raises:
            CorruptStore: The file is damaged or holds something else.
        """
        found = _from_parquet(content, where=where)
        if set(found) != {None}:
            raise CorruptStore(
                "must hold the bounds of one model, but holds several.", path=where, advice="Restore it from a copy."
            )
        return found[None]


def seeds_to_parquet(bounds: Mapping[int, PerImageBounds]) -> bytes:
    """The bounds of a config's confirmed seeds, by seed: one row per seed and image."""
    return _to_parquet(sorted(bounds.items()))


def seeds_from_parquet(content: bytes, *, where: str) -> dict[int, PerImageBounds]:
    """The bounds of `seeds_to_parquet`; `where` names the file in messages.

    Raises:
        CorruptStore: The file is damaged or holds something else.
    """
    found = _from_parquet(content, where=where)
    seeds = {seed: bounds for seed, bounds in found.items() if seed is not None}
    if not seeds or len(seeds) != len(found):
        raise CorruptStore("must hold the bounds of confirmed seeds.", path=where, advice="Restore it from a copy.")
    return seeds


def _to_parquet(bounds: Sequence[tuple[int | None, PerImageBounds]] | Sequence[tuple[int, PerImageBounds]]) -> bytes:
    parts = [
        pa.table(
            {
                "confirm_seed": pa.array([seed] * len(of), pa.int32()),
                "image": pa.array(range(len(of)), pa.int32()),
                **{name: pa.array(getattr(of, name)) for name in _ARRAYS},
                "iwae_k": pa.array([of.iwae_k] * len(of), pa.int32()),
            },
            schema=_SCHEMA,
        )
        for seed, of in bounds
    ]
    return encode_checked(pa.concat_tables(parts), path=_NAME)


def _from_parquet(content: bytes, *, where: str) -> dict[int | None, PerImageBounds]:
    try:
        table = decode_checked(content, path=_NAME)
    except CorruptStore as error:
        raise CorruptStore(error.problem, path=where, advice=error.advice) from error
    try:
        seeds = table.column("confirm_seed").to_pylist()
        found = {}
        for seed in dict.fromkeys(seeds):
            of_seed = np.array([value == seed for value in seeds])
            values = {name: table.column(name).to_numpy()[of_seed] for name in (*_ARRAYS, "image", "iwae_k")}
            if not np.array_equal(values.pop("image"), np.arange(of_seed.sum())):
                raise ValueError("the images are not in their order")
            (iwae_k,) = np.unique(values.pop("iwae_k")).tolist()
            found[seed] = PerImageBounds(**values, iwae_k=iwae_k)
    except (ValueError, TypeError, KeyError, pa.ArrowException) as error:
        raise CorruptStore(
            f"does not hold bounds per image: {error}.", path=where, advice="Restore it from a copy."
        ) from error
    return found
