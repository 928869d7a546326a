"""Record of a sweep's plan: what was measured and decided when the sweep began. It is read, and never made anew."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vae_search.errors import CorruptStore
from vae_search.search.planning.plan import Demands, Plan, Speed
from vae_search.search.planning.speed import Timing
from vae_search.spec.planning.auto_keys import AUTO, EPOCHS, FINALISTS, LR_SCHEDULE, PRUNING, SEEDS, TRIALS
from vae_search.spec.sections import EVALUATIONS_OF_INSTABILITY, longest_warmup_epochs
from vae_search.spec.sweep_spec import SweepSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPlan:
    """A plan with what it was made from."""

    minutes: float
    workers: int
    speed: Speed
    plan: Plan
    timings: tuple[Timing, ...] = ()
    """of this machine or cluster; none: the speed is an estimate"""

    def to_json(self) -> dict[str, Any]:
        """Fields of a sweep's record."""
        return asdict(self)

    @property
    def confirm_share(self) -> float:
        """Share of the time that is kept for confirm runs."""
        return self.plan.confirm_s / (self.plan.search_s + self.plan.confirm_s)


def plan_in(fields: Mapping[str, Any] | None, *, path: str) -> SweepPlan | None:
    """The plan of a sweep's record, without its timings; None if it has none.

    Raises:
        CorruptStore: It is damaged.
    """
    if fields is None:
        return None
    try:
        return SweepPlan(
            minutes=fields["minutes"],
            workers=fields["workers"],
            speed=Speed(**fields["speed"]),
            plan=Plan(**fields["plan"]),
        )
    except (KeyError, TypeError) as error:
        raise CorruptStore(f"holds no valid plan: {error!r}.", path=path, advice="Restore it from a copy.") from error


def is_planned(spec: SweepSpec) -> bool:
    """True if a part of the sweep's time is divided by a plan."""
    return bool(spec.auto) or spec.confirm.epochs == AUTO


def continues_best(spec: SweepSpec) -> bool:
    """True if the best fresh seed goes on where that gains something: its rate must be constant before the end.

    So must its objective, and the time of its epochs: with a bound of several draws both change on the way.
    """
    is_stable = spec.lr_schedule == "wsd" or LR_SCHEDULE in spec.auto
    is_planned = spec.confirm.epochs == AUTO and spec.confirm.continuation == AUTO
    trains_elbo = spec.search_space.largest("bound_samples", default=1) == 1
    return is_planned and is_stable and trains_elbo and spec.budget.patience is None


def stretches_warmup(spec: SweepSpec) -> bool:
    """True if confirm runs of a planned length may have a longer KL warm-up than their trial had.

    The warm-up of trials is bounded by their first rung, so that a search cannot say how long one should be in a
    training of many times the epochs. A number that the spec fixes is kept. With `wsd` the KL weight is full long
    before the decay; a bound of several draws may be trained before that.
    """
    is_searched = any(entry.name == "kl_warmup_epochs" for entry in spec.search_space.searched)
    is_stable = spec.lr_schedule == "wsd" or LR_SCHEDULE in spec.auto
    trains_elbo = spec.search_space.largest("bound_samples", default=1) == 1
    return spec.confirm.epochs == AUTO and is_searched and is_stable and trains_elbo


def demands_of(spec: SweepSpec, *, shares_machine: bool) -> Demands:
    """Demands of a spec on its plan; None where it leaves something to it.

    Args:
        shares_machine: whether all trials run on one machine that is the sweep's own.
    """
    auto, pruning = spec.auto, spec.pruning
    warmup = longest_warmup_epochs(spec.search_space)
    weighs = spec.objective.stability_weight > 0 or "instability" in (spec.objective.pareto or ())
    given = None if PRUNING in auto else pruning
    return Demands(
        promotes=spec.promote is not None,
        continues=continues_best(spec),
        cpus_per_trial=spec.resources.cpus_per_trial,
        gpus_per_trial=spec.resources.gpus_per_trial,
        shares_machine=shares_machine,
        least_rung=warmup + 1,
        least_epochs=warmup + (EVALUATIONS_OF_INSTABILITY if weighs else 1),
        least_trials=max(1, len(spec.enqueue)),
        trials=None if TRIALS in auto else spec.budget.trials,
        epochs=None if EPOCHS in auto else spec.budget.epochs,
        first_rung=None if given is None else given.min_epochs,
        prunes=PRUNING in auto or pruning is not None,
        finalists=None if FINALISTS in auto else spec.confirm.finalists,
        seeds=None if SEEDS in auto else spec.confirm.seeds,
        **({} if given is None else {"reduction_factor": given.reduction_factor}),
    )


def values_of(plan: Plan, spec: SweepSpec) -> dict[str, object]:
    """Values of the auto keys of a spec, as a plan decides them."""
    rungs = {"min_epochs": plan.first_rung, "reduction_factor": plan.reduction_factor}
    return {
        TRIALS: plan.trials,
        EPOCHS: plan.epochs,
        PRUNING: "off" if plan.first_rung is None else rungs,
        # Patience waits for the end of a plateau, so that nothing may fall at the end.
        LR_SCHEDULE: "constant" if spec.budget.patience else "wsd",
        FINALISTS: plan.finalists,
        SEEDS: plan.seeds,
    }


def interleaved(configs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Configs in their order, but for one of each family at a time, so that the first few are of all families."""
    waiting: dict[object, list[Mapping[str, Any]]] = {}
    for config in configs:
        waiting.setdefault(config.get("architecture"), []).append(config)
    rows = max(map(len, waiting.values()), default=0)
    return [family[place] for place in range(rows) for family in waiting.values() if place < len(family)]
