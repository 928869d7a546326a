"""Choices of a spec where a file or folder leaves open what its images are."""

from dataclasses import dataclass
from typing import Literal

from vae_search.spec.sections import DataSpec, Resize


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
    """

    array: str | None = None
    column: str | None = None
    resize: Resize | None = None
    background: Literal["white", "black"] | None = None
    skip_damaged: bool = False

    @classmethod
    def of(cls, spec: DataSpec) -> "Choices":
        """The choices that a spec makes."""
        return cls(
            array=spec.array,
            column=spec.column,
            resize=spec.resize,
            background=spec.background,
            skip_damaged=spec.skip_damaged,
        )


NONE = Choices()
