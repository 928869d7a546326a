"""Turns of confirm runs: where there are more than workers, some give way half-way, so that all end at about one time.

Three runs on two workers would take the time of two, one worker idle in the second half. If the second run gives way to
the third and goes on when the first has ended, they take that of one and a half (McNaughton 1959, "Scheduling with
Deadlines and Loss Functions": the wrap-around rule). A run goes on from its checkpoint, and so with the same bits.
"""

from collections.abc import Mapping, Sequence

from vae_search.search.messages import TrialAssignment
from vae_search.search.running_trial import RunningTrial, RunsInFlight, TrialPause


def turn_epochs(seeds: int, *, workers: int, epochs: int, judge_epochs: float) -> dict[int, int]:
    """The epoch at which each seed gives way, of those that do; seeds count from 1.

    Run j lies on a tape from (j - 1) to j times its length, and the tape is cut into one piece for each worker. A run
    that is cut begins with what lies beyond the cut.

    Args:
        epochs: of each run.
        judge_epochs: that it takes as long as at its end.
    """
    length = epochs + judge_epochs
    piece = seeds * length / workers
    found = {}
    for cut in range(1, workers if seeds > workers else 1):
        seed = int(cut * piece // length) + 1
        epoch = round(seed * length - cut * piece)
        if 0 < epoch < epochs and seed not in found:
            found[seed] = epoch
    return found


class Turns:
    """Confirm runs of one driver that have given way, and wait to go on."""

    def __init__(self) -> None:
        self._waiting: dict[str, RunningTrial] = {}
        self._had_turn: set[str] = set()

    def pause_of(
        self, running: RunningTrial, epoch: int, *, wanted: Sequence[str], in_flight: RunsInFlight
    ) -> TrialPause | None:
        """The pause of a run that gives way now: at its epoch, once, and to a run that has no worker.

        Args:
            wanted: keys of the confirm runs that are still to end.
        """
        key = running.assignment.key
        if epoch != running.assignment.turn_epoch or key in self._had_turn:
            return None
        if all(other in in_flight and in_flight[other].has_worker for other in wanted):
            return None
        return TrialPause(rung=epoch, explanation=f"gives way at epoch {epoch}, so that all confirm runs end together")

    def add(self, running: RunningTrial) -> None:
        """Let a run wait; its checkpoint is durable."""
        running.pause, running.has_worker, running.resumes = None, False, True
        self._had_turn.add(running.assignment.key)
        self._waiting[running.assignment.key] = running

    def waiting(self, key: str) -> RunningTrial | None:
        """The run that waits under this key; None if none does."""
        return self._waiting.get(key)

    def take(self, key: str) -> RunningTrial | None:
        """The run that goes on; None if it did not wait."""
        return self._waiting.pop(key, None)

    def in_order(self, runs: Mapping[str, TrialAssignment]) -> list[TrialAssignment]:
        """Runs in the order in which they are to be trained: who gives way begins, who has given way waits longest."""

        def place(assignment: TrialAssignment) -> tuple[bool, int, bool]:
            waiting = self._waiting.get(assignment.key)
            done = 0 if waiting is None else len(waiting.measurements)
            return (waiting is not None, done, assignment.turn_epoch is None)

        return sorted(runs.values(), key=place)
