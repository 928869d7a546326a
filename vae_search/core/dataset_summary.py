"""Summary of the images that a sweep read: plain numbers, told before anything starts and kept in its record."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from typing import Any

from vae_search.core.text import first_few, printable

PARTS = ("train", "select", "judge", "test")
HELD_OUT = PARTS[1:]
LISTED_CLASSES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """Classes of the labels that a conditional model sees, by number.

    Args:
        counts: training images of each; 0 for numbers that no label has, as 0 is where labels begin with 1.
        names: of each; empty where the source has none.

    Raises:
        ValueError: There are names, but not one for each.
    """

    counts: tuple[int, ...]
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.names and len(self.names) != len(self.counts):
            raise ValueError(f"there must be {len(self.counts)} names of classes, but there are {len(self.names)}")

    @property
    def seen(self) -> tuple[int, ...]:
        """Numbers of the classes that training images have."""
        return tuple(number for number, count in enumerate(self.counts) if count)

    def title(self, number: int) -> str:
        """A class as people read it, by its name if it has one."""
        return printable(self.names[number], 40) if self.names else str(number)

    def number_of(self, text: str) -> int | None:
        """Number of the class that a name or a number means, the name first; None if there is none."""
        return self.named(text) if text in self.names else self.numbered(text)

    def named(self, name: str) -> int | None:
        """Number of the class of this name; None if there is none."""
        return self.names.index(name) if name in self.names else None

    def numbered(self, text: str) -> int | None:
        """The number that a text is, if it is that of a class; None if not."""
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1
        return number if number in self.seen else None

    def hint(self, text: str) -> str:
        """Advice on a text that means no class: the name that is closest, or the classes that there are."""
        titles = [self.title(number) for number in self.seen]
        if self.names and (close := get_close_matches(text, titles, n=1, cutoff=0.6)):
            return f"Did you mean {close[0]}?"
        numbers = f"{self.seen[0]} to {self.seen[-1]}"
        return f"Its classes are {self.in_order}." if self.names else f"Its classes are the numbers {numbers}."

    @property
    def sentence(self) -> str:
        """Classes and the numbers of their training images in words."""
        listed = [f"{self.title(number)} ({self.counts[number]:,})" for number in self.seen]
        return f"Training images of {len(listed)} classes: {first_few(listed, LISTED_CLASSES)}."

    @property
    def in_order(self) -> str:
        """Classes in words, in the order of the rows of a picture of samples."""
        return first_few([self.title(number) for number in self.seen], LISTED_CLASSES)

    @classmethod
    def from_json(cls, fields: object) -> "Classes | None":
        """The classes of `dataclasses.asdict`; None if there are none."""
        if not isinstance(fields, Mapping):
            return None
        return cls(counts=tuple(fields["counts"]), names=tuple(fields.get("names", ())))


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSummary:
    """Images as they were read and split, before they are binarised.

    Args:
        white: what the brightest intensity is in the pixels: 255 for bytes, 1 for floats and for black and white.
        range: least and greatest intensity, in [0, 1].
        is_binary: whether all values are black or white.
        is_coloured: whether the channels of a pixel differ anywhere.
        parts: number of images by part: train, select, judge, test.
        has_own_test: whether the test images are the source's own.
        copies: images that equal one before them, pixel by pixel, over all parts.
        in_train: number of held-out images that equal a training image, by part: select, judge, test.
        notes: sentences on what was left out, and what was changed before it was read.
        scaling: of the pixels in the file, that new images for a model are read by too: `[-1, 1]`, `0 … 255` or
            `12 bits`; None if they were read as they are, and in records from before it was kept.
        classes: that models see; None if they see no labels, and in records from before they were kept.
    """

    height: int
    width: int
    channels: int
    white: float
    range: tuple[float, float]
    is_binary: bool
    is_coloured: bool
    parts: Mapping[str, int]
    has_own_test: bool
    copies: int
    in_train: Mapping[str, int]
    notes: tuple[str, ...] = field(default=())
    scaling: str | None = None
    classes: Classes | None = None

    @property
    def images(self) -> int:
        """Number of images in all parts."""
        return sum(self.parts.values())

    @property
    def held_out_share_in_train(self) -> float:
        """Share of images that equal a training image, of the held-out part in which it is largest."""
        return max(self.in_train[part] / self.parts[part] for part in HELD_OUT)

    @property
    def sentences(self) -> tuple[str, ...]:
        """All of it in words, one sentence or two a line."""
        train, *held_out = (f"{self.parts[part]:,}" for part in PARTS)
        select, judge, test = held_out
        colour = "black and white" if self.is_binary else "grey"
        if self.channels == 3:
            colour = "in colour" if self.is_coloured else f"{colour} in three equal channels"
        low, high = self.range
        own = " of the source's own" if self.has_own_test else ""
        lines = [
            f"{self.images:,} images of {self.height}×{self.width}, {colour}, intensities {low:.3g} … {high:.3g}, "
            f"white is {self.white:g}: {train} to train on, {select} to select and {judge} to judge by, "
            f"{test}{own} to test."
        ]
        in_train = {part: self.in_train[part] for part in HELD_OUT if self.in_train[part]}
        leaked = [f"{count:,} of {self.parts[part]:,} {part} images" for part, count in in_train.items()]
        if self.copies:
            lines.append(f"Exact copies of other images: {self.copies:,}.")
        if leaked:
            lines.append(
                f"Copies of training images are among those held out: {', '.join(leaked)}. Scores on them say less of "
                "new images; the gate `duplicates` is for that."
            )
        if self.classes is not None:
            lines.append(self.classes.sentence)
        return (*lines, *self.notes)

    def to_json(self) -> dict[str, Any]:
        """Plain values, which `from_json` turns into an equal summary."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: object) -> "DatasetSummary | None":
        """The summary of `to_json`; None if there is none, as in records from before there was any."""
        if not isinstance(fields, Mapping):
            return None
        known = {name: fields[name] for name in cls.__dataclass_fields__ if name in fields}
        try:
            low, high = known.pop("range")
            read = {"notes": tuple(known.get("notes", ())), "classes": Classes.from_json(known.get("classes"))}
            return cls(**known | {"range": (low, high)} | read)
        except (KeyError, TypeError, ValueError):
            return None
