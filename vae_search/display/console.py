"""Standard output of the commands: sentences, tables and JSON. Nothing here decides anything."""

import errno
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from vae_search.display.front import front_cell, front_line
from vae_search.display.tables import cell, json_text, show_table
from vae_search.services.payloads import Facts, estimate_facts, front_in, printed_status

if TYPE_CHECKING:
    from vae_search.services.cost_estimate import Estimate
    from vae_search.spec.parameters import Parameter
    from vae_search.spec.sweep_spec import SweepSpec

COUNTS = ("complete", "pruned", "failed")
READER_GONE = (errno.EPIPE, errno.EIO)  # of a pipe, or of a terminal that was closed


def console() -> Console:
    """Standard output; wide enough for whole lines where it is no terminal."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160
    return Console(width=width, highlight=False)


class _OutputWithoutReader:
    """A text stream that goes on when nobody reads it any more: what is written then is lost, without an error."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            drop_output(self._stream, error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            drop_output(self._stream, error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def output_without_reader() -> Iterator[None]:
    """Inside the block this process goes on when its terminal is closed, or the program that reads its output ends."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_OutputWithoutReader(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def drop_output(stream: IO[str], trouble: OSError) -> None:
    """Let a stream whose reader is gone lead nowhere; what is still in its buffer is lost as well.

    Raises:
        OSError: The trouble is another one, a full disk say.
    """
    if trouble.errno not in READER_GONE:
        raise trouble
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Show on a terminal that something takes its time, on the error stream; elsewhere nothing."""
    out = Console(stderr=True, highlight=False)
    if not out.is_terminal:
        yield
        return
    with out.status(escape(f"{what} …")):
        yield


def say(text: str) -> None:
    """Print one plain sentence."""
    console().print(escape(text), soft_wrap=True)


def warn(text: str) -> None:
    """Print one plain sentence on the error stream, for people: what is printed for programs stays as it is."""
    sys.stderr.write(f"warning: {text}\n")


def show_jobs(jobs: Sequence[Mapping[str, object]]) -> None:
    """Print the jobs of a cluster, one in each line."""
    if not jobs:
        say("This cluster knows no job of a sweep. `vae-search submit` makes one.")
        return
    rows = [["–" if value is None else cell(value) for value in job.values()] for job in jobs]
    show_table(console(), [*jobs[0]], rows)


def show_json(value: object) -> None:
    """Print `value` as JSON; dates and such as text."""
    sys.stdout.write(json_text(value) + "\n")


def show_spec(spec: "SweepSpec", *, as_json: bool) -> None:
    """Print a valid spec with its defaults."""
    if as_json:
        show_json(spec.to_json())
        return
    say(f"{spec.name}: a valid spec")
    rows = []
    for parameter in spec.search_space.parameters:
        conditions = ", ".join(f"{name} = {' or '.join(map(str, values))}" for name, values in parameter.when)
        rows.append([parameter.name, _values(parameter), conditions])
    show_table(console(), ["parameter", "values", "when"], rows)
    rest = {key: value for key, value in spec.to_json().items() if key not in ("name", "search_space")}
    longest = max(map(len, rest))
    say("\n" + "\n".join(f"{key:<{longest}}  {json.dumps(value, ensure_ascii=False)}" for key, value in rest.items()))


def show_estimate(estimate: "Estimate", spec: "SweepSpec", *, as_json: bool) -> None:
    """Print an estimate, as `run --dry-run` does."""
    if as_json:
        show_json(estimate_facts(estimate, spec))
        return
    if estimate.plan is not None:
        from vae_search.services.planning.plan_words import NOT_MEASURED, plan_sentence

        say("\n".join([f"{spec.name}: {plan_sentence(estimate.plan)}", NOT_MEASURED]))
    else:
        rungs = ", ".join(map(str, estimate.rungs)) or "none"
        say(f"{spec.name}: {spec.budget.trials} trials of up to {spec.budget.epochs} epochs; rungs at {rungs}")
    searched = list(dict.fromkeys(parameter.name for parameter in spec.search_space.searched))
    say(f"searched: {', '.join(searched) or 'nothing, every parameter is fixed'}")
    for line in (*estimate.images.sentences, *estimate.warm_start):
        say(line)
    extent = "about" if spec.budget.patience is None else "at most"
    say(
        f"{extent} {estimate.trial_epochs:,.0f} epochs after pruning, {estimate.slots} trials at a time: roughly "
        f"{clock(estimate.time_s)} on this machine, {estimate.memory_bytes / 1e9:.1f} GB of memory and "
        f"{estimate.store_bytes / 1e6:.1f} MB in the store. Nothing was started."
    )
    say(estimate.capacity)
    for line in estimate.spending:
        say(line)


def show_statuses(statuses: Sequence[Facts], *, as_json: bool, has_troubles: bool) -> None:
    """Print one line per sweep.

    Args:
        statuses: of `sweep_facts`.
        has_troubles: whether there are sweeps that cannot be shown.
    """
    if as_json:
        show_json([printed_status(facts) for facts in statuses])
    elif not statuses and not has_troubles:
        say("The store holds no sweep yet. `vae-search init` writes a spec, `vae-search run` runs it.")
    else:
        show_status_table(statuses)


def show_status_table(statuses: Sequence[Facts]) -> None:
    """Print a line for each sweep, then one for each front of a Pareto sweep, and for each plan that is under way."""
    rows, lines = [], []
    for facts in statuses:
        objective = facts["best_objective"]
        bound = ", by IWAE" if facts.get("bound") == "iwae" else ""
        best = "" if objective is None else f"{objective:.2f} (trial {facts['best_trial']}{bound})"
        front = front_in(facts)
        if front is not None:
            best = front_cell(front)
            lines += [f"{facts['sweep']}: {front_line(front)}"] if front.members else []
        if (plan := facts.get("plan")) is not None and facts["state"] != "finished":
            lines.append(f"{facts['sweep']}: {plan['words']}")
        done = f"{facts['finished']}/{facts['trials']}"
        rows.append([facts["sweep"], facts["state"], done, *(str(facts[name]) for name in COUNTS), best])
    show_table(console(), ["sweep", "state", "trials", *COUNTS, "best"], rows)
    for line in lines:
        say(line)


def clock(seconds: float) -> str:
    """Duration for people, from seconds: `1:02:03` or `2:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _values(parameter: "Parameter") -> str:
    """The values of a parameter in one line, as in `8 … 64, log`."""
    from vae_search.spec.parameters import CategoricalParameter, FixedParameter

    match parameter:
        case FixedParameter():
            return str(parameter.value)
        case CategoricalParameter():
            return ", ".join(map(str, parameter.choices))
        case _:
            step = f", step {parameter.step:g}" if parameter.step not in (None, 1) else ""
            return f"{parameter.low:g} … {parameter.high:g}{', log' if parameter.log else ''}{step}"
