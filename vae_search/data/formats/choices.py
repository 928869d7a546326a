"""Choices of a spec where a file or folder leaves open what its images are."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np

from vae_search.spec.sections import DataSpec, Resize


class RoomFor(Protocol):
    """Makes an array of this shape and type, for pictures that are `beside_bytes` of others; its contents are anything.

    Raises:
        BadData: There is no room for it.
    """

    def __call__(self, shape: tuple[int, ...], dtype: np.dtype, *, where: str, beside_bytes: int = 0) -> np.ndarray: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """Answers to what readers would otherwise refuse or decide by themselves.

    Args:
        array: name of the array that holds the images, of a container with several.
        column: name of the column that holds them, of a table with several.
        resize: size that all images are brought to; None = they must have one.
        background: ground that transparent pictures are laid on; None = white where almost nothing would be seen on
            black, else black.
        skip_damaged: leave pictures out that cannot be decoded.
        follow_links: follow links that lead out of the folder.
        scaling: of the images that a model was trained on, for new ones; see `arrays.ranges`. None = as they tell.
        room_for: makes an array of pictures that may not fit in memory; no choice of the spec's. None = they must fit.
        on_progress: told now and then how many pictures have been decoded; no choice of the spec's either.
    """

    array: str | None = None
    column: str | None = None
    resize: Resize | None = None
    background: Literal["white", "black"] | None = None
    skip_damaged: bool = False
    follow_links: bool = False
    scaling: str | None = None
    room_for: RoomFor | None = field(default=None, repr=False, compare=False)
    on_progress: Callable[[str], None] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, spec: DataSpec) -> "Choices":
        """The choices that a spec makes."""
        return cls(
            array=spec.array,
            column=spec.column,
            resize=spec.resize,
            background=spec.background,
            skip_damaged=spec.skip_damaged,
            follow_links=spec.follow_links,
        )

    @classmethod
    def of_new_images(cls, spec: DataSpec, *, scaling: str | None) -> "Choices":
        """Choices for other images of a model's kind: names of arrays and columns are those of its own file.

        Args:
            scaling: of its own images, as the summary of its data set says.
        """
        return replace(cls.of(spec), array=None, column=None, scaling=scaling)


NONE = Choices()
