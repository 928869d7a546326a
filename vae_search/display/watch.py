"""Live view of a sweep that another process runs, from its events."""

import sys
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext

from rich.live import Live
from rich.text import Text

from vae_search.core.trial_state import State
from vae_search.display.console import console, say, show_json
from vae_search.display.front import front_line
from vae_search.display.live import finished_line, picture_of
from vae_search.display.tables import cell
from vae_search.search.progress import Progress
from vae_search.services.payloads import Facts, front_in, printed_status


def watch(
    sweep: str,
    events: Iterable[tuple[str, Facts]],
    how_it_stands: Callable[[], Facts],
    *,
    resume: str,
    as_json: bool,
    monotonic: Callable[[], float] = time.monotonic,
) -> Facts:
    """Show a sweep until nobody runs it any more, then say how it stands: live on a terminal, else a line per trial.

    Args:
        events: `progress` with `progress_facts`, and `trial` with `landed_facts`; they end when nobody runs it.
        how_it_stands: reads `sweep_facts` in the end.
        resume: the command that runs the sweep on.
        as_json: show nothing but how it stands in the end.

    Returns:
        How it stands in the end.

    Raises:
        NotFound: There is no such sweep.
        KeyboardInterrupt: The user leaves; the sweep does not notice.
    """
    began_s, first, silent = monotonic(), None, None
    out = console()
    is_live = out.is_terminal and not as_json
    with Live(console=out, auto_refresh=False) if is_live else nullcontext() as live:
        for kind, facts in events:
            if kind == "progress":
                now, silent = _progress(facts), facts["silent_driver"]
                first = first or now
                if live is not None:
                    picture = picture_of(sweep, now, first, monotonic() - began_s, width=out.width)
                    live.update(picture, refresh=True)
            elif not as_json:
                _show_landed(facts, live)
    status = how_it_stands()
    if as_json:
        show_json(printed_status(status))
    else:
        # A driver on another machine cannot be looked up; that it was silent for long is all there is to tell.
        say(_ending(status, resume, silent=silent if status["state"] == "running" else None))
    return status


def _show_landed(run: Facts, live: Live | None) -> None:
    """Show a finished run in one line; why it ended is the row's word for it, as the driver's sentence is not kept."""
    line = finished_line(run, cell(run.get("error") or run.get("reason") or "") or f"{run['epochs']} epochs")
    if live is None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    elif run["state"] == State.FAIL:
        live.console.print(Text(line, style="red"))


def _ending(status: Facts, resume: str, *, silent: str | None) -> str:
    counts = f"{status['finished']} of {status['trials']} trials done, {status['complete']} complete"
    name = status["sweep"]
    if silent:
        return f"{name} seems interrupted, {counts}: {silent} shows no sign of life. If it is gone: {resume}"
    match status["state"]:
        case "finished":
            best = "" if status["best_trial"] is None else f"; best: trial {status['best_trial']}"
            objective = "" if status["best_objective"] is None else f", objective {status['best_objective']:.2f}"
            front = front_in(status)
            of_front = "" if front is None else f"; {front_line(front)}"
            return f"{name} is finished, {counts}, {status['confirm_runs']} confirm runs{best}{objective}{of_front}"
        case "interrupted":
            return f"{name} is interrupted, {counts}. Go on with: {resume}"
        case _:
            return f"{name} is taken up again, {counts}. Watch on with: vae-search watch {name}"


def _progress(facts: Facts) -> Progress:
    """The progress that `progress_facts` tells of."""
    return Progress(
        trials=facts["trials"],
        states={
            State.COMPLETE: facts["complete"],
            State.PRUNED: facts["pruned"],
            State.FAIL: facts["failed"],
        },
        best_trial=facts["best_trial"],
        best_objective=facts["best_objective"],
        front=front_in(facts),
        epochs_done=facts["epochs_seen"],
        running=facts["running"],
        paused=facts["paused"],
        confirmed=facts["confirmed"],
        confirm_runs=facts["confirm_runs"],
    )
