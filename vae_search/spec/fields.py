"""Types of spec fields that take more than one form, and the location of a data source."""

import os.path
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from vae_search.core.criteria import CRITERIA, METRIC
from vae_search.core.text import shown

Precision = Literal["float32", "bfloat16"]
MAX_MEMORY_BYTES = 2**50
_MEMORY_UNITS = {unit: 1000**power for power, unit in enumerate(("B", "kB", "MB", "GB", "TB"))} | {
    unit: 1024**power for power, unit in enumerate(("KiB", "MiB", "GiB", "TiB"), start=1)
}
_MEMORY = re.compile(rf"^([0-9]+(?:\.[0-9]+)?) ?({'|'.join(_MEMORY_UNITS)})$")
LEAST_AMOUNT = 1e-4  # Ray counts in ten-thousandths
_RAYS_OWN = ("CPU", "GPU", "memory", "object_store_memory")

NAMES = ("digits", "photo_patches", "mnist", "fashion_mnist", "cifar10")  # data sets that need no path
IN_STORE = "store:"  # before the digest of images that were sent along, as in store:<digest>/<name>
_SENT = re.compile(rf"{IN_STORE}[0-9a-f]{{32}}/[^/.][^/]*")
PLUGIN = "plugin:"  # before the name of a data set that an installed package has
SOURCES_GROUP = "vae_search.sources"  # of the entry points that are such names
_PLUGIN = re.compile(rf"{PLUGIN}[A-Za-z0-9][A-Za-z0-9_.-]*")
FAR = ("https://", "http://", "s3://", "gs://")  # images that are fetched
FILES = (".npz", ".npy", ".parquet", ".csv", ".csv.gz", ".h5", ".hdf5", ".mat", ".zip", ".tar", ".tar.gz", ".tgz")


def located(source: str, folder: Path) -> str:
    """The source as a sweep stores it: a known name, an absolute path, or an address.

    Raises:
        ValueError: The source is an address that cannot be used, or a bare word that looks like a mistyped name.
    """
    if source in NAMES:
        return source
    if source.startswith(IN_STORE):
        if not _SENT.fullmatch(source):
            raise ValueError("must be store:<digest>/<name>, as `vae-search submit --upload-data` writes it.")
        return source
    if source.startswith(PLUGIN):
        if not _PLUGIN.fullmatch(source):
            raise ValueError("must be plugin:NAME, the name in letters, digits, dots, hyphens and underscores.")
        return source
    if "://" in source:
        hidden = source.rpartition("/")[2].startswith(".")
        # Not repeated: it may hold a password.
        if not source.startswith(FAR) or any(mark in source for mark in "@?#") or not source.endswith(FILES) or hidden:
            raise ValueError(
                "must be a name, a path, or the address of one file, https://…, s3://… or gs://…, that ends in "
                f"{', '.join(FILES)}, without user, password or query."
            )
        return source
    close = get_close_matches(source.lower().replace("-", "_"), NAMES, n=1, cutoff=0.8)
    if close and not {"/", "."} & {*source}:
        raise ValueError(
            f"{shown(source)} is no data set. Did you mean {close[0]}? Built in are {', '.join(NAMES)}; a folder of "
            f"that name is ./{source}."
        )
    path = Path(source).expanduser() if source.startswith("~/") else Path(source)
    return os.path.normpath(folder / path) if source else source


def installed_sources() -> list[str]:
    """Data sets that installed packages have, as a spec names them."""
    from importlib.metadata import entry_points  # not loaded by commands that need none

    return sorted({f"{PLUGIN}{entry.name}" for entry in entry_points(group=SOURCES_GROUP)})


def _share(value: object) -> object:
    whole = isinstance(value, int) and not isinstance(value, bool) and 2 <= value <= 10**9
    if value is None or whole or (isinstance(value, float) and 0 < value < 1):
        return value
    raise ValueError(f"must be a count (>= 2) or a fraction (> 0 and < 1), but got {shown(value)}.")


def _concurrency(value: object) -> object:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 100_000):
        return value
    raise ValueError(f"must be auto or a whole number >= 1, but got {shown(value)}.")


def _auto_epochs(value: object) -> object:
    if value in (None, "auto") or (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 100_000):
        return value
    raise ValueError(f"must be auto or a whole number >= 1, but got {shown(value)}.")


def _gpus(value: object) -> object:
    number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else -1.0
    if number == 0 or LEAST_AMOUNT <= number <= 1 or (number <= 1024 and number.is_integer() and number > 0):
        return number
    raise ValueError(f"must be 0, a share of one GPU below 1, or a whole number, but got {shown(value)}.")


def _memory(value: object) -> object:
    """Bytes; from a number of them, or from `500MB`, `4GiB`."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_MEMORY_BYTES:
        return value
    found = _MEMORY.fullmatch(value.strip()) if isinstance(value, str) else None
    size = round(float(found[1]) * _MEMORY_UNITS[found[2]]) if found else -1
    if 0 < size <= MAX_MEMORY_BYTES:
        return size
    raise ValueError(f"must be bytes or a size such as 500MB or 4GiB, but got {shown(value)}.")


def _amount(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool) and LEAST_AMOUNT <= value <= 10**6:
        return float(value)
    raise ValueError(f"must be a number >= {LEAST_AMOUNT}, but got {shown(value)}.")


def _resource_name(value: object) -> object:
    if isinstance(value, str) and value and value not in _RAYS_OWN:
        return value
    raise ValueError(f"must name a custom resource of Ray's, but got {shown(value)}; CPUs, GPUs and memory have keys.")


def _clamp(value: object) -> object:
    bounds = [bound for bound in value if type(bound) in (int, float)] if isinstance(value, list | tuple) else []
    if not (isinstance(value, list | tuple) and len(value) == len(bounds) == 2 and -50 <= bounds[0] < bounds[1] <= 50):
        raise ValueError(f"must be [low, high] with -50 <= low < high <= 50, but got {shown(value)}.")
    return float(bounds[0]), float(bounds[1])


Share = Annotated[  # a count or a fraction of the images
    int | float | None,
    BeforeValidator(_share),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 2},
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                {"type": "null"},
            ]
        }
    ),
]
Concurrency = Annotated[
    int | Literal["auto"],
    BeforeValidator(_concurrency),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": 100_000}]}),
]
AutoEpochs = Annotated[
    int | Literal["auto"] | None,
    BeforeValidator(_auto_epochs),
    WithJsonSchema(
        {"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": 100_000}, {"type": "null"}]}
    ),
]
Gpus = Annotated[float, BeforeValidator(_gpus), WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1024})]
Memory = Annotated[
    int,
    BeforeValidator(_memory),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": _MEMORY.pattern}]}),
]
PositiveAmount = Annotated[
    float, BeforeValidator(_amount), WithJsonSchema({"type": "number", "minimum": LEAST_AMOUNT, "maximum": 10**6})
]
ResourceName = Annotated[str, BeforeValidator(_resource_name), WithJsonSchema({"type": "string", "minLength": 1})]
Clamp = Annotated[
    tuple[float, float],
    BeforeValidator(_clamp),
    WithJsonSchema(
        {"type": "array", "items": {"type": "number", "minimum": -50, "maximum": 50}, "minItems": 2, "maxItems": 2}
    ),
]


def _is_criterion(value: str) -> str:
    if value not in CRITERIA and not value.startswith(METRIC):
        raise ValueError(f"must be one of {', '.join(CRITERIA)}, or {METRIC}NAME of a metric, but got {shown(value)}.")
    return value


Criterion = Annotated[
    str,
    AfterValidator(_is_criterion),
    WithJsonSchema({"anyOf": [{"enum": [*CRITERIA]}, {"type": "string", "pattern": f"^{METRIC}"}]}),
]
