"""Standing of the commands to a sweep: what each has come to, from the store alone."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from vae_search.core.trial_state import Reason
from vae_search.search.pending_trials import PendingTrials
from vae_search.store.backends.base import Store
from vae_search.store.control.command_log import CommandLog
from vae_search.store.control.commands import SweepCommand
from vae_search.store.control.enqueued_trials import EnqueuedTrials
from vae_search.store.control.present_spec import live_values, read_present_spec
from vae_search.store.leases.heartbeat import last_heartbeat
from vae_search.store.ledger.trials import Ledger
from vae_search.store.maintenance.disk_usage import usage
from vae_search.store.paths import number_of
from vae_search.store.sweeps.sweep_record import read_stored

if TYPE_CHECKING:
    from vae_search.store.ledger.rows import TrialRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Standing of one command."""

    number: int
    at: datetime
    """UTC"""
    actor: str | None
    wanted: str
    """what was asked for, in words"""
    state: Literal["waits", "done", "void"]
    """waits for its sweep's driver; carried out; came too late to be"""
    outcome: str
    """in words"""


def detail_facts(store: Store, sweep: str) -> dict[str, Any]:
    """Details of one sweep, which `status SWEEP` shows beside its counts.

    Returns:
        `usage` in bytes; `settings` that may change while it runs; `commands` to it; and `awaited`, of `model_facts`:
        the model where a config of it waits for approval.

    Raises:
        NotFound: There is no such sweep.
        CorruptStore: A command or a suggestion is damaged.
    """
    from vae_search.services.models.approval import awaited_model
    from vae_search.services.payloads import model_facts

    spec = read_present_spec(store, sweep)
    awaited = awaited_model(store, spec)
    return {
        "usage": asdict(usage(store, sweep)),
        "settings": live_values(spec),
        "commands": [asdict(each) | {"at": each.at.isoformat()} for each in standings(store, sweep)],
        "awaited": None if awaited is None else model_facts(awaited),
    }


def standings(store: Store, sweep: str) -> tuple[Standing, ...]:
    """Read the commands to a sweep, and what has come of each.

    Raises:
        NotFound: There is no such sweep.
        CorruptStore: A command or a suggestion is damaged.
    """
    incarnation = read_stored(store, sweep).incarnation
    commands = CommandLog(store, sweep, incarnation=incarnation).commands()
    own = [(number, each) for number, each in enumerate(commands, start=1) if each.incarnation == incarnation]
    if not own:
        return ()
    found = Ledger(store, sweep).read()
    rows = {row.trial: row for row in found.rows}
    lost = {*found.set_aside, *(number for path in found.damaged if (number := number_of(path)) is not None)}
    noted = EnqueuedTrials(store, sweep, incarnation=incarnation).commands(lost)
    trials: dict[int | None, int] = {number: trial for trial, number in noted.items()}
    trials |= {row.command: row.trial for row in rows.values()}
    trials |= {each.command: each.trial for each in PendingTrials(store, sweep).all() if not each.confirms}
    last = last_heartbeat(store, sweep)
    seen = 0 if last is None else last.progress.commands
    return tuple(
        _standing(
            number, each, trial=trials.get(number), row=rows.get(-1 if each.trial is None else each.trial), seen=seen
        )
        for number, each in own
    )


def _standing(number: int, command: SweepCommand, *, trial: int | None, row: "TrialRow | None", seen: int) -> Standing:
    """Standing of a command.

    Args:
        trial: that its config has become.
        row: of the trial that it stops.
        seen: number of the last command that a driver has seen.
    """
    state: Literal["waits", "done", "void"] = "waits"
    outcome = "waits for the driver"
    if command.params is not None:
        wanted = "try " + (", ".join(f"{name}={value}" for name, value in command.params.items()) or "a config")
        if trial is not None:
            state, outcome = "done", f"is trial {trial}"
        elif number <= seen:
            outcome = "waits for a place in the budget"
    elif command.trial is not None:
        wanted = f"stop trial {command.trial}"
        if row is not None and row.reason is Reason.STOPPED:
            state, outcome = "done", f"stopped after {row.epochs} epochs"
        elif row is not None:
            state, outcome = "void", f"had ended by itself, {row.state}"
        elif number <= seen:
            outcome = "waits for the end of its epoch"
    else:
        wanted = "set " + ", ".join(f"{key}={value}" for key, value in (command.settings or {}).items())
        if number <= seen:
            state, outcome = "done", "holds"
    return Standing(number=number, at=command.at, actor=command.actor, wanted=wanted, state=state, outcome=outcome)
