"""Labels of the parts of a data set, which conditional models see."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from vae_search.core.dataset_summary import Classes
from vae_search.core.text import first_few, printable
from vae_search.data.labelling.source_labels import source_labels
from vae_search.data.sources import Source
from vae_search.data.splits import Split
from vae_search.errors import BadData

PARTS = ("train", "select", "judge", "test")
WHERE_LABELS_ARE = "Labels come from class folders, y_train and y_test of an .npz, a column label, or IDX files beside."
LONGEST_NAME = 200  # characters of a class's name that are kept; with longer ones classes have numbers alone
_MOST_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PartLabels:
    """Labels of all parts of a data set that a conditional model is trained on.

    Args:
        parts: (count,) int64 of the images of each of `PARTS`.
        names: of the classes, by number; empty if the source names none.
    """

    parts: Mapping[str, np.ndarray]
    names: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """One more than the greatest label of the training images; all others occur among those."""
        return int(self.parts["train"].max()) + 1

    @property
    def known(self) -> Classes:
        """Classes with the number of their training images."""
        counts = tuple(map(int, np.bincount(self.parts["train"])))
        return Classes(counts=counts, names=self.names)

    @property
    def sha256(self) -> str:
        """Hash of all labels."""
        digest = hashlib.sha256()
        for part in PARTS:
            digest.update(f"{len(self.parts[part])}:".encode() + self.parts[part].astype("<i8").tobytes())
        return digest.hexdigest()

    @classmethod
    def of(cls, labels: Mapping[str, np.ndarray], *, where: str, names: tuple[str, ...] = ()) -> "PartLabels":
        """Labels for a conditional model.

        Args:
            names: of the classes, by number.

        Raises:
            BadData: A part has none, or has a class that no training image has; or all are of one class.
        """
        if missing := [part for part in PARTS if part not in labels]:
            some = "none has one" if len(missing) == len(PARTS) else f"those for {', '.join(missing)} have none"
            raise BadData(
                f"{where}: data.condition: label needs the label of every image, but {some}.\n{WHERE_LABELS_ARE}"
            )
        known = {*map(int, np.unique(labels["train"]))}
        for part in PARTS[1:]:
            if unknown := sorted({*map(int, np.unique(labels[part]))} - known):
                shown = first_few([names[number] if names else str(number) for number in unknown], _MOST_SHOWN)
                raise BadData(
                    f"{where}: data.condition: label needs training images of every class, but those of {shown} are "
                    f"all among the images for {part}.\nBring more images of them, or leave them out."
                )
        if len(known) == 1:
            one = names[min(known)] if names else f"class {min(known)}"
            raise BadData(
                f"{where}: data.condition: label needs images of two classes, but all are of {printable(one)}.\n"
                "Sort them into a folder for each class, or leave data.condition out."
            )
        names = names[: max(known) + 1]
        usable = len(names) == max(known) + 1 and max(map(len, names)) <= LONGEST_NAME
        return cls(parts={part: labels[part] for part in PARTS}, names=names if usable else ())


def labels_by_part(source: Source, split: Split, *, with_more: bool, beside: bool = True) -> dict[str, np.ndarray]:
    """Labels by part, of those parts that have some.

    Args:
        with_more: those that only a conditional model needs, too.
        beside: those that lie beside the images, too. Beside an array that a spec names may lie another one's.
    """
    if with_more:
        source = replace(source, labels={**source.labels, **source.read_more_labels()})
    find = labels_of if beside else _given
    pool = find(source, "train", len(source.train))
    own = None if source.test is None else find(source, "test", len(source.test))
    positions = {"train": split.train, "select": split.select, "judge": split.judge}
    if split.test is not None:
        positions["test"] = split.test
    found = {} if pool is None else {part: pool[chosen] for part, chosen in positions.items()}
    return found if own is None else found | {"test": own}


def labels_of(source: Source, role: Literal["train", "test"], count: int) -> np.ndarray | None:
    """Labels of a source's images of a role: those that came with them, or lie beside."""
    found = source.labels.get(role)
    return source_labels(source.name, count, role) if found is None else found


def _given(source: Source, role: Literal["train", "test"], count: int) -> np.ndarray | None:
    return source.labels.get(role)
