"""MATLAB's files: versions 4 to 7 by SciPy, 7.3 as the HDF5 that it is.

SciPy reads in a process of its own: of some damaged files it does not raise, but ends its process (1.17).
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vae_search.core.text import printable
from vae_search.data.formats.arrays.hdf5 import SIGNATURE, read_hdf5
from vae_search.data.formats.arrays.naming import ArrayHeader, choose_arrays
from vae_search.data.formats.arrays.numpy_files import read_array
from vae_search.data.formats.choices import Choices
from vae_search.data.formats.found import Found
from vae_search.data.formats.safe_reading import place, reading
from vae_search.data.image_checks import refuse_too_large
from vae_search.errors import BadData

HEADER_BYTES = 512  # before the HDF5 of version 7.3
ITEM_BYTES = 8  # of a number at most
TYPES = {"single": np.float32, "double": np.float64, "logical": np.uint8} | {
    f"{sign}int{bits}": np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)
}
# Tells what is in the file, is told what to read, and writes that as .npy files are written. Pickles nothing.
READER = """
import json, sys, warnings
import numpy, scipy.io
warnings.simplefilter("ignore")
print(json.dumps(scipy.io.whosmat(sys.argv[1])), flush=True)
names = json.loads(sys.stdin.readline())
values = scipy.io.loadmat(sys.argv[1], variable_names=names)
for name in names:
    numpy.lib.format.write_array(sys.stdout.buffer, numpy.asarray(values[name]), allow_pickle=False)
sys.stdout.buffer.flush()
"""


def read_matlab(path: Path, choices: Choices, held_bytes: int) -> Found:
    """The images of a .mat file.

    Args:
        held_bytes: see `read_hdf5`.

    Raises:
        BadData: No variable, or more than one, may hold the images, or the file is damaged or too large.
    """
    where = place(path)
    with reading(where), path.open("rb") as file:
        begin = file.read(HEADER_BYTES + len(SIGNATURE))
    if begin.startswith(SIGNATURE) or begin[HEADER_BYTES:] == SIGNATURE:
        return read_hdf5(path, choices, held_bytes, by_columns=True)
    with _reader(path, where) as process:
        headers = _headers(process.stdout.readline(), where)
        chosen = choose_arrays(headers, array=choices.array, where=where)
        names = [*chosen.images.values(), *chosen.labels.values()]
        held = 0
        for name in names:
            refuse_too_large(headers[name].shape, ITEM_BYTES, where=f"{where}: {printable(name)}", beside_bytes=held)
            held += ITEM_BYTES * int(np.prod(headers[name].shape))
        process.stdin.write(json.dumps(names).encode() + b"\n")
        process.stdin.flush()
        try:
            found = [read_array(process.stdout, f"{where}: {printable(name)}", is_last=False) for name in names]
        except BadData as error:
            if process.wait() != 0:
                raise BadData(_damaged(where)) from error
            raise
    parts = dict(zip(chosen.images, found, strict=False))
    labels = {role: values.reshape(-1) for role, values in zip(chosen.labels, found[len(chosen.images) :], strict=True)}
    return replace(Found.of(parts, notes=chosen.notes, in_published_order=True), labels=labels)


@contextmanager
def _reader(path: Path, where: str) -> Iterator[Any]:
    """The process that reads; it ends when nobody wants more of it."""
    command = [sys.executable, "-P", "-c", READER, str(path.absolute())]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        except BrokenPipeError as error:
            raise BadData(_damaged(where)) from error
        finally:
            process.kill()  # what it still might say is of no use


def _headers(line: bytes, where: str) -> Mapping[str, ArrayHeader]:
    if not line:
        raise BadData(_damaged(where))
    return {
        name: ArrayHeader(shape=tuple(shape), dtype=np.dtype(TYPES.get(kind, object)))
        for name, shape, kind in json.loads(line)
    }


def _damaged(where: str) -> str:
    return f"{where}: must be a complete MATLAB file, but it is none, or damaged. Get it again."
