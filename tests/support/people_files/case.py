"""One kind of file that people have: how to make a small one, and what becomes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """Args:
    name: short, of the test.
    shape: what the file or folder looks like, as the table of the docs has it.
    outcome: what we do, as the table of the docs has it; empty if the table has another line of this kind.
    make: writes it into a folder, and returns the source.
    parts: images to train on, to choose models by if the source says so, and to test with if it says so.
    pixels: (count, height, width, channels) of the images to train on and to choose by, in the order of the source;
        None if only their shape counts.
    shape_of: (height, width, channels) of the images.
    tolerance: difference of a pixel that the encoding costs.
    said: fragments that the summary must have.
    refused: fragment of the refusal; None if it is read.
    choices: keys of `data` beside the source.
    """

    name: str
    shape: str
    outcome: str = ""
    make: Callable[[Path], Path]
    parts: tuple[int, int | None, int | None] = (200, None, None)
    pixels: Callable[[], np.ndarray] | None = None
    shape_of: tuple[int, int, int] = (28, 28, 1)
    tolerance: int = 0
    said: tuple[str, ...] = ()
    refused: str | None = None
    choices: Mapping[str, Any] = field(default_factory=dict)
