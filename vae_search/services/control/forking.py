"""Fork of a sweep: another space or budget, whose sampler knows the completed trials that fit it.

These are copied into the fork's folder. They take no number and no budget there, and are never ranked, confirmed or
promoted as the fork's own.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vae_search.core.trial_state import State
from vae_search.errors import Conflict, InvalidSpec
from vae_search.services.checks.sweep_checks import check_limits
from vae_search.services.control.fitting_trials import FittingTrials, fitting_trials
from vae_search.services.sweeps import versions
from vae_search.spec.from_trial import to_yaml
from vae_search.spec.measures.metrics import metrics_code
from vae_search.spec.networks.submitted import check_own, code_in_use
from vae_search.spec.own_code.code_loading import look_again
from vae_search.spec.own_code.own_code import CodeIdentity
from vae_search.spec.sweep_spec import overridden
from vae_search.store.backends.base import Store, prove_exclusive
from vae_search.store.control.present_spec import BegunSpec, present_spec
from vae_search.store.leases.lease import acquire
from vae_search.store.ledger.borrowed import BorrowedTrials, write_borrowed
from vae_search.store.ledger.rows import EpochRow, TrialRow
from vae_search.store.ledger.trials import Ledger
from vae_search.store.sweeps import beginning, sweep_record
from vae_search.store.sweeps.borrowing import Borrowing
from vae_search.store.sweeps.forks import forked_spec, measure_changes
from vae_search.store.sweeps.sweep_record import SweepRecord

if TYPE_CHECKING:
    from vae_search.spec.sweep_spec import SweepSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """Result of `fork`: a sweep of the store that nobody runs yet."""

    spec: "SweepSpec"
    text: str
    """of the spec, which means the same in any folder"""
    lender: str
    """the sweep that it came from"""
    borrowed: int
    """trials of it that the sampler knows"""
    left_out: Mapping[str, int]
    """completed trials that do not fit, by the first parameter for which they have no place"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkOutlook:
    """Outlook of a fork that nobody has made yet.

    Args:
        completed: trials of the other sweep that have completed.
        borrowed: of these, those that the sampler would know.
        left_out: the others, by the first parameter for which they have no place.
        changes: differences by which the trials would not be comparable, one `budget.epochs: 9 → 12` each; then
            nothing can be borrowed, and `borrowed` is 0.
    """

    completed: int
    borrowed: int
    left_out: Mapping[str, int]
    changes: tuple[str, ...]


def fork(
    store: Store,
    sweep: str,
    name: str,
    *,
    overrides: Sequence[str] = (),
    spec: "SweepSpec | None" = None,
    check: "Callable[[SweepSpec], None]" = lambda _: None,
) -> Fork:
    """Make a new sweep out of another one: its record, and copies of the completed trials that fit it.

    Once this returns the fork is whole, whatever becomes of the other sweep; the same call again changes nothing. It is
    run, or queued, as any sweep of the store.

    Args:
        name: of the fork.
        overrides: `key.key=value`, laid over the other sweep's present spec, or over `spec`.
        spec: for the fork, under any name; None: the other sweep's.
        check: raises what it has against the fork's spec.

    Raises:
        NotFound: There is no such sweep.
        InvalidSpec: The name, an override or the spec is wrong.
        Conflict: The trials would not be comparable, or none fits; or the store holds another sweep of this name.
    """
    stored = sweep_record.read_stored(store, sweep)
    record, present = stored.checked(), present_spec(store, stored)
    new = (
        forked_spec(present, name, overrides)
        if spec is None
        else overridden(spec, [f"name={name}", "warm_start=null", *overrides])
    )
    check_limits(new)
    check(new)
    look_again()
    check_own(new.search_space)
    in_use = code_in_use(new.search_space) | metrics_code(new.metrics)
    code = {name: each.identity for name, each in in_use.items()}
    beginning.check_code(record, code)  # the value of a config depends on it
    new = new.with_bound(record.spec)
    _check_comparable(record, present, new)
    if (there := _already_there(store, record, new)) is not None:
        return there
    fitting, curves = _read_fitting(store, record, new)
    prove_exclusive(store)
    # A lease of a removed sweep of this name may hold another spec: from here on the fork's is the last one.
    begun = BegunSpec(spec=new, asked=new, commands=0)
    lease = acquire(
        store, new.name, begin=lambda: {} if sweep_record.find_stored(store, new.name) else begun.to_record()
    )
    try:
        if (there := _already_there(store, record, new)) is not None:
            return there
        beginning.check_nothing_left(store, new.name)
        lease.check()
        trials = BorrowedTrials(rows=fitting.rows, curves=curves)
        borrowing = write_borrowed(store, new.name, trials, lender=sweep, incarnation=record.incarnation)
        lease.check()
        beginning.create_or_check(store, _record_of(new, record, borrowing, code=code), text=to_yaml(new))
        lease.begin_anew()
    finally:
        lease.release()
    return Fork(spec=new, text=to_yaml(new), lender=sweep, borrowed=len(fitting.rows), left_out=dict(fitting.left_out))


def _check_comparable(lender: SweepRecord, present: "SweepSpec", new: "SweepSpec") -> None:
    """Refuse a fork whose trials could not be compared with the lender's.

    Args:
        present: spec of the lender.
        new: spec of the fork.

    Raises:
        InvalidSpec: It has the lender's name.
        Conflict: A config has another value in it.
    """
    from vae_search.data.comparability import METRIC_VERSION

    name = lender.spec.name
    if new.name == name:
        raise InvalidSpec(f"{name}: a fork needs a name of its own. To extend {name}, resume it with another budget.")
    beginning.check_metric(lender, METRIC_VERSION)
    if changes := measure_changes(present, new):
        raise Conflict(
            f"fork of {name}: its trials would not be comparable with those of {new.name}:\n{'; '.join(changes)}\n"
            "Change that back, or run the spec as a sweep of its own."
        )


def _read_fitting(
    store: Store, lender: SweepRecord, new: "SweepSpec"
) -> tuple[FittingTrials, Mapping[int, Sequence[EpochRow]]]:
    """Read the lender's completed trials that fit the fork, and all their learning curves.

    Raises:
        Conflict: There is none.
    """
    name = lender.spec.name
    complete, curves = _completed(store, lender)
    fitting = fitting_trials(complete, curves, spec=new)
    if not fitting.rows:
        raise Conflict(
            f"fork of {name}: none of its completed trials fits {new.name}"
            f"{f' ({reasons(fitting.left_out)})' if fitting.left_out else ', since none has completed'}.\n"
            "Without any it is a sweep of its own: run its spec."
        )
    return fitting, curves


def _record_of(
    spec: "SweepSpec", lender: SweepRecord, borrowing: Borrowing, *, code: Mapping[str, CodeIdentity]
) -> SweepRecord:
    """The record of a fork, which is judged as its lender is.

    Args:
        code: identities of the packages in use, by name.
    """
    return replace(
        lender,
        spec=spec,
        versions=versions() | {each.package: each.shown_version for each in code.values()},
        incarnation=secrets.token_hex(16),
        plan=None,
        borrowing=borrowing,
        warm_started=None,
        code=code,
    )


def fork_outlook(store: Store, sweep: str, spec: "SweepSpec") -> ForkOutlook:
    """Look at what a fork would borrow; nothing is written.

    Args:
        spec: of the fork.

    Raises:
        NotFound: There is no such sweep.
        CorruptStore: Its record is damaged.
        Conflict: Its trials were measured by another version of the metric.
    """
    from vae_search.data.comparability import METRIC_VERSION

    stored = sweep_record.read_stored(store, sweep)
    record, present = stored.checked(), present_spec(store, stored)
    beginning.check_metric(record, METRIC_VERSION)
    new = spec.with_bound(record.spec)
    changes = measure_changes(present, new)
    complete, curves = _completed(store, record)
    fitting = FittingTrials(rows=(), left_out={}) if changes else fitting_trials(complete, curves, spec=new)
    return ForkOutlook(
        completed=len(complete), borrowed=len(fitting.rows), left_out=dict(fitting.left_out), changes=tuple(changes)
    )


def reasons(left_out: Mapping[str, int]) -> str:
    """Reasons in a line: `latent_dim: 3, depth: 1`."""
    return ", ".join(f"{name}: {count}" for name, count in sorted(left_out.items()))


def _completed(store: Store, lender: SweepRecord) -> tuple[list[TrialRow], Mapping[int, Sequence[EpochRow]]]:
    """Rows of the lender's completed trials, and their curves by trial.

    A row of another incarnation counts as none: the lender was removed since its record was read, and another has its
    name.
    """
    ledger = Ledger(store, lender.spec.name)
    own = (row for row in ledger.read().rows if row.incarnation == lender.incarnation)
    rows = [row for row in own if row.state is State.COMPLETE]
    return rows, ledger.curves(rows).by_trial


def _already_there(store: Store, lender: SweepRecord, spec: "SweepSpec") -> Fork | None:
    """The fork that an earlier call of the same kind has made.

    Raises:
        Conflict: The store holds another sweep of this name.
    """
    existing = sweep_record.find(store, spec.name)
    if existing is None:
        return None
    borrowing = existing.borrowing
    if borrowing is None or (borrowing.sweep, borrowing.incarnation) != (lender.spec.name, lender.incarnation):
        raise Conflict(f"sweep {spec.name}: the store holds another sweep of this name. Give the fork another name.")
    beginning.check_same(existing, spec)
    return Fork(spec=spec, text=to_yaml(spec), lender=lender.spec.name, borrowed=borrowing.trials, left_out={})
