"""Progress of a running sweep: a live display on a terminal, plain lines elsewhere."""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vae_search.core.dataset_summary import DatasetSummary
from vae_search.core.trial_state import State
from vae_search.display.console import clock, console, say
from vae_search.display.front import front_ends, front_size
from vae_search.search.progress import Observer, Progress
from vae_search.services.payloads import Facts, landed_facts

if TYPE_CHECKING:
    from vae_search.search.running_trial import TrialEnd
    from vae_search.spec.sweep_spec import SweepSpec
    from vae_search.store.ledger.rows import TrialRow

REFRESH_S = 0.5
BAR_COLUMNS = 40
COLOURS = {State.COMPLETE: "green", State.PRUNED: "yellow", State.FAIL: "red"}


def observer(spec: "SweepSpec", *, quiet: bool) -> Observer:
    """Observer that suits standard output: nothing when quiet, live on a terminal, else one line per trial."""
    if quiet:
        return Observer()
    out = console()
    if out.is_terminal:
        display = _Display(spec, out)
        return Observer(
            on_phase=display.on_phase,
            on_images=show_images,
            on_warm_start=show_lines,
            on_warning=display.on_warning,
            on_trial_finished=display.on_trial_finished,
            watching=display.watching,
        )
    return Observer(
        on_phase=_plain_phase,
        on_images=show_images,
        on_warm_start=show_lines,
        on_warning=_plain_warning,
        on_trial_finished=_plain_landed,
    )


def show_images(images: DatasetSummary) -> None:
    """Print the images that were read, and what is odd about them."""
    show_lines(images.sentences)


def show_lines(lines: Sequence[str]) -> None:
    """Print sentences, one a line, before anything is started."""
    for line in lines:
        say(line)
    sys.stdout.flush()


def _plain_phase(phase: str) -> None:
    sys.stdout.write(f"{phase} …\n")
    sys.stdout.flush()


def _plain_warning(words: str) -> None:
    sys.stdout.write(f"warning: {words}\n")
    sys.stdout.flush()


def _plain_landed(row: "TrialRow", verdict: "TrialEnd") -> None:
    sys.stdout.write(finished_line(landed_facts(row), verdict.explanation) + "\n")
    sys.stdout.flush()


def finished_line(run: Facts, explanation: str) -> str:
    """A finished run in one line, for logs and pipes: `trial 7 COMPLETE: objective 98.21, …`.

    Args:
        run: of `landed_facts`.
        explanation: why it ended.
    """
    value = "" if run["neg_elbo"] is None else f", neg_elbo {run['neg_elbo']:.2f}"
    stability = "" if run["instability"] is None else f", instability {run['instability']:.3f}"
    in_pareto_sweep = run["state"] == State.COMPLETE and run["objective"] is None
    cost = f", {run['train_flops']:.3g} FLOPs" if in_pareto_sweep and run["train_flops"] is not None else ""
    name = f"confirm run {run['key']}" if run["confirm_run"] else f"trial {run['trial']}"
    return f"{name} {run['state']}: {explanation}{value}{stability}{cost}"


class _Display:
    """Live display of counts, best or front so far, speed and time left, redrawn twice a second."""

    def __init__(self, spec: "SweepSpec", out: Console) -> None:
        self._spec = spec
        self._out = out

    def on_phase(self, phase: str) -> None:
        self._out.print(f"{phase} …", markup=False)

    def on_warning(self, words: str) -> None:
        self._out.print(Text(f"warning: {words}", style="yellow"))

    def on_trial_finished(self, row: "TrialRow", verdict: "TrialEnd") -> None:
        if row.state is State.FAIL:
            self._out.print(Text(finished_line(landed_facts(row), verdict.explanation), style="red"))

    @contextmanager
    def watching(self, progress: Callable[[], Progress]) -> Iterator[None]:
        started_s, first = time.monotonic(), progress()
        over = threading.Event()

        def picture() -> Group:
            elapsed_s = time.monotonic() - started_s
            return picture_of(self._spec.name, progress(), first, elapsed_s, width=self._out.width)

        with Live(picture(), console=self._out, auto_refresh=False) as live:

            def redraw() -> None:
                while not over.wait(REFRESH_S):
                    live.update(picture(), refresh=True)

            thread = threading.Thread(target=redraw, name="live-display", daemon=True)
            thread.start()
            try:
                yield
            finally:
                over.set()
                thread.join()
                live.update(picture(), refresh=True)


def picture_of(sweep: str, now: Progress, first: Progress, elapsed_s: float, *, width: int) -> Group:
    """Picture of a live display: counts, a bar, the best or the front so far, speed and time left.

    Args:
        first: the progress when the watching began, `elapsed_s` seconds ago.
        width: of the screen, in columns.
    """
    counts = Text.assemble(
        (f"{now.finished}/{now.trials} trials", "bold"),
        f"   {len(now.running)} running   ",
        f"{now.paused} paused   " if now.paused else "",
        *((f"{now.states.get(state, 0)} {state.lower()}   ", colour) for state, colour in COLOURS.items()),
    )
    bar = Table.grid()  # by itself a bar ends without a line end, and what follows would stand on its line
    bar.add_row(ProgressBar(total=now.trials, completed=now.finished, width=min(BAR_COLUMNS, width)))
    if now.finished == now.trials and now.confirm_runs:
        counts.append(f"{now.confirmed}/{now.confirm_runs} confirm runs", "bold")
    facts = Table.grid(padding=(0, 3))
    best = "–" if now.best_objective is None else f"{now.best_objective:.2f} nats (trial {now.best_trial})"
    speed = (now.epochs_done - first.epochs_done) / elapsed_s if elapsed_s > 0 else 0.0
    left = time_left_s(now, first, elapsed_s)
    if now.front is None:
        facts.add_row("best", best)
    else:
        facts.add_row("front", front_size(now.front))
        for end, value in front_ends(now.front).items():
            facts.add_row(end, value)
    facts.add_row("speed", f"{speed:.1f} epochs/s")
    facts.add_row("time", f"{clock(elapsed_s)} so far" + ("" if left is None else f", about {clock(left)} left"))
    return Group(Text(sweep, style="bold"), counts, bar, facts)


def time_left_s(now: Progress, first: Progress, elapsed_s: float) -> float | None:
    """Seconds until the budget is used at the pace so far; None before the first trial has ended."""
    landed = now.finished - first.finished
    return elapsed_s / landed * (now.trials - now.finished) if landed else None
