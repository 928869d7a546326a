"""Python API: the use cases of the command line, for notebooks and programs.

    found = vae_search.run("search_spaces/digits.yaml", overrides=["budget.trials=12"])
    found.best                                          # a pandas frame, the best config first
    vae_search.query("SELECT trial, neg_elbo FROM trials WHERE param_depth = 2")
    vae_search.report("digits", "digits.html")
    vae_search.load_model("digits@champion").sample(64, seed=0)
    vae_search.approve("digits", 2, why="sevens are sharp")   # of a model that asks for approval

Every `store` is a folder or s3://bucket/prefix; the default is `$VAE_SEARCH_STORE`, else `./vae-store`. What goes wrong
is a `vae_search.errors.VaeSearchError`. Damaged files are left out with a `UserWarning` that names them.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vae_search.core.settings import QUERY_TIMEOUT_S
from vae_search.core.text import first_few

if TYPE_CHECKING:
    import pandas

    from vae_search.core.criteria import RankedBy
    from vae_search.search.progress import Observer
    from vae_search.services.sweeps import SweepOutcome
    from vae_search.spec.sweep_spec import SweepSpec
    from vae_search.store.backends.base import Store
    from vae_search.vae.inference.model import VaeModel

# Pandas, Ray, Optuna and TensorFlow take seconds to load: whoever imports this package may need none of them, so each
# function imports what it needs itself.


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
        code: files, package folders or wheels with networks of your own, beside those that are installed or lie in the
            folder of the spec.

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
    from vae_search.spec.networks.code_loading import look_in
    from vae_search.spec.sweep_spec import SpecDocument, parse_spec, read_spec
    from vae_search.store.backends.json_records import to_json_bytes

    look_in([*map(Path, code), Path.cwd() if isinstance(spec, Mapping) else Path(spec).absolute().parent])
    if isinstance(spec, Mapping):
        text = to_json_bytes(spec).decode()  # which is YAML, too
        document = SpecDocument(spec=parse_spec(text, base=Path.cwd(), overrides=overrides), text=text)
    else:
        document = read_spec(Path(spec), overrides)
    opened = _open(store)
    outcome = sweeps.run(
        document.spec,
        text=document.text,
        store=opened,
        cache=cache_folder(),
        observer=_observer(document.spec, progress=progress),
        address=address,
        inline=inline,
        refresh=refresh,
    )
    return _result(opened, outcome)


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

    opened = _open(store)
    outcome = sweeps.resume(
        opened,
        sweep,
        overrides=overrides,
        cache=cache_folder(),
        observer=lambda spec: _observer(spec, progress=progress),
        address=address,
        inline=inline,
        refresh=refresh,
    )
    return _result(opened, outcome)


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
    make_fork(_open(store), sweep, name, overrides=overrides, spec=given)
    return resume(name, store=store, progress=progress, address=address, inline=inline)


def best(
    sweep: str,
    *,
    count: int | None = None,
    by: "RankedBy" = "objective",
    every_state: bool = False,
    where: str | None = None,
    store: str | Path | None = None,
) -> "pandas.DataFrame":
    """The completed trials of a sweep, the best first; by the objective, those confirmed by fresh seeds lead.

    Args:
        count: how many; None means all.
        by: what to rank by, least first: `objective`, `neg_elbo`, `instability` or `train_flops`.
        every_state: let pruned and failed trials follow, by their last held-out value.
        where: a condition in SQL over the columns of `trials`, as in `"param_latent_dim < 32"`.

    Returns:
        Columns `trial`, `state`, `reason`, scores in nats per image, costs, `confirm_seeds`, `confirm_mean` and
        `confirm_sd` (-log p(x) over fresh seeds), and `param_<name>` of what was searched.

    Raises:
        NotFound: There is no such sweep.
        InvalidSpec: `where` is no condition.
        Conflict: Its rows were scored on different tasks.
    """
    from vae_search.exports.dataframes import best_frame
    from vae_search.services import queries

    ranking = queries.best(_open(store), sweep, count=count, by=by, every_state=every_state, where=where)
    _warn_of(ranking.damaged)
    return best_frame(ranking.rows, ranking.searched, ranking.verdicts)


def query(
    sql: str, *, sweep: str | None = None, store: str | Path | None = None, timeout_s: float = QUERY_TIMEOUT_S
) -> "pandas.DataFrame":
    """Ask anything in SQL (DuckDB) over the tables `trials`, `epochs`, `finalists`, `front` and `models`.

    Args:
        sweep: only this one; None means all of the store.
        timeout_s: limit of the SQL itself, which runs in a process of its own; reading the store is not counted.

    Returns:
        NULL is `pandas.NA`, whole numbers with NULLs stay whole, times are aware and in UTC.

    Raises:
        InvalidSpec: The SQL is wrong, is not one SELECT, or goes beyond a limit of time or memory.
        NotFound: There is no such sweep.
    """
    from vae_search.exports.dataframes import frame
    from vae_search.services import queries

    answer, damaged = queries.query_table(_open(store), sql, sweep=sweep, timeout_s=timeout_s)
    _warn_of(damaged)
    return frame(answer)


def enqueue(sweep: str, params: Mapping[str, int | float | str], *, store: str | Path | None = None) -> int:
    """Have a config tried next by a sweep, beside those of the sampler; the number of the command.

    Args:
        params: values by parameter; the sampler draws the others.

    Raises:
        InvalidSpec, NotFound, Conflict: It is no config of the search space; there is no such sweep; no place is left.
    """
    from vae_search.services.control.commands import enqueue_config

    return enqueue_config(_open(store), sweep, params, **_by_user())


def stop_trial(sweep: str, trial: int, *, store: str | Path | None = None) -> int:
    """Let a trial of a sweep end as it stands, as PRUNED; the number of the command.

    Raises:
        NotFound, Conflict: There is no such sweep or trial; it has ended.
    """
    from vae_search.services.control.commands import stop_trial

    return stop_trial(_open(store), sweep, trial, **_by_user())


def change(sweep: str, settings: Mapping[str, int | float | str], *, store: str | Path | None = None) -> int:
    """Change settings of a sweep while it runs; the number of the command.

    Args:
        settings: values of `budget.trials`, `budget.minutes` or `resources.concurrency`.

    Raises:
        InvalidSpec, NotFound, Conflict: It cannot be set; there is no such sweep; it has finished.
    """
    from vae_search.services.control.commands import change_settings

    return change_settings(_open(store), sweep, settings, **_by_user())


def report(sweep: str, output: str | Path, *, store: str | Path | None = None) -> Path:
    """Write everything that is known of a sweep, running or not, as one HTML file that needs no network.

    Raises:
        InvalidSpec: The file cannot be written.
        NotFound: There is no such sweep.
    """
    from datetime import UTC, datetime

    from vae_search.services import reporting

    written = reporting.report(_open(store), sweep, output=Path(output), now=datetime.now(UTC))
    _warn_of(written.damaged)
    return written.path


def load_model(address: str, *, store: str | Path | None = None) -> "VaeModel":
    """A promoted model, every byte checked; no code is loaded.

    Args:
        address: `fashion` or `fashion@champion` for the champion, `fashion:3` for a version.

    Raises:
        InvalidSpec: `address` is none.
        NotFound: There is no such model or version.
        CorruptStore: Its files are damaged.
    """
    from vae_search.services.models.champions import load

    return load(_open(store), address).model


def approve(model: str, version: int | None = None, *, why: str, store: str | Path | None = None) -> int:
    """Make a version that waits for approval the champion, in the name of the system's user.

    Args:
        version: None means the only one that waits.
        why: for the log.

    Returns:
        The champion.

    Raises:
        InvalidSpec: Several wait, and none was named; or no reason is given.
        NotFound: There is no such model or version, or none waits.
        Conflict: It does not wait, or has met another champion than the present one.
        CorruptStore: The log or the version's files are damaged.
    """
    from vae_search.core.machine import system_user
    from vae_search.services.models import approval

    return approval.approve(_open(store), model, version, why=why, actor=system_user()).version


def reject(model: str, version: int | None = None, *, why: str, store: str | Path | None = None) -> int:
    """Refuse a version that waits for approval; the champion stays. Arguments and errors as for `approve`.

    Returns:
        The version that is refused.
    """
    from vae_search.core.machine import system_user
    from vae_search.services.models import approval

    return approval.reject(_open(store), model, version, why=why, actor=system_user()).version


def _by_user() -> dict[str, Any]:
    """Giver of a command, and the clock that dates it."""
    from datetime import UTC, datetime

    from vae_search.core.machine import system_user

    return {"actor": system_user(), "now": lambda: datetime.now(UTC)}


def _open(store: str | Path | None) -> "Store":
    from vae_search.core.settings import default_store
    from vae_search.store.backends.uri import open_store

    return open_store(default_store() if store is None else str(store))


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
    _warn_of(status.damaged)
    return SweepResult(
        sweep=status.spec.name,
        state=status.state,
        trials=status.leaderboard.finished,
        best=best_frame(ranking.rows, ranking.searched, ranking.verdicts),
        champion=None
        if decision is None or decision.outcome not in ("promoted", "kept")
        else f"{decision.model}:{decision.version}",
    )


def _warn_of(damaged: Sequence[str]) -> None:
    if damaged:
        text = f"{first_few(damaged)}: damaged, and left out. Restore the files from a copy."
        warnings.warn(text, UserWarning, stacklevel=3)
