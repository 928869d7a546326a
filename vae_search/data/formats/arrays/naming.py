"""Choice of the arrays of a container that hold its images, by their names and shapes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from vae_search.core.text import first_few, printable
from vae_search.data.formats.roles import ROLE_NAMES, Role, names_no_images, role_within, words_of
from vae_search.data.image_checks import CHANNELS, LARGEST, SMALLEST
from vae_search.errors import BadData

USUAL = ("images", "image", "imgs", "img", "pictures", "x", "data", "pixels", "arr")
MOST_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayHeader:
    """Shape and type of an array that has not been read."""

    shape: tuple[int, ...]
    dtype: np.dtype


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenArrays:
    """Names of the arrays of a container that are read.

    Args:
        images: by part; `train` is one of them.
        labels: by part, of class numbers.
        left_out: arrays that are neither.
    """

    images: Mapping[Role, str]
    labels: Mapping[Role, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what was chosen, and left out."""
        left = (f"Left out of the file: {first_few(self.left_out)}.",) if self.left_out else ()
        if set(self.images) == {"train"}:
            return (f"Read from the array {printable(self.images['train'])}.", *left)
        parts = ", ".join(f"{printable(name)} ({role})" for role, name in self.images.items())
        return (f"Read from the arrays {parts}.", *left)


def choose_arrays(arrays: Mapping[str, ArrayHeader], *, array: str | None, where: str) -> ChosenArrays:
    """Choose the arrays that hold images.

    Args:
        array: the one that the spec names, if it does.

    Raises:
        BadData: No array can hold images, or several can and nothing says which does.
    """
    if array is not None:
        if array not in arrays:
            raise BadData(f"{where}: data.array is {printable(array)}, but there is no such array.\n{_listed(arrays)}")
        return ChosenArrays(images={"train": array}, left_out=_left_out(arrays, {array}))
    candidates = [name for name, header in arrays.items() if _holds_images(header) and not names_no_images(name)]
    flat = [name for name, header in arrays.items() if _is_flat(header) and not names_no_images(name)]
    for found in (candidates, [] if candidates else flat):
        if chosen := _by_role(found) or _alone(found):
            labels = _labels(arrays, chosen)
            used = {*chosen.values(), *labels.values()}
            return ChosenArrays(images=chosen, labels=labels, left_out=_left_out(arrays, used))
    several = candidates or flat
    if several:
        raise BadData(
            f"{where}: one array must hold the images, but {len(several)} may: {first_few(several, MOST_SHOWN)}.\n"
            f"Say which: data.array: {printable(several[0])}"
        )
    raise BadData(
        f"{where}: an array must hold images, (count, height, width) or (count, height, width, channels), "
        f"but none does.\n{_listed(arrays)}"
    )


def _by_role(names: list[str]) -> dict[Role, str]:
    """Names by the part that they say they are; empty if that is not clear."""
    by_role: dict[Role, list[str]] = {role: [] for role in ROLE_NAMES}
    rest: list[str] = []
    for name in names:
        role = role_within(name)
        (rest if role is None else by_role[role]).append(name)
    if not by_role["train"] and any(by_role.values()):  # as Omniglot's data and testdata
        by_role["train"] = rest
    one = {role: _alone(found) for role, found in by_role.items() if found}
    if "train" not in one or not all(one.values()):
        return {}
    return {role: found["train"] for role, found in one.items()}


def _alone(names: list[str]) -> dict[Role, str]:
    """The one name, or the one of a usual kind."""
    usual = [name for name in names if set(words_of(name)) & {*USUAL}]
    for found in (names, usual):
        if len(found) == 1:
            return {"train": found[0]}
    return {}


def _labels(arrays: Mapping[str, ArrayHeader], images: Mapping[Role, str]) -> dict[Role, str]:
    found: dict[Role, str] = {}
    for role in images:
        fitting = [
            name
            for name, header in arrays.items()
            if names_no_images(name)
            and {"y", "label", "labels", "target", "targets", "class", "classes"} & {*words_of(name)}
            and _is_column(header)
            and (role_within(name) == role or (len(images) == 1 and role_within(name) is None))
        ]
        if len(fitting) == 1:
            found[role] = fitting[0]
    return found


def _left_out(arrays: Mapping[str, ArrayHeader], used: set[str]) -> tuple[str, ...]:
    return tuple(name for name in arrays if name not in used and not names_no_images(name))


def _holds_images(header: ArrayHeader) -> bool:
    shape = header.shape
    if header.dtype.hasobject or header.dtype.kind not in "buif" or len(shape) not in (3, 4):
        return False
    sides = [size for size in shape if size >= SMALLEST]
    channels = [size for size in shape if size in CHANNELS]
    return len(sides) == len(shape) or (len(shape) == 4 and len(sides) >= 3 and len(channels) >= 1)


def _is_flat(header: ArrayHeader) -> bool:
    if header.dtype.hasobject or header.dtype.kind not in "buif" or len(header.shape) != 2:
        return False
    return any(flat_shape(size) is not None for size in header.shape)


def flat_shape(length: int) -> tuple[int, int, int] | None:
    """(height, width, channels) of a square image of so many numbers; None if it cannot be one."""
    for channels in CHANNELS:  # never both: 3 is no square
        side = math.isqrt(length // channels)
        if SMALLEST <= side <= LARGEST and channels * side * side == length:
            return side, side, channels
    return None


def _is_column(header: ArrayHeader) -> bool:
    is_one = len(header.shape) == 1 or (len(header.shape) == 2 and 1 in header.shape)
    return is_one and header.dtype.kind in "iuf" and not header.dtype.hasobject


def _listed(arrays: Mapping[str, ArrayHeader]) -> str:
    if not arrays:
        return "It holds no array."
    names = [f"{name} {header.shape}" for name, header in arrays.items()]
    return f"It holds {first_few(names, MOST_SHOWN)}."
