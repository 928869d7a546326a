"""Choices of a spec where a file or folder leaves open what its images are."""

from dataclasses import dataclass, replace
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
        follow_links: follow links that lead out of the folder.
    """

    array: str | None = None
    column: str | None = None
    resize: Resize | None = None
    background: Literal["white", "black"] | None = None
    skip_damaged: bool = False
    follow_links: bool = False

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
    def of_new_images(cls, spec: DataSpec) -> "Choices":
        """Choices for other images of a model's kind: names of arrays and columns are those of its own file."""
        return replace(cls.of(spec), array=None, column=None)


NONE = Choices()
