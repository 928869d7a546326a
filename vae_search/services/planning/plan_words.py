"""Words on a plan: what a sweep does with its minutes, for people."""

from collections.abc import Mapping
from dataclasses import asdict

from vae_search.search.planning.plan_record import SweepPlan, plan_in
from vae_search.store.control.confirm_decisions import Continuation
from vae_search.store.paths import SweepPaths

NOT_MEASURED = (
    "These numbers come from an estimate of this machine's speed. `run` measures it in the first seconds and decides "
    "by that; how long the confirm runs are is decided when the search is over."
)


def plan_sentence(
    record: SweepPlan, *, confirm_epochs: int | None = None, continuation: Continuation | None = None
) -> str:
    """A plan in one or two sentences.

    Args:
        confirm_epochs: that have been decided; None: as forecast.
        continuation: that has been decided; None: as forecast, or none.
    """
    plan = record.plan
    rungs = f", rungs at {', '.join(map(str, plan.rungs))}" if plan.rungs else ""
    search = (
        f"{plan.search_s / 60:.3g} of {record.minutes:g} minutes for the search: {plan.trials} trials of up to "
        f"{plan.epochs} epochs{rungs}"
    )
    if not plan.finalists:
        words = f"{search}."
    else:
        config = "the best config" if plan.finalists == 1 else f"the best of {plan.finalists} finalists"
        seeds = f"{plan.seeds} fresh seed{'s' if plan.seeds > 1 else ''}"
        epochs = f"about {plan.confirm_epochs}" if confirm_epochs is None else f"{confirm_epochs}"
        words = f"{search}; then {config} with {seeds}, {epochs} epochs each."
        if continuation is not None:
            words += f" {continuation}."
        elif plan.continues and confirm_epochs is None:
            threads = "" if plan.threads is None else f" with {plan.threads} thread{'s' if plan.threads > 1 else ''}"
            words += f" The best of them goes on for the rest of the time, alone{threads}."
    words += f" An epoch takes about {record.speed.epoch_s:.2g} s with {record.workers} at once."
    return words if plan.fits else f"{words} This is more than the minutes hold: raise budget.minutes."


def plan_facts(
    fields: Mapping[str, object] | None,
    *,
    sweep: str,
    decided: int | None,
    continuation: Continuation | None = None,
) -> dict[str, object] | None:
    """Facts of a sweep's plan: its forecast, and what has been decided since; None if it has none.

    Args:
        fields: of the sweep's record.
        decided: epochs of the confirm runs, once its search is over.
        continuation: of the best of them, once that is decided.
    """
    record = plan_in(fields, path=SweepPaths(sweep).resolved)
    if record is None:
        return None
    return {
        "words": plan_sentence(record, confirm_epochs=decided, continuation=continuation),
        "search_s": record.plan.search_s,
        "confirm_s": record.plan.confirm_s,
        "judge_s": record.plan.judge_s,
        "epoch_s": record.speed.epoch_s,
        "forecast_confirm_epochs": record.plan.confirm_epochs,
        "confirm_epochs": decided,
        "continuation": None if continuation is None else asdict(continuation),
        "fits": record.plan.fits,
    }
