"""JSON payloads: statuses, trials, fronts, decisions, models and jobs as plain dictionaries, for `--json` and HTTP.

Keys are a contract: programs read them, and so do the tables, which show the same whether a payload was made here or
came from a service. Scores are in nats per image.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vae_search.core.criteria import Criteria
from vae_search.core.trial_state import State
from vae_search.services.limits.words import spending_facts
from vae_search.spec.measures.pareto import pareto_criteria
from vae_search.store.ledger.confirm_runs import ConfirmRow
from vae_search.store.queries.confirmed_configs import Confirmed, FailedConfirmation
from vae_search.store.queries.front import Front, Member

if TYPE_CHECKING:
    from vae_search.registry.promotion.pipeline import Decision
    from vae_search.registry.state import ModelState
    from vae_search.runtime.cluster.jobs import Job
    from vae_search.services.comparison import Comparison
    from vae_search.services.cost_estimate import Estimate
    from vae_search.services.maintenance import Cleaning
    from vae_search.services.models.sweep_outcome import SweepOutcome
    from vae_search.services.queries import Ranking
    from vae_search.services.sweep_status import SweepStatus
    from vae_search.spec.sweep_spec import SweepSpec
    from vae_search.store.ledger.rows import TrialRow
    from vae_search.store.sweeps.warm_started import WarmStarted

    Verdicts = Mapping[int, Confirmed | FailedConfirmation]

Facts = dict[str, Any]

STATUS_KEYS = (
    *("sweep", "state", "trials", "finished", "complete", "pruned", "failed"),
    *("best_trial", "best_objective", "front", "confirm_runs", "cpu_s"),
)
"""keys of `status_facts`, in the order that they are printed in"""
STATUS_KEYS_OF_SOME = ("images", "bound", "borrowed", "warm_start", "stop", "spending", "plan")
"""those that records of older versions lack, and sweeps that are no forks or began with nothing of others"""
TABLE_KEYS = ("active_units", "latent_dims", "iwae_k", "not_confirmed")
"""keys of `table_facts`, which programs do not get"""


def status_facts(status: "SweepStatus") -> Facts:
    """Status of a sweep, as `status --json` prints it."""
    leaderboard = status.leaderboard
    best_trial, best_objective = leaderboard.best or (None, None)
    front = leaderboard.shown_front(pareto_criteria(status.spec))
    return {
        "sweep": status.spec.name,
        "state": status.state,
        "trials": status.spec.budget.trials,
        "finished": leaderboard.finished,
        "complete": leaderboard.states[State.COMPLETE],
        "pruned": leaderboard.states[State.PRUNED],
        "failed": leaderboard.states[State.FAIL],
        "best_trial": best_trial,
        "best_objective": best_objective,
        "front": None if front is None else front_facts(front),
        "confirm_runs": len(status.confirm_rows),
        "cpu_s": leaderboard.cpu_s,
    } | {
        name: value
        for name, value in (
            ("images", status.images and status.images.to_json()),
            ("bound", status.spec.objective.bound),
            ("plan", None if status.plan is None else _plan_facts(status)),
            ("borrowed", status.borrowing and {"sweep": status.borrowing.sweep, "trials": status.borrowing.trials}),
            ("warm_start", None if status.warm_started is None else warm_facts(status.warm_started)),
            ("stop", None if status.limits.stop is None else str(status.limits.stop)),
            ("spending", spending_facts(status.limits, status.spec.budget)),
        )
        if value is not None  # in records of older versions, and of sweeps that are no forks
    }


def warm_facts(kept: "WarmStarted") -> Facts:
    """Warm start of a sweep: the trials of others that its sampler knows, and the configs that it tried first."""
    return {
        "borrowed": [{"sweep": lender.sweep, "trials": lender.trials} for lender in kept.borrowed],
        "configs": [
            {"sweep": each.sweep, "trial": each.trial, "params": dict(each.params), "changed": list(each.changed)}
            for each in kept.configs
        ],
    }


def _plan_facts(status: "SweepStatus") -> Facts | None:
    from vae_search.services.planning.plan_words import plan_facts  # of planned sweeps alone

    decided = None if status.confirm_decision is None else status.confirm_decision.epochs
    return plan_facts(status.plan, sweep=status.spec.name, decided=decided, continuation=status.continuation)


def printed_status(facts: Facts) -> Facts:
    """The part of `sweep_facts` that `status --json` prints."""
    return {name: facts[name] for name in (*STATUS_KEYS, *STATUS_KEYS_OF_SOME) if name in facts}


def outcome_facts(outcome: "SweepOutcome", ranking: "Ranking") -> Facts:
    """Outcome of `run` or `resume`: status, best trials and promotion.

    Args:
        ranking: the trials to name as `best`.
    """
    promotion = None if outcome.promotion is None else decision_facts(outcome.promotion)
    return status_facts(outcome.status) | {"best": ranking_facts(ranking), "promotion": promotion}


def ranking_facts(ranking: "Ranking") -> list[Facts]:
    """Trials of a ranking, best first, as `best --json` prints them."""
    return [ranked_facts(row, ranking.verdicts) for row in ranking.rows]


def printed_ranking(facts: Facts) -> list[Facts]:
    """The part of `best_facts` that `best --json` prints: `ranking_facts`."""
    return [{name: value for name, value in row.items() if name not in TABLE_KEYS} for row in facts["items"]]


def best_facts(ranking: "Ranking") -> Facts:
    """A ranking with all that its table needs: the trials, and in what sense they are the best."""
    return {
        "sweep": ranking.sweep,
        "items": [ranked_facts(row, ranking.verdicts) | table_facts(row, ranking.verdicts) for row in ranking.rows],
        "finished": ranking.finished,
        "front": list(ranking.front),
        "bound": ranking.bound,
        "searched": list(ranking.searched),
        "damaged": list(ranking.damaged),
    }


def ranked_facts(row: "TrialRow", verdicts: "Verdicts") -> Facts:
    """One trial of a ranking, with what fresh seeds say of it."""
    return trial_facts(row) | {"confirmed": confirmed_facts(verdicts.get(row.trial))}


def table_facts(row: "TrialRow", verdicts: "Verdicts") -> Facts:
    """Latents and failed seeds of one ranked trial, for tables; its keys are `TABLE_KEYS`."""
    verdict = verdicts.get(row.trial)
    return {
        "active_units": row.active_units,
        "latent_dims": None if row.kl_per_dimension is None else len(row.kl_per_dimension),
        "iwae_k": verdict.iwae_k if isinstance(verdict, Confirmed) else None,
        "not_confirmed": asdict(verdict) if isinstance(verdict, FailedConfirmation) else None,
    }


def trial_facts(row: "TrialRow") -> Facts:
    """One trial: scores, costs, parameters and, unless it completed, why."""
    return (
        {
            "trial": row.trial,
            "state": row.state,
            "objective": row.objective,
            "neg_elbo": row.neg_elbo,
            "instability": row.instability,
            "epochs": row.epochs,
            "train_flops": row.train_flops,
            "params": dict(row.params),
        }
        | dict(row.metrics)
        | ({"reason": row.reason, "error": row.error} if row.reason else {})
    )


def confirmed_facts(verdict: Confirmed | FailedConfirmation | None) -> Facts | None:
    """Bound on -log p(x) over fresh seeds; None for a config that is not confirmed.

    `seeds` is 0 if there is only the run that the finalists were chosen by.
    """
    if not isinstance(verdict, Confirmed):
        return None
    return {"seeds": verdict.seeds, "mean": verdict.mean, "sd": verdict.sd}


def landed_facts(row: "TrialRow") -> Facts:
    """A trial or confirm run that has just ended; `key` tells them apart: 000042, 000042-s1."""
    return trial_facts(row) | {"key": row.key, "confirm_run": isinstance(row, ConfirmRow)}


def front_facts(front: Front) -> list[Facts]:
    """Members of a front, the preferred one first."""
    return [{"trial": member.trial} | dict(member.values) for member in front.members]


def front_order(front: Front) -> Facts:
    """Criteria of a front, and the one that orders it."""
    maximised = [name for name in front.criteria if name in front.of.maximised]
    return {"criteria": list(front.criteria), "prefer": front.prefer, "maximised": maximised}


def front_in(facts: Facts) -> Front | None:
    """The front in a payload; None for a sweep that has none."""
    order = facts["front_of"]
    if order is None:
        return None
    members = tuple(
        Member(trial=member["trial"], values={name: member[name] for name in order["criteria"]})
        for member in facts["front"]
    )
    # A service of an earlier version knows no criteria that are maximised.
    criteria = Criteria(
        names=tuple(order["criteria"]), prefer=order["prefer"], maximised=frozenset(order.get("maximised", ()))
    )
    return Front(of=criteria, members=members)


def decision_facts(decision: "Decision") -> Facts:
    """Decision on a promotion, with all gates and the contest."""
    return {
        "outcome": decision.outcome.value,
        "model": decision.model,
        "candidate": decision.candidate,
        "version": decision.version,
        "champion": decision.champion,
        "reasons": list(decision.ruling.reasons if decision.said is None else decision.said.reasons),
        "rejected": decision.said is not None,  # by somebody, after it had passed
        "rejected_by": None if decision.said is None else decision.said.actor,
        "test": None if decision.test is None else asdict(decision.test),
        **decision.ruling.to_json(),
    }


def estimate_facts(estimate: "Estimate", spec: "SweepSpec") -> Facts:
    """Estimated costs of a sweep, as `run --dry-run --json` prints them."""
    facts = {"sweep": spec.name, "trials": spec.budget.trials, **asdict(estimate)}
    return {name: value for name, value in facts.items() if name not in ("warm_start", "spending") or value}


def comparison_facts(comparison: "Comparison") -> Facts:
    """Several sweeps beside each other, the one with the best config first."""
    return {
        "unit": comparison.unit,
        "bound": comparison.bound,
        "sweeps": [
            {
                "sweep": contender.sweep,
                "likelihood": contender.likelihood,
                "trial": contender.row.trial,
                "value": contender.value,
                "sd": contender.sd,
                "seeds": contender.seeds,
                "epochs": contender.epochs,
                "parameters": contender.row.parameters,
                "params": dict(contender.row.params),
            }
            for contender in comparison.contenders
        ],
    }


def model_facts(state: "ModelState") -> Facts:
    """One model of a store: its champion, the contests that this has had, and the versions that wait for approval."""
    return {
        "model": state.model,
        "champion": state.champion,
        "waiting": [
            {"version": waiting.version.number, "candidate": waiting.version.candidate, "holds": waiting.holds}
            for waiting in state.waiting
        ],
        "versions": len(state.versions),
        "contests": state.contests,
        "entries": len(state.entries),
    }


def cleaning_facts(cleaning: "Cleaning") -> Facts:
    """Files that `gc` removed, or would remove, and the bytes that this frees."""
    return asdict(cleaning) | {"freed_bytes": sum(cleaning.removed.values())}


def job_facts(job: "Job") -> Facts:
    """A sweep's job on a Ray cluster; `started_at` in UTC."""
    began = (
        None if job.started_at_s is None else datetime.fromtimestamp(job.started_at_s, UTC).isoformat("T", "seconds")
    )
    return {
        "sweep": job.sweep,
        "submission_id": job.submission_id,
        "status": job.status,
        "started_at": began,
        "exit_code": job.exit_code,
        "store": job.store,
    }
