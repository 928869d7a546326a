"""Plan of a warm start: which trials of earlier sweeps the sampler is to know, and which configs are tried first.

Trials of the same task, measured alike, enter the study as what they are, and count for nothing else. From sweeps on
other data only configs cross, never values: the best confirmed config of each, clipped into the new space.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from vae_search.core.trial_state import State
from vae_search.errors import Conflict
from vae_search.services.control.fitting_trials import fitting_trials
from vae_search.services.warm_start.clipping import ClippedConfig, clipped
from vae_search.services.warm_start.sources import Source, Sources, named_sources, similar_sources
from vae_search.spec.hyperparameters import ParamValue
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.backends.base import Store
from vae_search.store.ledger.borrowed import BorrowedTrials, write_borrowed
from vae_search.store.ledger.confirm_runs import ConfirmRow, ConfirmRuns
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.ledger.trials import Ledger
from vae_search.store.queries.confirmed_configs import confirmed_first, verdicts
from vae_search.store.sweeps.forks import point_of
from vae_search.store.sweeps.sweep_record import SweepRecord
from vae_search.store.sweeps.warm_started import TakenConfig, WarmStarted

MOST_TRIALS = 1000  # borrowed in all; a sampler that knows more of a task asks no better, and slower
MOST_ASKED = 50  # sweeps whose confirm runs are looked at for a config, the most similar first
SHARE_OF_BUDGET = 10  # one trial in so many may have a config from other data


@dataclass(frozen=True, slots=True, kw_only=True)
class Loan:
    """Trials of one earlier sweep of the same task."""

    source: Source
    trials: BorrowedTrials
    left_out: Mapping[str, int]
    """others of it, by the reason in a word"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmPlan:
    """Trials and configs that a new sweep takes from earlier ones; nothing is written yet."""

    loans: tuple[Loan, ...]
    configs: tuple[TakenConfig, ...]
    remarks: tuple[str, ...]
    """why other sweeps lend nothing"""

    @property
    def sentences(self) -> tuple[str, ...]:
        """All of it in words, a line each."""
        lines = [_loan_sentence(loan) for loan in self.loans]
        lines += [config_sentence(config) for config in self.configs]
        lines = lines or ["no earlier sweep of this store lends anything"]
        return tuple(f"warm start: {line}." for line in (*lines, *self.remarks))


def plan_warm_start(store: Store, new: SweepRecord) -> WarmPlan | None:
    """Choose what a sweep that begins now takes from earlier ones; None if its spec asks for nothing.

    Args:
        new: record of the sweep, which is not written yet.

    Raises:
        NotFound: The spec names a sweep that is not there.
        CorruptStore: The record of one that it names is damaged.
    """
    asked = new.spec.warm_start
    if asked is None or asked.sources == "off":
        return None
    sources = (
        similar_sources(store, new) if asked.sources == "auto" else named_sources(store, new, tuple(asked.sources))
    )
    loans, remarks = _loans(store, new, sources)
    known = [_point(new.spec, row) for loan in loans for row in loan.trials.rows]
    budget = new.spec.budget.trials
    room = min(asked.configs, budget // SHARE_OF_BUDGET, max(0, budget - len(new.spec.enqueue)))
    others = [source for source in sources.found if source.name not in {loan.source.name for loan in loans}]
    configs, refused = _configs(store, new.spec, others, room=room, known=[*known, *new.spec.enqueue])
    named = asked.sources != "auto"
    return WarmPlan(
        loans=tuple(loans), configs=configs, remarks=(*sources.remarks, *(refused + remarks if named else ()))
    )


def keep(store: Store, new: SweepRecord, plan: WarmPlan) -> SweepRecord:
    """Copy the trials of a plan into the new sweep's folder; its record with what it has taken.

    The caller holds the sweep's lease. May be interrupted, and called again.
    """
    borrowed = tuple(
        write_borrowed(
            store, new.spec.name, loan.trials, lender=loan.source.name, incarnation=loan.source.record.incarnation
        )
        for loan in plan.loans
    )
    return replace(new, warm_started=WarmStarted(borrowed=borrowed, configs=plan.configs))


def kept_sentences(kept: WarmStarted | None) -> tuple[str, ...]:
    """Sentences on all that a sweep took from earlier ones when it began, a line each."""
    if kept is None:
        return ()
    lines = [f"the sampler knows {lender.trials} trials of {lender.sweep}" for lender in kept.borrowed]
    lines += [config_sentence(config) for config in kept.configs]
    return tuple(f"warm start: {line}." for line in lines or ["no earlier sweep lent anything"])


def config_sentence(config: TakenConfig) -> str:
    """A config that is tried first, and where it comes from."""
    changed = f", fitted into this space: {', '.join(config.changed)}" if config.changed else ""
    return f"to be tried is the best confirmed config of {config.sweep}, its trial {config.trial}{changed}"


def _loan_sentence(loan: Loan) -> str:
    why = ", ".join(f"{name}: {count}" for name, count in sorted(loan.left_out.items()))
    out = f"; {sum(loan.left_out.values())} do not fit ({why})" if why else ""
    return f"the sampler knows {len(loan.trials.rows)} trials of {loan.source.name}, which has the same task{out}"


def _loans(store: Store, new: SweepRecord, sources: Sources) -> tuple[list[Loan], list[str]]:
    """Loans of those sources that lend trials, and remarks on those that have none that fit."""
    from vae_search.search.study.study import TOLD_AS_BAD

    loans: list[Loan] = []
    remarks: list[str] = []
    seen: set[str] = set()  # a sweep that was run twice under two names lends each trial once
    for source in sources.found:
        room = MOST_TRIALS - sum(len(loan.trials.rows) for loan in loans)
        if not source.lends_trials or room <= 0:
            continue
        ledger = Ledger(store, source.name)
        own = [row for row in ledger.read().rows if row.incarnation == source.record.incarnation]
        own = [row for row in own if row.state is not State.FAIL or row.reason in TOLD_AS_BAD]
        curves = ledger.curves(own).by_trial
        fitting = fitting_trials(own, curves, spec=new.spec, states=(State.COMPLETE, State.PRUNED, State.FAIL))
        rows: list[TrialRow] = []
        for row in fitting.rows:
            mark = f"{row.seed} {json.dumps(dict(row.params), sort_keys=True)}"
            if mark not in seen and len(rows) < room:
                seen.add(mark)
                rows.append(row)
        if rows:
            lent = {row.trial: curves[row.trial] for row in rows if row.trial in curves}
            trials = BorrowedTrials(rows=tuple(rows), curves=lent)
            loans.append(Loan(source=source, trials=trials, left_out=fitting.left_out))
        else:
            remarks.append(f"{source.name}: has no further trial that fits")
    return loans, remarks


def _configs(
    store: Store,
    spec: SweepSpec,
    sources: Sequence[Source],
    *,
    room: int,
    known: Sequence[Mapping[str, ParamValue]],
) -> tuple[tuple[TakenConfig, ...], list[str]]:
    """The best confirmed config of each source, no more than there is room for, and remarks on sources without one.

    Args:
        known: configs that are tried or known anyhow.
    """
    taken: list[TakenConfig] = []
    remarks: list[str] = []
    for source in sources[:MOST_ASKED]:
        if len(taken) == room:
            if room == 0:
                remarks.append(f"{source.name}: lends no config, since the budget has no trial in ten for one")
            continue
        row = _best_confirmed(store, source)
        if row is None:
            remarks.append(f"{source.name}: has no confirmed config")
            continue
        config = fitted(spec, row.params)
        if not config.crossed:
            remarks.append(f"{source.name}: its best config has no place in this space")
        elif config.params in [*known, *(each.params for each in taken)]:
            remarks.append(f"{source.name}: its best config is tried or known anyhow")
        else:
            taken.append(
                TakenConfig(
                    sweep=source.name,
                    incarnation=source.record.incarnation,
                    trial=row.trial,
                    spec_sha256=row.spec_sha256,
                    params=config.params,
                    changed=config.changed,
                )
            )
    return tuple(taken), remarks


def fitted(spec: SweepSpec, params: Mapping[str, ParamValue]) -> ClippedConfig:
    """The config clipped into the space of a spec; without any parameter that has no place there all the same."""
    config = clipped(spec.search_space, params)
    wrong = {problem.partition(":")[0] for problem in spec.search_space.problems(config.params, partial=True)}
    if not wrong:
        return config
    return ClippedConfig(
        params={name: value for name, value in config.params.items() if name not in wrong},
        crossed=tuple(name for name in config.crossed if name not in wrong),
        changed=(*config.changed, *sorted(wrong - {*config.changed})),
    )


def _best_confirmed(store: Store, source: Source) -> ConfirmRow | None:
    found = ConfirmRuns(store, source.name).read().rows
    rows = [row for row in found if row.incarnation == source.record.incarnation]
    try:
        best = confirmed_first(verdicts(rows))[:1]
    except Conflict:  # they were not judged alike, so that none is the best
        return None
    return next((row for row in rows if row.trial in best), None)


def _point(spec: SweepSpec, row: TrialRow) -> Mapping[str, ParamValue]:
    point = point_of(spec.search_space, row.params)
    return {} if isinstance(point, str) else point
