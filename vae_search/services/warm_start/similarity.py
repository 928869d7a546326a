"""Similarity of sweeps, by which a warm start chooses those whose best configs are tried on other data.

Two sweeps are similar if they explain images of the same height, width and channels by the same likelihood, and the
earlier one decided at least half of the parameters that the new one searches. Of similar ones that with the most such
parameters comes first, then that with the number of training images nearest by ratio, then by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from vae_search.core.dataset_summary import DatasetSummary
from vae_search.spec.search_space import SearchSpace
from vae_search.spec.sweep_spec import SweepSpec

LEAST_SHARED = 0.5
"""of the parameters that the new sweep searches"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarity:
    """Similarity of an earlier sweep to a new one."""

    shared: int
    """parameters that the new one searches and the earlier one decided"""
    searched: int
    """parameters that the new one searches"""
    size_ratio: float
    """numbers of training images, the smaller by the larger one; 0 if one is not known"""

    @property
    def order(self) -> tuple[float, ...]:
        """Sort key: the most similar one first."""
        return (-self.shared, -self.size_ratio)

    def __str__(self) -> str:
        return f"{self.shared} of {self.searched} searched parameters"


def similarity(
    new: SweepSpec, images: DatasetSummary | None, old: SweepSpec, old_images: DatasetSummary | None
) -> Similarity:
    """Compare two sweeps by what they search, and by the number of images."""
    searched = {parameter.name for parameter in new.search_space.searched}
    counts = [summary.parts["train"] for summary in (images, old_images) if summary is not None]
    return Similarity(
        shared=len(searched & _decided(old.search_space)),
        searched=len(searched),
        size_ratio=min(counts) / max(counts) if len(counts) == 2 and max(counts) else 0.0,
    )


def strangeness(
    new: SweepSpec, images: DatasetSummary | None, old: SweepSpec, old_images: DatasetSummary | None
) -> str | None:
    """Reason why an earlier sweep is not similar enough to be asked unnamed; None if it is."""
    if old.likelihood != new.likelihood:
        return f"has likelihood {old.likelihood}"
    if images is None or old_images is None:
        return "does not tell of which shape its images are"
    if _shape(images) != _shape(old_images):
        return f"has images of {'×'.join(map(str, _shape(old_images)))}"
    found = similarity(new, images, old, old_images)
    if found.shared < LEAST_SHARED * found.searched:
        return f"decided only {found}"
    return None


def _decided(space: SearchSpace) -> set[str]:
    """Parameters that a space names, searched or fixed by a person."""
    return {parameter.name for parameter in space.parameters}


def _shape(images: DatasetSummary) -> Sequence[int]:
    return images.height, images.width, images.channels
