"""The TensorFlow side of a promotion, done in this process: TensorFlow is loaded when something has to be computed."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from vae_search.core.image_bounds import ImageBounds, LadderStep
from vae_search.registry.promotion.evidence import Candidate
from vae_search.registry.promotion.gate_results import SampleQuality
from vae_search.registry.promotion.model_backend import TestScore
from vae_search.vae.quiet_import import native_remarks_hidden

if TYPE_CHECKING:
    from vae_search.data.dataset import Dataset
    from vae_search.services.models.tensorflow_backend import TensorFlowBackend


class LocalBackend:
    """A backend that is made at its first use: often a verdict is in the log already, or seeds are wanting.

    Args:
        load: the data set.
        fit_prior: as of the backend.
    """

    def __init__(self, load: "Callable[[], Dataset]", *, fit_prior: int = 0) -> None:
        self._load = load
        self._fit_prior = fit_prior

    def export(self, candidate: Candidate, artifact: Mapping[str, bytes]) -> Mapping[str, bytes]:
        return self._backend.export(candidate, artifact)

    def reload_difference(self, files: Mapping[str, bytes], recorded: ImageBounds) -> float | None:
        return self._backend.reload_difference(files, recorded)

    def sample_quality(self, files: Mapping[str, bytes]) -> SampleQuality:
        return self._backend.sample_quality(files)

    def held_out_share_in_train(self) -> float:
        return self._backend.held_out_share_in_train()

    def importance_ladder(self, files: Mapping[str, bytes]) -> Sequence[LadderStep]:
        return self._backend.importance_ladder(files)

    def test_score(self, files: Mapping[str, bytes]) -> TestScore:
        return self._backend.test_score(files)

    @cached_property
    def _backend(self) -> "TensorFlowBackend":
        with native_remarks_hidden():
            from vae_search.services.models.tensorflow_backend import TensorFlowBackend
        return TensorFlowBackend(self._load, fit_prior=self._fit_prior)
