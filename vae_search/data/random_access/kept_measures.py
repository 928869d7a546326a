"""Measures of images that do not fit in memory, and the draws that they are scored on: made once for a node."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vae_search.core.dataset_summary import DatasetSummary
from vae_search.data.pixel_statistics import PixelStatistics
from vae_search.data.random_access.kept_folders import KeptFile, full_disk, kept
from vae_search.data.random_access.mapped_images import Keep, MappedImages, PixelArray, in_memory

VERSION = 1  # of these files; another one has other names
FACTS, STATISTICS = "measures.json", "statistics.npz"
VALIDATION, TEST = "validation", "test"
ARRAYS = ("mean", "variance", "lowest", "highest")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measures:
    """Everything about a data set that takes a pass over its images.

    Args:
        pixels: of the training images.
        floor: see `Dataset`.
        summary: None for images that are only scored.
        folder: of the cache, that they are kept in.
        drawn: of validation and test, images that were binarised once; empty if pixels are scored as they are.
    """

    pixels: PixelStatistics
    floor: float = 0.0
    summary: DatasetSummary | None = None
    drawn: Mapping[str, PixelArray] = field(default_factory=dict)
    folder: Path | None = None


Measure = Callable[[Mapping[str, Keep]], Measures]
"""Measures a data set, and keeps what is drawn of its validation and its test images"""


def measures(measure: Measure, *, folder: Path | None, task: object, where: str) -> Measures:
    """Measures of a data set; kept beside its images if those are in a folder of the cache.

    Args:
        folder: of the images; None if they are in memory.
        task: all that the measures depend on beside the images, as JSON.
        where: what messages begin with.

    Raises:
        BadData: There is no room for what is drawn.
    """
    if folder is None:
        return measure({VALIDATION: in_memory, TEST: in_memory})

    def make(part: Path) -> None:
        found = measure({name: KeptFile(_file(part, name)) for name in (VALIDATION, TEST)})
        np.savez(part / STATISTICS, **{name: getattr(found.pixels, name) for name in ARRAYS})
        facts = {
            "floor": found.floor,
            "levels": found.pixels.levels,
            "summary": None if found.summary is None else found.summary.to_json(),
            "drawn": {name: pixels.shape for name, pixels in found.drawn.items()},
        }
        (part / FACTS).write_text(json.dumps(facts))

    name = hashlib.sha256(json.dumps([VERSION, task]).encode()).hexdigest()[:16]
    try:
        return kept(folder.with_name(f"{folder.name}-{name}"), make, _read)
    except OSError as error:
        raise full_disk(error, folder.parents[1], where=where) from error


def _read(folder: Path) -> Measures:
    facts = json.loads((folder / FACTS).read_bytes())
    with np.load(folder / STATISTICS) as arrays:
        pixels = PixelStatistics(levels=facts["levels"], **{name: arrays[name] for name in ARRAYS})
    drawn = {
        name: MappedImages.open(_file(folder, name), shape, np.dtype(np.uint8))
        for name, shape in facts["drawn"].items()
    }
    summary = DatasetSummary.from_json(facts["summary"])
    return Measures(floor=facts["floor"], pixels=pixels, summary=summary, drawn=drawn, folder=folder)


def _file(folder: Path, part: str) -> Path:
    return folder / f"{part}.drawn"
