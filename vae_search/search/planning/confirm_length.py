"""Length of the confirm runs of a planned sweep: decided once, when its search is over, and recorded.

By then the best config is known, and how fast it trains here; all the time that is left is for its long trainings.
"""

import logging
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from vae_search.errors import CorruptStore, NotFound
from vae_search.search.planning.confirm_time import divide
from vae_search.search.planning.plan import SEARCH_SHARE
from vae_search.search.planning.plan_record import SweepPlan, continues_best, stretches_warmup
from vae_search.search.planning.turns import turn_epochs
from vae_search.spec.hyperparameters import RULES, ParamValue
from vae_search.spec.planning.decay import decay_epochs_of
from vae_search.spec.sections import EVALUATIONS_OF_INSTABILITY, Budget
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.backends.json_records import to_json_bytes
from vae_search.store.control.confirm_decisions import ConfirmDecision, confirm_decision
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths

logger = logging.getLogger(__name__)

WARMUP = "kl_warmup_epochs"
WARMUP_SHARE = 0.25  # of a confirm run in which the KL weight rises, at least, where the warm-up is searched


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
        self._incarnation = incarnation
        self._decision: ConfirmDecision | None = None
        if self._is_auto:
            self._read()

    @property
    def epochs(self) -> int | None:
        """Epochs of a run; None: as the spec says, or not decided yet."""
        return None if self._decision is None else self._decision.epochs

    @property
    def turn_epochs(self) -> Mapping[int, int]:
        """Epoch at which some of the seeds give way once."""
        return {} if self._decision is None else self._decision.turn_epochs

    @property
    def branch_epoch(self) -> int | None:
        """Epoch from which the best seed can go on; None: it does not."""
        return None if self._decision is None else self._decision.branch_epoch

    @property
    def threads(self) -> int | None:
        """Threads of its training then."""
        return None if self._decision is None else self._decision.threads

    def params_of(self, params: Mapping[str, ParamValue]) -> Mapping[str, ParamValue]:
        """Parameters of a confirm run: the config's, with the KL warm-up of a long training where that is decided.

        All seeds of a config have the same, and so has what goes on from one of them.
        """
        least = None if self._decision is None else self._decision.kl_warmup_epochs
        own = params.get(WARMUP)
        return params if least is None or not isinstance(own, int) or own >= least else {**params, WARMUP: least}

    @property
    def is_open(self) -> bool:
        """True as long as it is still to be decided."""
        return self._is_auto and self._decision is None

    def ends_search(self, *, trials: int, minutes: float | None) -> bool:
        """True once it is decided: no further trial takes time that is given to the confirm runs.

        Unless somebody has raised the budget since.

        Args:
            trials, minutes: of the budget by now.
        """
        if self._decision is None:
            return False
        plan, decision = self._plan, self._decision
        known_trials = decision.trials or (None if plan is None else plan.plan.trials)
        known_minutes = decision.minutes or (None if plan is None else plan.minutes)
        if known_trials is None or known_minutes is None or minutes is None:
            return False  # of a fork by an older version: nobody knows whether it was raised
        return trials <= known_trials and minutes <= known_minutes

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
        slots: int,
        threads: int,
        check_lease: Callable[[], None],
        budget: Budget | None = None,
    ) -> None:
        """Decide by the time that is left, and record it; a decision that is there stays.

        Args:
            finalists: the trials that are to be confirmed.
            threads: that a run has which is trained alone.
            check_lease: called before the store is changed.
            budget: by now; None: as the spec says.
        """
        if not self.is_open or not finalists:
            return
        epoch_s = max(self._epoch_s(row) for row in finalists)
        judge_epochs = self._plan.speed.judge_epochs if self._plan else 0.0
        seeds, budget = self._spec.confirm.seeds, budget or self._spec.budget
        division = divide(
            left_s,
            workers=slots,
            finalists=len(finalists),
            seeds=seeds,
            epoch_s=epoch_s,
            judge_epochs=judge_epochs,
            least_epochs=self._spec.budget.epochs,
            may_continue=continues_best(self._spec),
            threads=threads,
            cpus_per_trial=self._spec.resources.cpus_per_trial,
        )
        epochs = division.epochs
        decision = ConfirmDecision(
            epochs=epochs,
            turn_epochs=turn_epochs(seeds, workers=slots, epochs=epochs, judge_epochs=judge_epochs),
            branch_epoch=epochs - decay_epochs_of(epochs) if division.continues else None,
            threads=threads if division.continues else None,
            trials=budget.trials,
            minutes=budget.minutes,
            kl_warmup_epochs=warmup_of(epochs) if stretches_warmup(self._spec) else None,
        )
        measured = {"left_s": left_s, "slots": slots, "epoch_s": epoch_s, "judge_epochs": judge_epochs}
        record = decision.to_json() | measured
        check_lease()
        with suppress(AlreadyThere):
            path = SweepPaths(self._spec.name).confirm_length(self._incarnation)
            self._store.create(path, to_json_bytes(record))
            logger.info("confirm runs have %d epochs: %s", epochs, record)
        self._read()

    @property
    def _is_auto(self) -> bool:
        return self._spec.confirm.epochs == "auto"

    def _read(self) -> None:
        self._decision = confirm_decision(self._store, self._spec.name, incarnation=self._incarnation)

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


def warmup_of(epochs: int) -> int:
    """Epochs of KL warm-up that a confirm run of so many has at least; enough remain for its instability."""
    most = min(int(RULES[WARMUP].high), epochs - EVALUATIONS_OF_INSTABILITY)
    return max(0, min(most, math.floor(WARMUP_SHARE * epochs)))
