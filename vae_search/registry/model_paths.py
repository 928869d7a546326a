"""Paths of the models in the store; those of sweeps are in `store/paths.py`.

models/<model>/log/000007.json                    the registry of one model: numbered, hash-chained, never rewritten
models/<model>/versions/3/                        the files of one version; manifest.json last
models/<model>/serving/3/                         the champion's SavedModel, for model servers; derived
"""

import re

from vae_search.core.references import NAME_LAW, NAME_PATTERN
from vae_search.core.text import shown
from vae_search.errors import NotFound

MODELS = "models"

_NAME = re.compile(NAME_PATTERN)


def is_name(name: str) -> bool:
    """True if a model can have this name."""
    return _NAME.fullmatch(name) is not None


def model(name: str) -> str:
    """The folder of a model.

    Raises:
        NotFound: No model can have this name: it would lead out of its folder.
    """
    if not is_name(name):
        raise NotFound(f"{shown(name)} cannot be the name of a model: it {NAME_LAW}.")
    return f"{MODELS}/{name}"


def model_log(name: str) -> str:
    """The folder of a model's log."""
    return f"{model(name)}/log"


def model_entry(name: str, number: int) -> str:
    """One entry of a model's log."""
    return f"{model_log(name)}/{number:06d}.json"


def versions(name: str) -> str:
    """The folder of a model's versions."""
    return f"{model(name)}/versions"


def version(name: str, number: int) -> str:
    """The folder of one version; without leading zeros, as TensorFlow Serving wants it."""
    return f"{versions(name)}/{number}"


def version_of(path: str) -> int | None:
    """The version that a file below `versions/` belongs to, if it is one."""
    found = re.fullmatch(rf"{MODELS}/[^/]+/versions/([1-9]\d*)/.+", path)
    return int(found[1]) if found else None


def serving(name: str) -> str:
    """The folder that a model server watches."""
    return f"{model(name)}/serving"


def served(name: str, number: int) -> str:
    """The folder of one served version; a number alone, as TensorFlow Serving wants it."""
    return f"{serving(name)}/{number}"


def served_version_of(path: str) -> int | None:
    """The version that a file below `serving/` belongs to, if it is one that a server would see."""
    found = re.fullmatch(rf"{MODELS}/[^/]+/serving/(0|[1-9]\d*)/.+", path)
    return int(found[1]) if found else None
