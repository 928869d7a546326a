"""Recovery from a lost worker: a retry, a strike against its trial, an avoided node, or the end of the run."""

import logging
import time
from collections.abc import Callable, Collection

import ray

from vae_search.core.trial_state import Reason
from vae_search.errors import ClusterTrouble, NodeTrouble, StoreUnavailable, VaeSearchError
from vae_search.runtime.ray_cluster import usable_nodes
from vae_search.runtime.store_probe import can_write
from vae_search.runtime.tune.lost_workers import LostWorkers
from vae_search.search.coordinator import SweepCoordinator
from vae_search.search.driver_lifecycle import DriverSession
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.ledger.failure_counts import failure_counts

logger = logging.getLogger(__name__)


class WorkerRecovery:
    """Decide what follows when a worker is lost.

    Args:
        max_retries: lost workers that a run may have without getting further.
        timeouts: of a run: how often it has been ended because it took too long.
        store_answers: whether the driver itself can write to the store; then a worker that could not is a lost worker.
        usable_nodes: ids of the nodes that could hold a trial now.
        warn: called with what a person should know; one to three lines.
    """

    def __init__(
        self,
        coordinator: SweepCoordinator,
        *,
        max_retries: int,
        timeouts: Callable[[str], int],
        store_answers: Callable[[], bool],
        usable_nodes: Callable[[], Collection[str]],
        warn: Callable[[str], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._coordinator = coordinator
        self._timeouts = timeouts
        self._store_answers = store_answers
        self._usable_nodes = usable_nodes
        self._warn = warn
        self._workers = LostWorkers(max_retries=max_retries, warn=self._tell, monotonic=monotonic)
        self._node_of: dict[str, str | None] = {}  # by run
        self._timeouts_before: dict[str, int] = {}

    def began(self, key: str, node_id: str | None) -> None:
        """A worker begins with a run."""
        self._node_of[key] = node_id

    def saved(self, key: str, epoch: int) -> None:
        """A run has reported its newest checkpoint; 0 for none."""
        self._workers.saved(key, epoch)

    def ended(self, key: str) -> None:
        """A run has ended and is committed."""
        self._workers.trial_ended(key, self._node_of.pop(key, None))
        self._timeouts_before.pop(key, None)

    def avoided(self) -> frozenset[str]:
        """Nodes that shall get no worker now."""
        return self._workers.avoided(self._usable_nodes()) if self._workers.any_avoided else frozenset()

    def exclude(self, node_id: str, why: str) -> None:
        """Give a node no more work.

        Raises:
            NodeTrouble: No node is left that could hold a trial.
        """
        self._workers.exclude(node_id, why)
        usable = set(self._usable_nodes())
        if usable and usable <= self._workers.avoided(usable):
            raise NodeTrouble(f"node {node_id[:12]}: {why}")

    def lost(self, key: str, cause: object) -> None:
        """A run has lost its worker; returns if it may have another.

        Args:
            cause: the error that Ray tells of, or the one that the worker itself raised.

        Raises:
            VaeSearchError: What ends this run of the driver.
        """
        if getattr(cause, "preempted", False) or self._is_new_timeout(key):
            return
        usable = self._usable_nodes()
        node_id = self._node_of.pop(key, None)  # the next worker may be lost before it begins
        if node_id not in usable:
            node_id = None  # it is gone
        if isinstance(cause, NodeTrouble):
            if node_id is not None:
                self.exclude(node_id, str(cause))
        elif isinstance(cause, VaeSearchError) and not (isinstance(cause, StoreUnavailable) and self._store_answers()):
            raise cause
        elif isinstance(cause, ray.exceptions.OutOfMemoryError):
            node_id = None  # a trial's fault or its neighbours', and it is counted as such
            self._coordinator.note_lost_worker(key, reason=Reason.OOM, detail=str(cause)[:1000])
        said = next(iter(str(cause).splitlines()), "")[:200]
        if self._workers.lost(key, node_id, f"{type(cause).__name__}: {said}", usable=usable):
            if isinstance(cause, VaeSearchError):
                raise cause
            raise ClusterTrouble(
                f"run {key}: its worker was lost {self._workers.losses(key)} times without getting further, last by "
                f"{type(cause).__name__}: {said}\n"
                "Look for the cause (memory, node) in the worker's log, then run the same command again."
            )

    def _is_new_timeout(self, key: str) -> bool:
        """True if the worker ended itself because the run took too long, which the run itself is judged by."""
        before, now = self._timeouts_before.get(key, 0), self._timeouts(key)
        self._timeouts_before[key] = now
        return now > before

    def _tell(self, words: str) -> None:
        logger.warning("%s", words)
        self._warn(words)


def recovery_for(
    session: DriverSession, spec: SweepSpec, *, is_private: bool, warn: Callable[[str], None]
) -> WorkerRecovery:
    """Recovery for a driver that is, or will be, connected to Ray.

    Args:
        is_private: whether the workers are on this machine: what they cannot reach, the driver cannot.
        warn: called with what a person should know.
    """

    def timeouts(key: str) -> int:
        if spec.trial_timeout_s is None:
            return 0
        counts = failure_counts(session.store, spec.name, key, trial_timeout_s=spec.trial_timeout_s)
        return counts[Reason.TIMEOUT]

    return WorkerRecovery(
        session.coordinator,
        max_retries=spec.max_retries,
        timeouts=timeouts,
        store_answers=lambda: not is_private and can_write(session.store),
        usable_nodes=lambda: usable_nodes(spec.resources),
        warn=warn,
        monotonic=time.monotonic,
    )
