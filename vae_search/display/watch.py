"""Live view of a sweep that another process runs, from the store alone."""

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

from rich.live import Live
from rich.text import Text

from vae_search.core.trial_state import State
from vae_search.display.console import console, say, show_json
from vae_search.display.front import front_line
from vae_search.display.live import finished_line, picture_of
from vae_search.display.tables import cell
from vae_search.search.progress import Progress
from vae_search.search.running_trial import TrialEnd
from vae_search.services import sweep_status
from vae_search.services.payloads import status_facts
from vae_search.store.backends.base import Store
from vae_search.store.control.present_spec import read_present_spec
from vae_search.store.queries.live_progress import ProgressFollower

if TYPE_CHECKING:
    from vae_search.spec.sweep_spec import SweepSpec
    from vae_search.store.ledger.rows import TrialRow

LOOK_S = 2.0  # between two looks at the store


def watch(
    store: Store,
    sweep: str,
    *,
    resume: str,
    as_json: bool,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> sweep_status.SweepStatus:
    """Show a sweep until nobody runs it any more, then say how it stands: live on a terminal, else a line per trial.

    Args:
        resume: the command that runs the sweep on.
        as_json: show nothing but how it stands in the end.

    Returns:
        How it stands in the end.

    Raises:
        NotFound: There is no such sweep.
        KeyboardInterrupt: The user leaves; the sweep does not notice.
    """
    spec = read_present_spec(store, sweep)
    following = ProgressFollower(store, sweep, spec.objective, monotonic=monotonic)
    began_s, first = monotonic(), _progress(spec, following)
    out = console()
    is_live = out.is_terminal and not as_json
    with Live(console=out, auto_refresh=False) if is_live else nullcontext() as live:
        while True:
            look = following.look()
            for row in () if as_json else look.landed:
                if live is None:
                    sys.stdout.write(_line(row) + "\n")
                    sys.stdout.flush()
                elif row.state is State.FAIL:
                    live.console.print(Text(_line(row), style="red"))
            if live is not None:
                now = _progress(spec, following)
                live.update(picture_of(sweep, now, first, monotonic() - began_s, width=out.width), refresh=True)
            if look.driver is None or look.silent:
                break
            sleep(LOOK_S)
    status = sweep_status.status(store, sweep)
    if as_json:
        show_json(status_facts(status))
    else:
        # A driver on another machine cannot be looked up; that it was silent for long is all there is to tell.
        silent = look.driver if look.silent and status.state == "running" else None
        say(_ending(status, resume, silent="" if silent is None else str(silent.holder)))
    return status


def _ending(status: sweep_status.SweepStatus, resume: str, *, silent: str) -> str:
    facts = status_facts(status)
    counts = f"{facts['finished']} of {facts['trials']} trials done, {facts['complete']} complete"
    name = status.spec.name
    if silent:
        return f"{name} seems interrupted, {counts}: {silent} shows no sign of life. If it is gone: {resume}"
    match status.state:
        case "finished":
            best = "" if facts["best_trial"] is None else f"; best: trial {facts['best_trial']}"
            objective = "" if facts["best_objective"] is None else f", objective {facts['best_objective']:.2f}"
            front = status.leaderboard.shown_front(status.spec.objective)
            of_front = "" if front is None else f"; {front_line(front)}"
            return f"{name} is finished, {counts}, {facts['confirm_runs']} confirm runs{best}{objective}{of_front}"
        case "interrupted":
            return f"{name} is interrupted, {counts}. Go on with: {resume}"
        case _:
            return f"{name} is taken up again, {counts}. Watch on with: vae-search watch {name}"


def _progress(spec: "SweepSpec", following: ProgressFollower) -> Progress:
    best = following.best
    return Progress(
        trials=spec.budget.trials,
        states=dict(following.states),
        best_trial=best[0] if best else None,
        best_objective=best[1] if best else None,
        front=following.front,
        epochs_done=following.epochs_seen,
        running=following.running,
        paused=following.paused,
        confirmed=following.confirmed,
        confirm_runs=spec.confirm.runs,
    )


def _line(row: "TrialRow") -> str:
    """A finished run in one line; why it ended is the row's word for it, as the driver's sentence is not kept."""
    why = cell(row.error or row.reason or "") or f"{row.epochs} epochs"
    return finished_line(row, TrialEnd(state=row.state, reason=row.reason, explanation=why))
