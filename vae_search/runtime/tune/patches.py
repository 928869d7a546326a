"""Patches of Ray Tune: survive a worker killed for memory, replace one that has served enough, avoid some nodes.

Tune 2.60 handles two families of errors of an actor, `RayActorError` and `RayTaskError`; any other ends `Tuner.fit`.
But a worker that is killed for memory is reported as `OutOfMemoryError`, which belongs to neither.

Tune keeps places for workers by equal requests, so a request cannot say which nodes it does not want. The placement
group that is made of it can.

Tune keeps a worker whose trial has ended for the next trial, for ever. A worker that ended itself would be a lost one
to Tune, and a failure of the trial that it was given.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ray.air.execution._internal.actor_manager import RayActorManager
from ray.air.execution._internal.tracked_actor import TrackedActor
from ray.air.execution.resources.request import ResourceRequest
from ray.exceptions import RayActorError, RayTaskError
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.util.placement_group import NODE_ID_LABEL_KEY, PlacementGroup, placement_group

_HANDLERS = ("_actor_start_failed", "_actor_task_failed")


@contextmanager
def lost_workers_told_apart() -> Iterator[None]:
    """While the block runs, Tune is told of every lost worker as a `RayActorError`, so that its trial is recovered."""
    originals = {name: getattr(RayActorManager, name) for name in _HANDLERS}
    for name, original in originals.items():
        setattr(RayActorManager, name, _translating(original))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(RayActorManager, name, original)


def _translating(handle: Callable[..., None]) -> Callable[..., None]:
    def translated(self: RayActorManager, *, exception: Exception, **tracked: object) -> None:
        known = isinstance(exception, RayActorError | RayTaskError)
        handle(self, exception=exception if known else RayActorError(error_msg=str(exception)), **tracked)

    return translated


@contextmanager
def nodes_avoided(avoided: Callable[[], Collection[str]]) -> Iterator[None]:
    """While the block runs, places for workers are asked for on other nodes than those.

    Args:
        avoided: ids of nodes; asked for each place. One that has been asked for already stays as it is.
    """
    original = ResourceRequest.to_placement_group

    def to_placement_group(self: ResourceRequest) -> PlacementGroup:
        nodes = sorted(avoided())
        return placement_group(**elsewhere(self._bound.arguments, nodes)) if nodes else original(self)

    ResourceRequest.to_placement_group = to_placement_group
    try:
        yield
    finally:
        ResourceRequest.to_placement_group = original


def elsewhere(arguments: Mapping[str, Any], nodes: Collection[str]) -> dict[str, Any]:
    """Arguments of `placement_group` for the same place on another node than `nodes`."""
    selectors = arguments.get("bundle_label_selector") or [{} for _ in arguments["bundles"]]
    unwanted = {NODE_ID_LABEL_KEY: f"!in({','.join(nodes)})"}
    return {**arguments, "bundle_label_selector": [{**selector, **unwanted} for selector in selectors]}


@contextmanager
def workers_retired(after_trials: int) -> Iterator[None]:
    """While the block runs, Tune ends a worker that has served so many trials, and starts another in its place."""
    keep = TuneController._maybe_cache_trial_actor
    served = Counter[TrackedActor]()

    def keep_unless_due(self: TuneController, trial: Trial) -> bool:
        """Called once when a trial has ended; False lets Tune end its worker."""
        worker = self._trial_to_actor[trial]
        served[worker] += 1
        return served[worker] < after_trials and bool(keep(self, trial))

    TuneController._maybe_cache_trial_actor = keep_unless_due
    try:
        yield
    finally:
        TuneController._maybe_cache_trial_actor = keep
