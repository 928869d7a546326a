"""Patch of Ray Tune: survive a worker that Ray's memory monitor kills.

Tune 2.60 handles two families of errors of an actor, `RayActorError` and `RayTaskError`; any other ends `Tuner.fit`.
But a worker that is killed for memory is reported as `OutOfMemoryError`, which belongs to neither.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import RayActorError, RayTaskError

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
