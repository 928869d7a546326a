"""Record of lost workers: which run has used up its retries, and which nodes are better avoided. Decisions only.

One bad node of many must cost the time of its own trials and nothing else. So a node that loses workers is given a
growing pause until a trial ends on it, a run's retries count from zero once it has got further, and what is lost on a
node that is known to be bad costs no retry.
"""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass

RETRY_PAUSE_S = 30.0  # of a node after a lost worker; doubled with each further one
LONGEST_PAUSE_S = 3600.0
NAMED_AFTER = 3  # workers that a node loses in a row
LOSSES_ON_AVOIDED_NODES = 20  # of one run: places there were asked for before; more means that avoiding does not work


@dataclass(slots=True)
class _NodeRecord:
    losses: int = 0
    """since a trial ended there"""
    paused_until_s: float = 0.0
    unfit: bool = False


class LostWorkers:
    """Count lost workers by run and by node.

    Args:
        max_retries: lost workers that a run may have without getting further.
        warn: called with what a person should know of a node.
        monotonic: clock, seconds.
    """

    def __init__(self, *, max_retries: int, warn: Callable[[str], None], monotonic: Callable[[], float]) -> None:
        self._max_retries = max_retries
        self._warn = warn
        self._monotonic = monotonic
        self._nodes: dict[str, _NodeRecord] = {}
        self._saved: Counter[str] = Counter()  # epoch of the newest checkpoint, by run
        self._saved_at_loss: dict[str, int] = {}
        self._losses: Counter[str] = Counter()  # that count as retries
        self._losses_avoided: Counter[str] = Counter()

    @property
    def any_avoided(self) -> bool:
        """True if there may be a node to avoid now."""
        return bool(self._nodes)

    def saved(self, key: str, epoch: int) -> None:
        """A run has reported its newest checkpoint."""
        self._saved[key] = max(self._saved[key], epoch)

    def trial_ended(self, key: str, node_id: str | None) -> None:
        """A run has ended, in whatever way: its node works."""
        for counted in (self._saved, self._saved_at_loss, self._losses, self._losses_avoided):
            counted.pop(key, None)
        if node_id in self._nodes and not self._nodes[node_id].unfit:
            del self._nodes[node_id]

    def exclude(self, node_id: str, why: str) -> None:
        """Give a node no more work in this run of the driver; it was found unfit."""
        node = self._nodes.setdefault(node_id, _NodeRecord())
        if not node.unfit:
            node.unfit = True
            self._warn(f"node {node_id[:12]}: gets no more trials of this sweep: {why}")

    def lost(self, key: str, node_id: str | None, cause: str, *, usable: Collection[str]) -> bool:
        """Note that a run has lost its worker; true if it has used up its retries.

        Args:
            node_id: of the worker; None if that is not known.
            cause: in one line.
            usable: nodes that could hold a trial.
        """
        if self._saved[key] > self._saved_at_loss.get(key, 0):
            self._losses[key] = self._losses_avoided[key] = 0
        self._saved_at_loss[key] = self._saved[key]
        counted = self._losses_avoided if node_id in self.avoided(usable) else self._losses
        counted[key] += 1
        if node_id is not None:
            self._note_loss(node_id, cause, has_peers=len({*usable} - {node_id}) > 0)
        return self._losses[key] > self._max_retries or self._losses_avoided[key] > LOSSES_ON_AVOIDED_NODES

    def losses(self, key: str) -> int:
        """Workers that the run has lost since it last got further."""
        return self._losses[key] + self._losses_avoided[key]

    def avoided(self, usable: Collection[str]) -> frozenset[str]:
        """Nodes that get no worker now; never all of those in a pause: where every node loses workers, none is bad.

        Args:
            usable: nodes that could hold a trial.
        """
        now_s = self._monotonic()
        # Looked up once each: another thread may forget a node meanwhile.
        known = {node_id: node for node_id in usable if (node := self._nodes.get(node_id)) is not None}
        unfit = frozenset(node_id for node_id, node in known.items() if node.unfit)
        paused = frozenset(node_id for node_id, node in known.items() if node.paused_until_s > now_s)
        return unfit | paused if set(usable) - unfit - paused else unfit

    def _note_loss(self, node_id: str, cause: str, *, has_peers: bool) -> None:
        node = self._nodes.setdefault(node_id, _NodeRecord())
        node.losses += 1
        pause_s = min(RETRY_PAUSE_S * 2 ** (node.losses - 1), LONGEST_PAUSE_S)
        node.paused_until_s = self._monotonic() + pause_s
        if node.losses == NAMED_AFTER and has_peers and not node.unfit:
            self._warn(
                f"node {node_id[:12]}: lost {NAMED_AFTER} workers in a row, the last by {cause}\n"
                f"Other nodes are preferred for {pause_s / 60:g} minutes, and longer with each further loss. "
                "Look at its memory, its disk and the worker's log."
            )
