"""The continuation of one sweep: its stages are decided once each, recorded, and never made anew."""

import logging
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from vae_search.errors import StoreUnavailable
from vae_search.search.messages import TrialAssignment
from vae_search.search.planning.confirm_length import ConfirmLength
from vae_search.search.planning.confirm_time import threads_alone
from vae_search.search.planning.continuation import Stage, best_seed, first_stage, next_stage, shards_of
from vae_search.search.planning.turns import Turns
from vae_search.search.running_trial import RunningTrial, TrialPause
from vae_search.spec.hyperparameters import Config
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.backends.json_records import to_json_bytes
from vae_search.store.control.confirm_decisions import OF_CONTINUATION, stages_of
from vae_search.store.ledger.confirm_runs import ConfirmRow, continued_seed
from vae_search.store.paths import SweepPaths, confirm_key, running_key_of

logger = logging.getLogger(__name__)

NEWEST_EPOCHS = 50  # whose seconds tell the speed


class ContinuedRun:
    """The run that goes on from the best fresh seed's, of one driver.

    Args:
        incarnation: of the sweep's record.
        judge_epochs: cost of judging a model, in epochs.
        shares_machine: whether a run that is trained alone may have the cores of all trials.
    """

    def __init__(
        self,
        spec: SweepSpec,
        store: Store,
        *,
        incarnation: str | None,
        judge_epochs: float,
        shares_machine: bool = False,
    ) -> None:
        self._spec, self._store = spec, store
        self._incarnation = incarnation
        self._judge_epochs = judge_epochs
        self._shares_machine = shares_machine
        self._paths = SweepPaths(spec.name)
        self._records: list[Mapping[str, Any]] = []
        self._is_declined = False  # there was not enough time for it, as this driver found
        self.rows: list[ConfirmRow] = []
        """its row, once it has ended"""
        if spec.confirm.epochs == "auto":
            self._read()

    @property
    def must_end(self) -> bool:
        """True while the run goes on: it is trained to its end whatever the clock says, or it was for nothing."""
        return bool(self._records) and not self.rows

    @property
    def columns(self) -> dict[str, int | None]:
        """Columns of its row that say what it goes on from, and how."""
        return {
            "continues_epoch": self._first("from_epoch"),
            "threads": self._first("threads"),
            "shards": self._records[0].get("shards"),
        }

    def threads_of(self, slots: int) -> int:
        """Threads of a run that is trained alone."""
        resources = self._spec.resources
        return threads_alone(
            slots,
            cpus_per_trial=resources.cpus_per_trial,
            gpus_per_trial=resources.gpus_per_trial,
            shares_machine=self._shares_machine,
        )

    def is_to_come(self, ended: Sequence[ConfirmRow]) -> bool:
        """True while a run may begin to go on, or goes on.

        Args:
            ended: the runs of fresh seeds.
        """
        return not self.rows and not self._is_declined and self._best(ended) is not None

    def settle(
        self,
        ended: Sequence[ConfirmRow],
        length: ConfirmLength,
        *,
        turns: Turns,
        left_s: float,
        check_lease: Callable[[], None],
    ) -> None:
        """Decide what is open: whether a run goes on, and how far; a decision that is there stays.

        Args:
            ended: the runs of fresh seeds, of which none is in flight or to come.
            check_lease: called before the store is changed.
        """
        if length.branch_epoch is None or self.rows:
            return
        if not self._records and (best := self._best(ended)) is not None:
            self._begin(best, length, left_s=left_s, check_lease=check_lease)
        self._drop_states(check_lease)
        if self._records and (waiting := turns.waiting(self._key)) is not None:
            self._go_on(waiting, left_s=left_s, check_lease=check_lease)

    def end(self, length: ConfirmLength, *, check_lease: Callable[[], None]) -> None:
        """Remove the states that no run goes on from, once nothing is to be trained any more.

        Trouble of the store with that ends no sweep: they stay, and take place.
        """
        if length.branch_epoch is None:
            return
        try:
            self._drop_states(check_lease)
        except StoreUnavailable as trouble:
            logger.warning("states that no run goes on from were not removed: %s", trouble)

    def next_assignment(
        self, ended: Sequence[ConfirmRow], length: ConfirmLength, turns: Turns
    ) -> TrialAssignment | None:
        """The run as far as it is decided; None if none goes on. Arguments as for `settle`."""
        if length.branch_epoch is None or not self.is_to_come(ended) or (best := self._best(ended)) is None:
            return None
        confirm_seed = continued_seed(best.confirm_seed)
        if not self._records:  # that there is one to come is all that can be told yet
            return TrialAssignment(trial=best.trial, confirm_seed=confirm_seed, params=best.params, seed=best.seed)
        stage = self._stage
        assignment = TrialAssignment(
            trial=best.trial,
            confirm_seed=confirm_seed,
            params=best.params,
            seed=best.seed,
            epochs=stage.until if stage.decay_epochs else stage.until + 1,  # which it does not come to in this stage
            turn_epoch=None if stage.decay_epochs else stage.until,
            continues_epoch=self._first("from_epoch"),
            decay_epochs=stage.decay_epochs,
            threads=self._first("threads"),
            shards=self._records[0].get("shards"),
        )
        if (waiting := turns.waiting(assignment.key)) is not None:
            waiting.assignment = assignment
        return assignment

    def pause_of(self, running: RunningTrial, epoch: int) -> TrialPause | None:
        """The pause of the run at the end of a stage; None if it goes on."""
        if epoch != running.assignment.turn_epoch:
            return None
        return TrialPause(rung=epoch, explanation=f"waits at epoch {epoch} for how long it goes on")

    def _first(self, name: str) -> int:
        return int(self._records[0][name])

    @property
    def _key(self) -> str:
        return confirm_key(self._first("trial"), continued_seed(self._first("confirm_seed")))

    @property
    def _stage(self) -> Stage:
        record = self._records[-1]
        return Stage(until=int(record["until"]), decay_epochs=int(record["decay_epochs"]))

    def _best(self, ended: Sequence[ConfirmRow]) -> ConfirmRow | None:
        """The run that another goes on from, or is to; None if there is none."""
        if not self._records:
            return best_seed(ended, seeds=self._spec.confirm.seeds)
        place = (self._first("trial"), self._first("confirm_seed"))
        return next((row for row in ended if (row.trial, row.confirm_seed) == place), None)

    def _begin(
        self, best: ConfirmRow, length: ConfirmLength, *, left_s: float, check_lease: Callable[[], None]
    ) -> None:
        branch_epoch, threads = length.branch_epoch or 0, length.threads or self._spec.resources.cpus_per_trial
        if not self._store.list(self._paths.run(confirm_key(best.trial, continued_seed(best.confirm_seed)))):
            self._is_declined = True  # somebody has removed the state that it would go on from
            return
        epoch_s = max((best.wall_s or 0.0) / max(1, best.epochs), 1e-9)
        stage = first_stage(branch_epoch, best.epochs, left_s=left_s, epoch_s=epoch_s, judge_epochs=self._judge_epochs)
        self._is_declined = stage is None
        if stage is None:
            logger.info("no run goes on: %.1f s are left", left_s)
            return
        values = (best.trial, best.confirm_seed, branch_epoch, threads)
        about = dict(zip(OF_CONTINUATION, values, strict=True))
        shards = shards_of(Config.from_params(best.params).batch_size, threads=threads)
        if shards > self._spec.resources.cpus_per_trial:  # else threads that share operations use more cores
            about["shards"] = shards
        self._decide(stage, about | {"left_s": left_s, "epoch_s": epoch_s}, check_lease)

    def _go_on(self, waiting: RunningTrial, *, left_s: float, check_lease: Callable[[], None]) -> None:
        """Decide the next stage of the run, which has come to the end of one."""
        if len(waiting.measurements) < self._stage.until or self._stage.decay_epochs:
            return
        done = len(waiting.measurements)
        epoch_s = self._epoch_s(waiting, left_s=left_s)
        stage = next_stage(
            done,
            number=len(self._records) + 1,
            left_s=left_s,
            epoch_s=epoch_s,
            judge_epochs=self._judge_epochs,
        )
        self._decide(stage, {"left_s": left_s, "epoch_s": epoch_s}, check_lease)

    def _epoch_s(self, waiting: RunningTrial, *, left_s: float) -> float:
        """Seconds of an epoch by now: of the clock over the last stage, of its own measurement after the probe.

        The clock of the probe holds the start of its process; later it holds what lies between epochs as well.
        """
        walls_s = [waiting.measurements[epoch].wall_s for epoch in sorted(waiting.measurements)]
        own_s = walls_s[self._first("from_epoch") + 1 :] or walls_s  # the first one compiles
        measured_s = statistics.median(own_s[-NEWEST_EPOCHS:])
        if len(self._records) == 1:
            return measured_s
        epochs = self._stage.until - int(self._records[-2]["until"])
        clock_s = (float(self._records[-1]["left_s"]) - left_s) / epochs  # less where minutes were added meanwhile
        return max(clock_s, measured_s)

    def _decide(self, stage: Stage, about: Mapping[str, object], check_lease: Callable[[], None]) -> None:
        number = len(self._records) + 1
        record = dict(about) | {"until": stage.until, "decay_epochs": stage.decay_epochs}
        check_lease()
        with suppress(AlreadyThere):
            self._store.create(self._paths.confirm_length(self._incarnation, stage=number), to_json_bytes(record))
            logger.info("stage %d of the run that goes on: %s", number, record)
        self._read()

    def _drop_states(self, check_lease: Callable[[], None]) -> None:
        """Remove what other runs have kept to go on from; of the run that goes on it stays."""
        folders = {running_key_of(path) for path in self._store.list(self._paths.running)}
        kept = self._key if self._records else None
        for key in sorted(key for key in folders if key is not None and "-c" in key and key != kept):
            check_lease()
            self._store.remove_tree(self._paths.run(key))

    def _read(self) -> None:
        self._records = stages_of(self._store, self._spec.name, incarnation=self._incarnation)
