"""Images that do not fit in memory, for the workers of a cluster: each node reads them for itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vae_search.core.settings import cache_folder
from vae_search.errors import BadData, NodeTrouble
from vae_search.services.datasets import open_dataset
from vae_search.spec.sections import DataSpec
from vae_search.store.backends.base import Store
from vae_search.store.backends.uri import location_everywhere, open_store

if TYPE_CHECKING:
    from vae_search.data.dataset import Dataset
    from vae_search.data.tasks import JudgeTask, TrainingTask


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeImages:
    """Images that do not fit in memory, for workers: each node decodes them once, from where the spec says they are.

    Args:
        store: location of the store that may hold them.
        cache: folder that the driver keeps them in; a node without it has one of its own.
        key: of the task that they were to the driver, whatever the likelihood.
        held_bytes: most that the driver held in memory: a node reads them in the same way, however large it is.
    """

    store: str
    data: DataSpec
    cache: Path
    key: str
    held_bytes: int

    @classmethod
    def of(
        cls, dataset: "Dataset", data: DataSpec, store: Store, *, cache: Path, held_bytes: int | None = None
    ) -> "NodeImages | None":
        """The images of a data set; None if they are in memory and travel.

        Args:
            held_bytes: that the data set was read with.
        """
        from vae_search.data.comparability import comparability_key
        from vae_search.data.image_checks import decoded_limit_bytes

        if not dataset.is_mapped:
            return None
        key = comparability_key(dataset, likelihood="")
        return cls(
            store=location_everywhere(store),
            data=data,
            cache=cache.absolute(),
            key=key,
            held_bytes=decoded_limit_bytes() if held_bytes is None else held_bytes,
        )

    def dataset(self) -> "Dataset":
        """The data set, in a process of any node.

        Raises:
            NodeTrouble: It cannot be had here, or is another one here.
        """
        from vae_search.data.comparability import comparability_key

        cache = self.cache if self.cache.is_dir() else cache_folder()
        told = "Images that do not fit in memory are read on each node: put them where all of them are the same."
        try:
            dataset = open_dataset(open_store(self.store), self.data, cache=cache, held_bytes=self.held_bytes)
        except BadData as error:
            raise NodeTrouble(f"{error}\n{told}") from error
        if comparability_key(dataset, likelihood="") != self.key:
            raise NodeTrouble(f"{self.data.source}: holds other images there than for the driver.\n{told}")
        return dataset

    def tasks(self) -> "tuple[TrainingTask, JudgeTask]":
        """The tasks of a worker; raises what `dataset` raises."""
        from vae_search.data.tasks import JudgeTask, TrainingTask

        dataset = self.dataset()
        return TrainingTask.of(dataset), JudgeTask.of(dataset)
