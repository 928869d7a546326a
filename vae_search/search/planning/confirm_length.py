"""Length of the confirm runs of a planned sweep: decided once, when its search is over, and recorded.

By then the best config is known, and how fast it trains here; all the time that is left is for its long trainings.
"""

import logging
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from vae_search.errors import CorruptStore, NotFound
from vae_search.search.planning.continuation import LEAST_CONTINUED_S, time_of_seeds_s
from vae_search.search.planning.plan import SEARCH_SHARE, confirm_length, rounds_of
from vae_search.search.planning.plan_record import SweepPlan, continues_best
from vae_search.search.planning.turns import turn_epochs
from vae_search.spec.planning.decay import decay_epochs_of
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.backends.json_records import from_json_bytes, to_json_bytes
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths

logger = logging.getLogger(__name__)


class ConfirmLength:
    """Epochs of each confirm run of one sweep, where its spec leaves them to a plan.

    Args:
        plan: of the sweep; None if nothing of it is planned.
        incarnation: of the sweep's record.
    """

    def __init__(self, spec: SweepSpec, store: Store, *, plan: SweepPlan | None, incarnation: str | None) -> None:
        self._spec = spec
        self._store = store
        self._plan = plan
        self._path = SweepPaths(spec.name).confirm_length(incarnation)
        self.epochs: int | None = None
        """None: as the spec says, or not decided yet"""
        self.turn_epochs: Mapping[int, int] = {}
        """epoch at which some of the seeds give way once"""
        self.branch_epoch: int | None = None
        """epoch from which the best seed can go on; None: it does not"""
        self.threads: int | None = None
        """of its training then"""
        self._minutes: float | None = None
        if self._is_auto and self._path in store.list(SweepPaths(spec.name).control):
            self._read()

    @property
    def is_open(self) -> bool:
        """True as long as it is still to be decided."""
        return self._is_auto and self.epochs is None

    def ends_search(self, minutes: float | None) -> bool:
        """True once it is decided: all the time that is left is for the confirm runs, unless minutes were added since.

        Args:
            minutes: of the budget by now.
        """
        if self.epochs is None or self._minutes is None or minutes is None:
            return False
        return minutes <= self._minutes

    def reserved_s(self, minutes: float | None) -> float | None:
        """Seconds that the search leaves to the confirm runs; None if they are as long as the spec says.

        Args:
            minutes: of the budget by now.
        """
        if not self._is_auto or minutes is None:
            return None
        share = self._plan.confirm_share if self._plan else 1.0 - SEARCH_SHARE  # a fork has no plan of its own
        return share * 60.0 * minutes

    def decide(
        self,
        finalists: Sequence[TrialRow],
        *,
        left_s: float,
        minutes: float | None = None,
        slots: int,
        threads: int,
        check_lease: Callable[[], None],
    ) -> None:
        """Decide by the time that is left, and record it; a decision that is there stays.

        Args:
            finalists: the trials that are to be confirmed.
            minutes: of the budget by now.
            threads: that a run has which is trained alone.
            check_lease: called before the store is changed.
        """
        if not self.is_open or not finalists:
            return
        epoch_s = max(self._epoch_s(row) for row in finalists)
        judge_epochs = self._plan.speed.judge_epochs if self._plan else 0.0
        confirm = self._spec.confirm
        rounds = rounds_of(slots, finalists=len(finalists), seeds=confirm.seeds)

        def epochs_in(time_s: float) -> int:
            length = confirm_length(
                time_s,
                workers=slots,
                finalists=len(finalists),
                seeds=confirm.seeds,
                epoch_s=epoch_s,
                judge_epochs=judge_epochs,
            )
            return max(length, self._spec.budget.epochs)  # with fewer than its trial had, a model would be worse

        cpus = self._spec.resources.cpus_per_trial
        of_seeds_s = time_of_seeds_s(left_s, rounds=rounds, threads=threads, cpus_per_trial=cpus)
        epochs = epochs_in(of_seeds_s)
        rest_s = left_s - rounds * (epochs + judge_epochs) * epoch_s
        goes_on = continues_best(self._spec) and of_seeds_s < left_s and rest_s >= LEAST_CONTINUED_S
        epochs = epochs if goes_on else epochs_in(left_s)
        turns = turn_epochs(confirm.seeds, workers=slots, epochs=epochs, judge_epochs=judge_epochs)
        record = {
            "epochs": epochs,
            "turn_epochs": {str(seed): epoch for seed, epoch in turns.items()},
            "left_s": left_s,
            "minutes": minutes,
            "slots": slots,
            "epoch_s": epoch_s,
            "judge_epochs": judge_epochs,
        }
        if goes_on:
            record |= {"branch_epoch": epochs - decay_epochs_of(epochs), "threads": threads}
        check_lease()
        with suppress(AlreadyThere):
            self._store.create(self._path, to_json_bytes(record))
            logger.info("confirm runs have %d epochs: %s", epochs, record)
        self._read()

    @property
    def _is_auto(self) -> bool:
        return self._spec.confirm.epochs == "auto"

    def _read(self) -> None:
        record: Mapping[str, Any] = from_json_bytes(self._store.read(self._path), where=self._path)
        try:
            self.epochs = int(record["epochs"])
            self.turn_epochs = {int(seed): int(epoch) for seed, epoch in record["turn_epochs"].items()}
            if record.get("minutes") is not None:  # older records do not say
                self._minutes = float(record["minutes"])
            if "branch_epoch" in record:
                self.branch_epoch, self.threads = int(record["branch_epoch"]), int(record["threads"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CorruptStore(
                f"must hold the epochs of confirm runs, but {error!r}.",
                path=self._path,
                advice="Restore it from a copy.",
            ) from error

    def _epoch_s(self, row: TrialRow) -> float:
        """Seconds of a usual epoch of a trial: not of its first, in which its graph is compiled.

        The last epochs may train a bound that costs more, as the same share of the longer training will; the first of
        those compiles as well.
        """
        try:
            curve = Ledger(self._store, self._spec.name).epochs(row.trial)
        except (CorruptStore, NotFound) as trouble:  # its row is enough
            logger.warning("trial %d: %s", row.trial, trouble)
            curve = []
        timed = [(each.train_neg_iwae is None, each.wall_s) for each in curve if each.wall_s is not None]
        if not timed:
            return (row.wall_s or 0.0) / max(row.epochs, 1)
        kinds = [[wall_s for kind, wall_s in timed if kind is is_elbo] for is_elbo in (True, False)]
        usual_s = [len(walls_s) * statistics.median(walls_s[1:] or walls_s) for walls_s in kinds if walls_s]
        return sum(usual_s) / len(timed)
