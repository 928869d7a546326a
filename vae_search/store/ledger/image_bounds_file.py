"""Bounds of a model on each judge image, in the images' order, and their Parquet file."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from vae_search.core.image_bounds import BOUND_NAMES, ImageBounds
from vae_search.errors import CorruptStore
from vae_search.store.ledger.artifacts import PER_IMAGE_FILE
from vae_search.store.ledger.checksums import decode_checked, encode_checked

# Within its folder: the same bytes are valid in every folder, whose manifest binds them to it.
_NAME = PER_IMAGE_FILE
_SCHEMA = pa.schema(
    [("confirm_seed", pa.int32()), ("image", pa.int32())]
    + [(name, pa.float64()) for name in BOUND_NAMES]
    + [("iwae_k", pa.int32())]
)


def bounds_to_parquet(bounds: ImageBounds) -> bytes:
    """The bounds of one model: one row per image; the column `confirm_seed` is NULL."""
    return _to_parquet([(None, bounds)])


def bounds_from_parquet(content: bytes, *, where: str) -> ImageBounds:
    """The bounds of `bounds_to_parquet`; `where` names the file in messages.

    Raises:
        CorruptStore: The file is damaged or holds something else.
    """
    found = _from_parquet(content, where=where)
    if set(found) != {None}:
        raise CorruptStore(
            "must hold the bounds of one model, but holds several.", path=where, advice="Restore it from a copy."
        )
    return found[None]


def seeds_to_parquet(bounds: Mapping[int, ImageBounds]) -> bytes:
    """The bounds of a config's confirmed seeds, by seed: one row per seed and image."""
    return _to_parquet(sorted(bounds.items()))


def seeds_from_parquet(content: bytes, *, where: str) -> dict[int, ImageBounds]:
    """The bounds of `seeds_to_parquet`; `where` names the file in messages.

    Raises:
        CorruptStore: The file is damaged or holds something else.
    """
    found = _from_parquet(content, where=where)
    seeds = {seed: bounds for seed, bounds in found.items() if seed is not None}
    if not seeds or len(seeds) != len(found):
        raise CorruptStore("must hold the bounds of confirmed seeds.", path=where, advice="Restore it from a copy.")
    return seeds


def _to_parquet(bounds: Sequence[tuple[int | None, ImageBounds]] | Sequence[tuple[int, ImageBounds]]) -> bytes:
    parts = [
        pa.table(
            {
                "confirm_seed": pa.array([seed] * len(of), pa.int32()),
                "image": pa.array(range(len(of)), pa.int32()),
                **{name: pa.array(getattr(of, name)) for name in BOUND_NAMES},
                "iwae_k": pa.array([of.iwae_k] * len(of), pa.int32()),
            },
            schema=_SCHEMA,
        )
        for seed, of in bounds
    ]
    return encode_checked(pa.concat_tables(parts), path=_NAME)


def _from_parquet(content: bytes, *, where: str) -> dict[int | None, ImageBounds]:
    try:
        table = decode_checked(content, path=_NAME)
    except CorruptStore as error:
        raise CorruptStore(error.problem, path=where, advice=error.advice) from error
    try:
        seeds = table.column("confirm_seed").to_pylist()
        found = {}
        for seed in dict.fromkeys(seeds):
            of_seed = np.array([value == seed for value in seeds])
            values = {name: table.column(name).to_numpy()[of_seed] for name in (*BOUND_NAMES, "image", "iwae_k")}
            if not np.array_equal(values.pop("image"), np.arange(of_seed.sum())):
                raise ValueError("the images are not in their order")
            (iwae_k,) = np.unique(values.pop("iwae_k")).tolist()
            found[seed] = ImageBounds(**values, iwae_k=iwae_k)
    except (ValueError, TypeError, KeyError, pa.ArrowException) as error:
        raise CorruptStore(
            f"does not hold bounds per image: {error}.", path=where, advice="Restore it from a copy."
        ) from error
    return found
