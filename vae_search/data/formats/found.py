"""Images as a file or folder holds them, by part, before they are checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from vae_search.data.formats.roles import Role
from vae_search.data.random_access.image_reader import ImageReader

AnyImages = np.ndarray | ImageReader
"""in memory, or read in ranges, where they do not fit"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """Images of a source, in the parts that it has of its own.

    Args:
        train: images to train on, or all of them.
        validation: images to choose models by; None if the source sets none apart.
        test: images to test with; None if the source sets none apart.
        labels: (count,) of a part's images, by part; parts without labels are missing.
        class_names: of labels that are numbers, by number; empty if the source names none.
        notes: sentences on what was left out, and what was changed.
        scaling: of the pixels in the file, if they were brought from it into the usual one; see `arrays.ranges`.
        is_unscaled: the range of the pixels is to be told once all of them are decoded; `scaling` is that of a model's
            images, if they are read for one.
        in_published_order: images are in the order that their publisher gave them, and that is no order of classes.
    """

    train: AnyImages
    validation: AnyImages | None = None
    test: AnyImages | None = None
    labels: Mapping[Role, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    scaling: str | None = None
    is_unscaled: bool = False
    in_published_order: bool = False
    class_names: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, parts: Mapping[Role, AnyImages], *, notes: tuple[str, ...] = (), in_published_order: bool = False
    ) -> "Found":
        """Images by part, of which `train` must be one."""
        return cls(
            train=parts["train"],
            validation=parts.get("validation"),
            test=parts.get("test"),
            notes=notes,
            in_published_order=in_published_order,
        )

    def changed(self, parts: Mapping[Role, AnyImages], notes: tuple[str, ...]) -> "Found":
        """The same with other images of the same number, and sentences on what was changed."""
        made = Found.of(parts, notes=(*self.notes, *notes), in_published_order=self.in_published_order)
        return replace(made, labels=self.labels, class_names=self.class_names)

    @property
    def parts(self) -> dict[Role, AnyImages]:
        """Images by part, of the parts that there are."""
        named: dict[Role, AnyImages | None] = {"train": self.train, "validation": self.validation, "test": self.test}
        return {role: images for role, images in named.items() if images is not None}
