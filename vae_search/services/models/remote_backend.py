"""The TensorFlow side of a promotion, done on a worker node: the driver on the head loads no TensorFlow."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from vae_search.core.image_bounds import ImageBounds, LadderStep
from vae_search.registry.promotion.evidence import Candidate
from vae_search.registry.promotion.gate_results import SampleQuality
from vae_search.registry.promotion.model_backend import TestScore
from vae_search.spec.own_code.code_loading import provide, provided
from vae_search.spec.own_code.own_code import OwnCode
from vae_search.spec.sections import Resources

if TYPE_CHECKING:
    from vae_search.data.dataset import Dataset
    from vae_search.services.models.tensorflow_backend import TensorFlowBackend


class RemoteBackend:
    """A backend that is made on a worker node when something has to be computed: often a verdict is in the log already.

    Args:
        load: the data set, for this machine to read and to hand over.
        on_node: opens it where it is needed instead, if it does not fit in memory.
        address: of the cluster.
        resources: of a trial.
        stack: ends the stay on the cluster.
        fit_prior: as of the backend.
    """

    def __init__(
        self,
        load: "Callable[[], Dataset]",
        *,
        on_node: "Callable[[Dataset], Callable[[], Dataset] | None]",
        address: str,
        resources: Resources,
        stack: ExitStack,
        fit_prior: int = 0,
    ) -> None:
        self._load = load
        self._on_node = on_node
        self._address = address
        self._resources = resources
        self._stack = stack
        self._fit_prior = fit_prior

    def export(self, candidate: Candidate, artifact: Mapping[str, bytes]) -> Mapping[str, bytes]:
        return cast("Mapping[str, bytes]", self._call("export", candidate, artifact))

    def reload_difference(self, files: Mapping[str, bytes], recorded: ImageBounds) -> float | None:
        return cast("float | None", self._call("reload_difference", files, recorded))

    def sample_quality(self, files: Mapping[str, bytes]) -> SampleQuality:
        return cast("SampleQuality", self._call("sample_quality", files))

    def held_out_share_in_train(self) -> float:
        return cast("float", self._call("held_out_share_in_train"))

    def importance_ladder(self, files: Mapping[str, bytes]) -> Sequence[LadderStep]:
        return cast("Sequence[LadderStep]", self._call("importance_ladder", files))

    def test_score(self, files: Mapping[str, bytes]) -> TestScore:
        return cast("TestScore", self._call("test_score", files))

    @cached_property
    def _call(self) -> Callable[..., Any]:
        from vae_search.runtime.remote_object import on_worker_node

        dataset = self._load()
        return self._stack.enter_context(
            on_worker_node(
                backend_on_this_node,
                self._on_node(dataset) or dataset,
                self._resources.cpus_per_trial,
                provided(),
                self._fit_prior,
                address=self._address,
                resources=self._resources,
            )
        )


def backend_on_this_node(
    dataset: "Dataset | Callable[[], Dataset]", threads: int, code: Sequence[OwnCode], fit_prior: int
) -> "TensorFlowBackend":
    """The backend, in a worker's process that has done nothing else yet.

    Args:
        dataset: as it came here, or what opens it.
        code: of networks and metrics that are not ours.
        fit_prior: as of the backend.
    """
    for each in code:
        provide(each)
    from vae_search.services.models.tensorflow_backend import TensorFlowBackend
    from vae_search.vae.training.device import limit_gpus, limit_threads

    limit_gpus(0)
    limit_threads(threads)
    return TensorFlowBackend(dataset if callable(dataset) else lambda: dataset, fit_prior=fit_prior)
