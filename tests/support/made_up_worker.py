"""A worker of Tune's that trains nothing: each of its trials ends with its first step. TensorFlow is left out."""

from dataclasses import dataclass

from vae_search.core.trial_state import Reason
from vae_search.runtime.tune.trainable import Worker
from vae_search.search.messages import Failure, TrialAssignment, TrialReport


@dataclass
class EndingRunner:
    """Reports that its trial has diverged, which ends a sweep last of all failures."""

    node_id: str

    def begin(self, assignment: TrialAssignment) -> None:
        self._assignment = assignment

    def step(self) -> TrialReport:
        key = self._assignment.key
        return TrialReport(
            key=key,
            epoch=0,
            measurements=(),
            costs=None,
            scores=None,
            failure=Failure(reason=Reason.DIVERGED, error=f"made up for {key}"),
            node_id=self.node_id,
            saved_epoch=0,
        )


class MadeUpWorker(Worker):
    """The real one around such a runner."""

    def _make_runner(self) -> EndingRunner:
        return EndingRunner(self._node_id)
