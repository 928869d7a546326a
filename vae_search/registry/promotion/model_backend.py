"""Protocol of a promotion's TensorFlow side: services bring the real one, tests bring another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from vae_search.core.image_bounds import ImageBounds, LadderStep
from vae_search.registry.promotion.evidence import Candidate
from vae_search.registry.promotion.gate_results import SampleQuality


@dataclass(frozen=True, slots=True, kw_only=True)
class TestScore:
    """An artifact on the test images, nats per image.

    Args:
        neg_iwae: the bound on -log p(x) with `iwae_k` samples.
        standard_error: of `neg_iwae`, over images.
    """

    __test__ = False  # not a test class, whatever its name says to pytest

    neg_elbo: float
    neg_iwae: float
    iwae_k: int
    standard_error: float
    images: int


class ModelBackend(Protocol):
    """Makes and measures the files of a model: path in the version's folder -> content. May take minutes."""

    def export(self, candidate: Candidate, artifact: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """The files to be served and shown, made of the files of a confirm run (`store/artifacts.py`)."""

    def reload_difference(self, files: Mapping[str, bytes], recorded: ImageBounds) -> float | None:
        """By how much the mean bound of `files`, loaded in a fresh process, differs from the recorded one.

        In nats; None if it does not load.

        Raises:
            ProcessLost: Whether it loads could not be found out.
        """

    def sample_quality(self, files: Mapping[str, bytes]) -> SampleQuality:
        """Sample quality of the model, by the same metric for every model."""

    def held_out_share_in_train(self) -> float:
        """Share of images that equal a training image, of the held-out part with most of them."""

    def importance_ladder(self, files: Mapping[str, bytes]) -> Sequence[LadderStep]:
        """Bounds by rising numbers of importance samples, on some of the judge images: how tight they are."""

    def test_score(self, files: Mapping[str, bytes]) -> TestScore:
        """The one look at the test images (invariant I9): called when nothing else can stop the promotion any more."""
