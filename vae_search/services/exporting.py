"""Export of a sweep to other tools: TensorBoard, Optuna, CSV, optuna-dashboard. Nothing here loads Ray."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vae_search.errors import InvalidSpec
from vae_search.exports.output_files import check_free, new_file, new_folder
from vae_search.store.backends.base import Store
from vae_search.store.ledger.trials import Ledger
from vae_search.store.queries.sql import query_table
from vae_search.store.queries.sql_process import QueryLimits
from vae_search.store.sweeps import sweep_record

SQLITE = "sqlite:///"
TRIALS = "SELECT * FROM trials ORDER BY trial"
EPOCHS = "SELECT * FROM epochs ORDER BY trial, epoch"
LIMITS = QueryLimits(timeout_s=3600, memory_bytes=8 * 1024**3, answer_bytes=8 * 1024**3)  # the SQL is our own


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Targets of an export; None: not in this form.

    Raises:
        InvalidSpec: In no form at all, or not to an SQLite file.
    """

    tensorboard: Path | None
    """a new folder"""
    optuna: str | None
    """`sqlite:///` and a new file; with a fourth slash an absolute one"""
    csv: Path | None
    """a new folder for both tables, or a new `….csv` for the trials, with `…-epochs.csv` beside it"""

    def __post_init__(self) -> None:
        if self.tensorboard is None and self.optuna is None and self.csv is None:
            raise InvalidSpec(
                "export: needs --tensorboard DIR, --optuna sqlite:///FILE or --csv PATH, or several of them."
            )
        if self.optuna is not None and (not self.optuna.startswith(SQLITE) or self.optuna == SQLITE):
            scheme = self.optuna.partition("://")[0][:20]  # what follows may hold a password
            raise InvalidSpec(f"--optuna: must be sqlite:///FILE, a new file, but got {scheme}.")

    @property
    def database(self) -> Path | None:
        """The SQLite file."""
        return None if self.optuna is None else Path(self.optuna.removeprefix(SQLITE))

    @property
    def tables(self) -> tuple[Path, Path] | None:
        """The CSV files of trials and epochs, unless they go into a folder."""
        if self.csv is None or self.csv.suffix != ".csv":
            return None
        return self.csv, self.csv.with_name(f"{self.csv.stem}-epochs.csv")

    def check(self) -> None:
        """Refuse places that are taken or cannot be written to, before anything is written.

        Raises:
            Conflict: Something is there.
            InvalidSpec: A folder is missing or cannot be written to.
        """
        for option, path in (("--tensorboard", self.tensorboard), ("--optuna", self.database)):
            if path is not None:
                check_free(path, option=option)
        for path in self.tables or ([self.csv] if self.csv else []):
            check_free(path, option="--csv")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """Files that an export has written."""

    paths: tuple[Path, ...]
    trials: int
    damaged: tuple[str, ...]
    """files of the store that had to be left out"""


def export(store: Store, sweep: str, targets: Targets) -> Exported:
    """Write the sweep's finished trials, and their learning curves, in each form that is asked for.

    Whatever is there already stays as it is; what is written is whole or not there.

    Raises:
        Conflict: A target exists.
        InvalidSpec: It cannot be written to.
        NotFound: There is no such sweep.
        StoreUnavailable: The disk does not take it.
    """
    targets.check()
    space = sweep_record.latest_spec(store, sweep).search_space
    damaged: set[str] = set()
    ledger = Ledger(store, sweep)
    orders = []
    if targets.database is not None:
        from vae_search.search.pending_trials import PendingTrials

        orders = PendingTrials(store, sweep).all()  # before the rows: a trial that ends in between is found twice
    trials = ledger.read()
    rows = [*trials.rows]
    read_curves = ledger.curves(rows if targets.tensorboard or targets.database else [])
    curves = read_curves.by_trial
    damaged.update(trials.damaged, read_curves.damaged)
    written = []
    if targets.tensorboard is not None:
        from vae_search.exports.tensorboard import write_runs

        with new_folder(targets.tensorboard, option="--tensorboard") as folder:
            write_runs(folder, rows, curves)
        written.append(targets.tensorboard)
    if targets.database is not None:
        from vae_search.search.study.study_export import frozen_trials, write_sqlite

        with new_file(targets.database, option="--optuna") as partial:
            write_sqlite(partial, sweep, frozen_trials(space, rows, curves, orders))
        written.append(targets.database)
    if targets.csv is not None:
        paths, left_out = _write_tables(store, sweep, targets.csv, targets.tables)
        written += paths
        damaged.update(left_out)
    return Exported(paths=tuple(written), trials=len(rows), damaged=tuple(sorted(damaged)))


def _write_tables(
    store: Store, sweep: str, folder: Path, files: tuple[Path, Path] | None
) -> tuple[list[Path], set[str]]:
    """The trials and the epochs as two CSV files, in `folder` if they have no places of their own."""
    from vae_search.exports.dataframes import write_csv

    trials, damaged_rows = query_table(store, TRIALS, sweep=sweep, limits=LIMITS)
    epochs, damaged_curves = query_table(store, EPOCHS, sweep=sweep, limits=LIMITS)
    damaged = {*damaged_rows, *damaged_curves}
    if files is None:
        with new_folder(folder, option="--csv") as partial:
            write_csv(trials, partial / "trials.csv")
            write_csv(epochs, partial / "epochs.csv")
        return [folder / "trials.csv", folder / "epochs.csv"], damaged
    for table, path in zip((trials, epochs), files, strict=True):
        with new_file(path, option="--csv") as partial:
            write_csv(table, partial)
    return list(files), damaged


def dashboard(store: Store, sweep: str, *, port: int, on_ready: Callable[[str], None]) -> None:
    """Show the sweep in optuna-dashboard, on this machine only, until Ctrl-C; a running sweep is followed.

    Args:
        port: 0 for one that is free.
        on_ready: is told the page's address.

    Raises:
        Conflict: The port is in use.
        InvalidSpec: The port cannot be used, or optuna-dashboard is not installed.
        NotFound: There is no such sweep.
    """
    space = sweep_record.latest_spec(store, sweep).search_space
    try:
        from vae_search.search.study.dashboard import FollowedSweep, serve
    except ModuleNotFoundError as error:
        if error.name != "optuna_dashboard":
            raise
        raise InvalidSpec(
            "dashboard: needs a package that is not installed. Install it with: pip install 'vae-search[dashboard]'"
        ) from error
    serve(FollowedSweep(store, sweep, space), port=port, on_ready=on_ready)
