"""A version's `model.weights.h5`: named float32 arrays, read without trusting whoever wrote them.

HDF5 can point out of its file: at other files (external links, external storage, virtual datasets) and at code (filter
plugins). None of it occurs in ours: a file holds one group per part of the network and one contiguous dataset per
weight, and everything else is refused before a byte of an array is read. No Keras reader is involved, so that nothing
but arrays can come out.
"""

import io
from collections.abc import Mapping
from math import prod

import h5py
import numpy as np

from vae_search.core.text import printable
from vae_search.vae.networks.network import BuiltNetwork

OVERHEAD_BYTES = 2**16  # of HDF5's own records, and as much again for each array: more than it ever needs


def weights_file(weights: Mapping[str, np.ndarray]) -> bytes:
    """Weights by the network's names as an HDF5 file; equal weights give equal bytes."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, array in weights.items():
            file.create_dataset(name, data=array, dtype=np.float32)
    return buffer.getvalue()


def read_weights(content: bytes, network: BuiltNetwork) -> dict[str, np.ndarray]:
    """The weights of `network` in a file of `weights_file`.

    Raises:
        ValueError: It is damaged, holds anything else, or a weight is not finite. One line.
    """
    shapes = dict(zip(network.names, network.shapes, strict=True))
    most = sum(4 * prod(shape) + OVERHEAD_BYTES for shape in shapes.values()) + OVERHEAD_BYTES
    if len(content) > most:
        raise ValueError(f"the network's weights take at most {most:,} bytes, but the file has {len(content):,}")
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            _refuse_other_names(file, shapes)
            arrays = {name: _read_array(file, name, shape) for name, shape in shapes.items()}
    except (OSError, RuntimeError, KeyError, TypeError, OverflowError, MemoryError) as error:  # h5py on a damaged file
        raise ValueError(f"weights must be an intact HDF5 file, but: {printable(str(error))}") from error
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: weights must be finite, but {np.count_nonzero(~np.isfinite(array)):,} are not")
    return arrays


def _refuse_other_names(file: h5py.File, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise unless the file has exactly these datasets, in groups of one level, all by hard links."""
    parts = {name.split("/")[0] for name in shapes}
    found = set()
    for part in _hard_links(file, ""):
        if part not in parts:
            raise ValueError(f"{printable(part)}: is no part of the network; only {', '.join(sorted(parts))} are")
        group = file[part]
        if not isinstance(group, h5py.Group):
            raise ValueError(f"{part}: must be a group, but is a {type(group).__name__.lower()}")
        found |= {f"{part}/{name}" for name in _hard_links(group, f"{part}/")}
    if found != set(shapes):
        wrong = sorted(found ^ set(shapes))[0]
        raise ValueError(f"{printable(wrong)}: is {'missing' if wrong in shapes else 'no weight of the network'}")


def _hard_links(group: h5py.Group, prefix: str) -> list[str]:
    """The names in a group; a soft link could lead anywhere, an external one out of the file."""
    names = [str(name) for name in group]
    for name in names:
        kind = group.get(name, getlink=True)
        if not isinstance(kind, h5py.HardLink):
            raise ValueError(f"{prefix}{printable(name)}: must be no link, but is a {type(kind).__name__}")
    return names


def _read_array(file: h5py.File, name: str, shape: tuple[int, ...]) -> np.ndarray:
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"{name}: must be a dataset, but is a {type(dataset).__name__.lower()}")
    if dataset.dtype != np.dtype("<f4"):
        raise ValueError(f"{name}: must be of float32, but is of {printable(str(dataset.dtype))}")
    if dataset.shape != shape:  # as declared: nothing has been reserved for it yet
        raise ValueError(f"{name}: must have shape {shape}, but has {printable(str(dataset.shape))}")
    creation = dataset.id.get_create_plist()
    if creation.get_external_count() or creation.get_layout() != h5py.h5d.CONTIGUOUS or creation.get_nfilters():
        raise ValueError(f"{name}: must lie in the file in one piece, but is stored elsewhere, in chunks or packed")
    array: np.ndarray = dataset[()]
    return array
