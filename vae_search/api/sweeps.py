"""Sweeps in Python: run, resume, fork."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vae_search.api.stores import opened, warn_of

if TYPE_CHECKING:
    import pandas

    from vae_search.search.progress import Observer
    from vae_search.services.models.sweep_outcome import SweepOutcome
    from vae_search.spec.sweep_spec import SweepSpec
    from vae_search.store.backends.base import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """Result of `run` or `resume`."""

    sweep: str
    state: Literal["running", "finished", "interrupted"]
    trials: int
    """that have ended"""
    best: "pandas.DataFrame"
    """as `vae_search.best` gives it"""
    champion: str | None
    """the version, such as `digits:3`, that one of its configs became, now or before; `load_model` takes it"""


def run(
    spec: str | Path | Mapping[str, object],
    *,
    store: str | Path | None = None,
    overrides: Sequence[str] = (),
    progress: bool = False,
    address: str | None = None,
    inline: bool = False,
    refresh: bool = False,
    code: Sequence[str | Path] = (),
) -> SweepResult:
    """Run a sweep to the end of its budget; one that was interrupted goes on where it stopped.

    If the spec names a model, the best config asks to become its champion.

    Args:
        spec: the file, or the same as a mapping; paths in a mapping start at the current folder.
        overrides: `key.key=value`, as in `["budget.trials=8"]`.
        progress: show what happens on standard output, as the command does.
        address: of the cluster to train on, from one of its machines: `host:port` of its head, or `auto`; None: this
            machine alone. Either way this process must not be connected to a Ray itself.
        inline: train in this process, without Ray, one trial at a time: for small searches and debugging.
        refresh: fetch images from a web server or bucket anew, whatever is in the cache.
        code: files, package folders or wheels with networks or metrics of your own, beside those that are installed or
            lie in the folder of the spec.

    Raises:
        InvalidSpec: The spec is wrong; one line for each mistake.
        BadData: The images cannot be used.
        ClusterTrouble: Ray cannot be started or joined.
        Conflict: Another driver runs the sweep, or the store holds one of this name with another spec; or this process
            is connected to a Ray already.
        Interrupted: Somebody asked it to stop; the same call continues.
        SweepFailed: No trial completed.
    """
    from vae_search.core.settings import cache_folder
    from vae_search.services import sweeps
    from vae_search.spec.own_code.code_loading import look_in
    from vae_search.spec.sweep_spec import SpecDocument, parse_spec, read_spec
    from vae_search.store.backends.json_records import to_json_bytes

    look_in([*map(Path, code), Path.cwd() if isinstance(spec, Mapping) else Path(spec).absolute().parent])
    if isinstance(spec, Mapping):
        text = to_json_bytes(spec).decode()  # which is YAML, too
        document = SpecDocument(spec=parse_spec(text, base=Path.cwd(), overrides=overrides), text=text)
    else:
        document = read_spec(Path(spec), overrides)
    place = opened(store)
    outcome = sweeps.run(
        document.spec,
        text=document.text,
        store=place,
        cache=cache_folder(),
        observer=_observer(document.spec, progress=progress),
        address=address,
        inline=inline,
        refresh=refresh,
    )
    return _result(place, outcome)


def resume(
    sweep: str,
    *,
    store: str | Path | None = None,
    overrides: Sequence[str] = (),
    progress: bool = False,
    address: str | None = None,
    inline: bool = False,
    refresh: bool = False,
) -> SweepResult:
    """Continue a sweep with what the store knows of it. Arguments and errors as for `run`.

    Raises:
        NotFound: There is no such sweep.
    """
    from vae_search.core.settings import cache_folder
    from vae_search.services import sweeps

    place = opened(store)
    outcome = sweeps.resume(
        place,
        sweep,
        overrides=overrides,
        cache=cache_folder(),
        observer=lambda spec: _observer(spec, progress=progress),
        address=address,
        inline=inline,
        refresh=refresh,
    )
    return _result(place, outcome)


def fork(
    sweep: str,
    name: str,
    *,
    spec: str | Path | None = None,
    overrides: Sequence[str] = (),
    store: str | Path | None = None,
    progress: bool = False,
    address: str | None = None,
    inline: bool = False,
) -> SweepResult:
    """Search another space or budget under a new name, with what a sweep has found.

    Its completed trials that fit the new space are known to the fork's sampler; they count for nothing else.

    Args:
        name: of the fork.
        spec: file of the fork's spec; None: the sweep's own.
        overrides: `key.key=value`, laid over it.
        progress, address, inline: as for `run`.

    Raises:
        NotFound: There is no such sweep.
        Conflict: The trials would not be comparable, or none fits; or the store holds another sweep of this name.
        VaeSearchError: What `run` raises.
    """
    from vae_search.services.control.forking import fork as make_fork
    from vae_search.spec.sweep_spec import read_spec

    given = None if spec is None else read_spec(Path(spec)).spec
    make_fork(opened(store), sweep, name, overrides=overrides, spec=given)
    return resume(name, store=store, progress=progress, address=address, inline=inline)


def _observer(spec: "SweepSpec", *, progress: bool) -> "Observer":
    """Observer of a sweep: silent, or the command's own display."""
    if not progress:
        from vae_search.search.progress import Observer

        return Observer()
    from vae_search.display.live import observer

    return observer(spec, quiet=False)


def _result(store: "Store", outcome: "SweepOutcome") -> SweepResult:
    """Convert the outcome of a sweep, with its ranking as a frame."""
    from vae_search.exports.dataframes import best_frame
    from vae_search.services import queries

    status, decision = outcome.status, outcome.promotion
    ranking = queries.best(store, status.spec.name, count=None)
    warn_of(status.damaged)
    return SweepResult(
        sweep=status.spec.name,
        state=status.state,
        trials=status.leaderboard.finished,
        best=best_frame(ranking.rows, ranking.searched, ranking.verdicts),
        champion=None
        if decision is None or decision.outcome not in ("promoted", "kept")
        else f"{decision.model}:{decision.version}",
    )
