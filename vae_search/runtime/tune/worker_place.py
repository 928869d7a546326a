"""Place of a worker: what Ray keeps free for a run, and which runs may have one process after the other."""

from collections.abc import Mapping
from typing import Any

from ray import tune

from vae_search.search.capacity import CPU, needs
from vae_search.spec.sections import Resources


class WorkerPlace(tune.PlacementGroupFactory):  # type: ignore[misc]  # Ray ships no types for it
    """Resources of a worker, and the threads of its TensorFlow, which the first use of it fixes.

    Tune hands a worker on to runs whose requests are equal. Those with another number of threads are not, also where
    the machine has no more cores to keep free for them: they get a process of their own.

    Args:
        threads: of the run.
    """

    def __init__(self, bundle: Mapping[str, float], *, threads: int, **arguments: Any) -> None:
        self.threads = threads
        super().__init__([dict(bundle)], **arguments)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WorkerPlace) and self.threads == other.threads and bool(super().__eq__(other))

    def __hash__(self) -> int:
        return hash((self.threads, super().__hash__()))


def place_of(resources: Resources, config: Mapping[str, Any] | None = None, *, most_cpus: int = 1) -> WorkerPlace:
    """Place of a run's worker.

    Args:
        config: the run's assignment; None: of any trial.
        most_cpus: that Ray keeps free for it, however many threads it has.
    """
    selector = {"bundle_label_selector": [dict(resources.labels)]} if resources.labels else {}
    bundle, threads = needs(resources), resources.cpus_per_trial
    if config is not None and (own := config.get("threads")) is not None:
        bundle[CPU], threads = float(max(resources.cpus_per_trial, min(own, most_cpus))), own
    return WorkerPlace(bundle, threads=threads, **selector)
