"""The views of a query: `trials`, `epochs`, `finalists`, `front` and `models` of one connection to DuckDB."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from vae_search.core.criteria import CRITERIA, METRIC
from vae_search.errors import CorruptStore, NotFound
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.ledger.checksums import check_seal
from vae_search.store.ledger.compaction import Held, usable_trials
from vae_search.store.ledger.confirm_runs import FINALIST_SCHEMA
from vae_search.store.ledger.rows import EPOCH_SCHEMA, TRIAL_SCHEMA
from vae_search.store.paths import SweepPaths
from vae_search.store.queries.front import Member, front_among
from vae_search.store.sweeps.identity import identity_of
from vae_search.store.sweeps.sweep_record import read_stored

MODEL_SCHEMA = pa.schema(
    [
        ("model", pa.string()),  # name of the model
        ("version", pa.int64()),  # number of the version; NULL if it was refused before it got one
        ("alias", pa.string()),  # champion or challenger
        ("state", pa.string()),  # reserved, promoted, given up or retired
        ("sweep", pa.string()),  # where the candidate came from
        ("trial", pa.int64()),  # its trial
        ("neg_iwae", pa.float64()),  # the bound on -log p(x), mean over seeds and judge images, nats
        ("neg_iwae_sd", pa.float64()),  # over seeds
        ("iwae_k", pa.int64()),  # importance samples of the bound
        ("seeds", pa.int64()),  # confirm runs of the candidate
        ("test_neg_iwae", pa.float64()),  # the same bound on the test images
        ("gates", pa.int64()),  # gates that were judged
        ("gates_passed", pa.int64()),  # gates that it passed
        ("gain", pa.float64()),  # over the champion before it, nats; NULL for the first
        ("registered_at", pa.timestamp("us", tz="UTC")),  # UTC
        ("promoted_at", pa.timestamp("us", tz="UTC")),  # UTC; NULL if it never was
        ("reasons", pa.string()),  # why it was refused
        ("prior", pa.string()),  # distribution of its latents in words; NULL in versions from before there were others
    ]
)
FRONT_SCHEMA = pa.schema(
    [
        ("sweep", pa.string()),
        ("trial", pa.int64()),
        ("place", pa.int64()),  # 1: what `objective.prefer` picks
        *((name, pa.float64()) for name in CRITERIA),  # NULL if it is none of the sweep's criteria
    ]
)
SCHEMAS = {
    "trials": TRIAL_SCHEMA,
    "epochs": EPOCH_SCHEMA,
    "finalists": FINALIST_SCHEMA,
    "front": FRONT_SCHEMA,
    "models": MODEL_SCHEMA,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersions:
    """The versions of all models, from whoever can read the registry."""

    records: Sequence[Mapping[str, object]]
    """with the columns of `MODEL_SCHEMA`; a missing one is NULL"""
    damaged: tuple[str, ...]
    """files and folders that could not be read"""


class Views:
    """The views of one connection; empty until they are asked for.

    They are views, not copies, because a file has some seventy columns and most queries want five. Of a store that is
    on no file system, the files that are asked for are put into `scratch`: DuckDB's own way to S3 is an extension that
    it downloads, would not check the seals, and fetches every footer by itself.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, store: Store, paths: Iterable[str], scratch: Path
    ) -> None:
        self.damaged: list[str] = []
        self._scratch = scratch
        self._connection = connection
        self._store = store
        self._paths: dict[str | None, list[str]] = defaultdict(list)
        given = [*paths]
        recorded = {sweep for path in given if (sweep := _recorded_sweep_of(path)) is not None}
        for path in given:
            if store_paths.sweep_of(path) in recorded:  # else the folder is odd, or is being removed
                self._paths[_table_of(path)].append(path)
        self._identities = {sweep: identity_of(store, sweep) for sweep in recorded}
        self._use_copies()
        self._shown: list[str] = []
        self._statements: list[str] = []
        self._views: dict[str, str] = {}
        self._define("SET TimeZone = 'UTC'")
        self._define("CREATE SCHEMA no_rows")
        for table, schema in SCHEMAS.items():
            # Spelled out: to register an Arrow table, DuckDB would load pandas if it is installed, a third of a second.
            columns = ", ".join(f'"{field.name}" {_sql_type(field.type)}' for field in schema)
            self._define(f"CREATE TABLE no_rows.{table} ({columns})")
            self._show(table, {})

    def _use_copies(self) -> None:
        """Put the copy of a sweep's first rows in the place of its rows and curves, where there is a good one."""
        numbers: dict[str, set[int]] = defaultdict(set)
        for path in self._paths["trials"]:
            numbers[store_paths.sweep_of(path)].add(store_paths.number_of(path) or 0)
        self._copies = {
            sweep: held
            for sweep, found in numbers.items()
            if (held := usable_trials(self._store, sweep, found, self._identities[sweep])).trials
        }
        for table, copy in (("trials", SweepPaths.compact_trials), ("epochs", SweepPaths.compact_epochs)):
            raw = [path for path in self._paths[table] if not self._is_copied(path)]
            copies = [copy(SweepPaths(sweep), held.size) for sweep, held in self._copies.items()]
            self._paths[table] = raw + copies

    def _is_copied(self, path: str) -> bool:
        held = self._copies.get(store_paths.sweep_of(path), Held())
        return (store_paths.number_of(path) or 0) in held.trials

    def show_trials(self) -> None:
        """Let `trials` read all intact rows."""
        self._show_own("trials")

    def show_epochs(self) -> None:
        """Let `epochs` read the curves that the rows of `trials` were written with."""
        rows = self._connection.sql("SELECT sweep, trial, epochs_sha256 FROM trials").fetchall()
        expected = {
            SweepPaths(sweep).trial_epochs(trial): sha256
            for sweep, trial, sha256 in rows
            if trial not in self._copies.get(sweep, Held()).trials
        }
        self.damaged += set(expected) - set(self._paths["epochs"])
        # A curve without a row is what a dead attempt left behind, or its row is damaged and named already.
        self._paths["epochs"] = [
            path for path in self._paths["epochs"] if path in expected or store_paths.table_of(path) is None
        ]
        self._show("epochs", self._intact("epochs", expected))

    def show_finalists(self) -> None:
        """Let `finalists` read all intact rows of confirm runs."""
        self._show_own("finalists")

    def _show_own(self, table: str) -> None:
        """Show the intact rows of a table, and leave out those of another sweep of the same name."""
        groups = self._intact(table)
        self._show(table, groups)
        marks = self._connection.sql(f"SELECT DISTINCT sweep, incarnation FROM {table}").fetchall()  # noqa: S608
        foreign = [(sweep, mark) for sweep, mark in marks if self._is_foreign(sweep, mark)]
        if not foreign:
            return
        seed = "confirm_seed" if table == "finalists" else "NULL"
        rows = self._connection.sql(f"SELECT sweep, incarnation, trial, {seed} FROM {table}").fetchall()  # noqa: S608
        left_out = {_row_path(sweep, trial, seed) for sweep, mark, trial, seed in rows if (sweep, mark) in foreign}
        self.damaged += left_out
        hidden = {self._place(path) for path in left_out}
        self._show(
            table, {columns: [file for file in files if file not in hidden] for columns, files in groups.items()}
        )

    def _is_foreign(self, sweep: str, incarnation: str | None) -> bool:
        identity = self._identities.get(sweep)
        return identity is not None and identity.problem_of(incarnation) is not None

    def show_front(self) -> None:
        """Let `front` read which trials of each Pareto sweep are on its front; `trials` must be shown before."""
        known = [name for name, *_ in self._connection.sql("DESCRIBE trials").fetchall()]
        names = [*CRITERIA, *sorted(name for name in known if name.startswith(METRIC))]
        columns = ", ".join(_identifier(name) for name in names)
        sql = f"SELECT sweep, comparability_key, trial, rate, {columns} FROM trials WHERE state = 'COMPLETE'"  # noqa: S608
        found: dict[tuple[str, str], list[Member]] = defaultdict(list)
        for sweep, key, trial, rate, *values in self._connection.sql(sql).fetchall():
            by_name = dict(zip(names, values, strict=True))
            found[sweep, key].append(Member(trial=trial, values=by_name, rate=rate))
        records, metrics = [], set[str]()
        for (sweep, _), trials in sorted(found.items()):
            try:
                criteria = read_stored(self._store, sweep).criteria
            except NotFound:  # it is being removed
                continue
            except CorruptStore:
                self.damaged.append(SweepPaths(sweep).resolved)
                continue
            if criteria is not None:
                metrics |= {*criteria.names}.difference(CRITERIA)
                narrow = [
                    replace(each, values={name: each.values.get(name) for name in criteria.names}) for each in trials
                ]
                records += [
                    {"sweep": sweep, "trial": member.trial, "place": place, **member.values}
                    for place, member in enumerate(front_among(narrow, criteria).members, start=1)
                ]
        schema = pa.schema([*FRONT_SCHEMA, *((name, pa.float64()) for name in sorted(metrics))])
        path = self._scratch / "front.parquet"
        pq.write_table(pa.Table.from_pylist(records, schema=schema), path)
        self._show("front", {"": [str(path)]})

    def show_models(self, models: Callable[[], ModelVersions], *, sweep: str | None) -> None:
        """Let `models` read the versions, of all models or those that came from one sweep."""
        found = models()
        self.damaged += found.damaged
        records = [record for record in found.records if sweep in (None, record["sweep"])]
        path = self._scratch / "models.parquet"
        pq.write_table(pa.Table.from_pylist(records, schema=MODEL_SCHEMA), path)
        self._show("models", {"": [str(path)]})

    @property
    def definitions(self) -> tuple[str, ...]:
        """Statements that make the same views on another connection."""
        return (*self._statements, *self._views.values())

    @property
    def allowed_paths(self) -> str:
        """The files behind the views, as a list in SQL."""
        return _literal(self._shown)

    def _define(self, statement: str) -> None:
        self._connection.execute(statement)
        self._statements.append(statement)

    def _intact(self, table: str, expected: dict[str, str] | None = None) -> dict[str, list[str]]:
        """The intact files of a table as local paths, grouped by their columns."""
        groups: dict[str, list[str]] = defaultdict(list)
        paths = self._paths[table]
        for path, content in zip(paths, self._store.read_many(paths), strict=True):
            try:
                if content is None:
                    raise CorruptStore("is not there any more.", path=path)
                columns = check_seal(content, path=path)
                if expected is not None and expected.get(path) not in (None, hashlib.sha256(content).hexdigest()):
                    raise CorruptStore("is not the learning curve that belongs to the row.", path=path)
            except CorruptStore:
                self.damaged.append(path)
                continue
            groups[columns].append(self._local_file(path, content))
        return groups

    def _local_file(self, path: str, content: bytes) -> str:
        place = self._place(path)
        if self._store.local_path(path) is None:
            Path(place).write_bytes(content)
        return place

    def _place(self, path: str) -> str:
        """Path on this machine of a file, or of its copy."""
        found = self._store.local_path(path)
        return str(found or self._scratch / path.replace("/", "+"))  # no name of a sweep has a "+"

    def _show(self, table: str, groups: dict[str, list[str]]) -> None:
        # DuckDB's own union_by_name reads every footer twice; one scan per set of columns does the same in half the
        # time. Without either, it would drop columns that the first file lacks.
        kept = [files for files in groups.values() if files]
        scans = [f"FROM no_rows.{table}", *(f"FROM read_parquet({_literal(files)})" for files in kept)]
        self._views[table] = f"CREATE OR REPLACE VIEW {table} AS {' UNION ALL BY NAME '.join(scans)}"
        self._connection.execute(self._views[table])
        self._shown += [file for files in groups.values() for file in files]


def _recorded_sweep_of(path: str) -> str | None:
    """The sweep whose record a file is, if it is one."""
    _, sweep, *rest = path.split("/")
    return sweep if rest == [store_paths.RESOLVED] and store_paths.is_sweep_name(sweep) else None


def _row_path(sweep: str, trial: int, confirm_seed: int | None) -> str:
    return SweepPaths(sweep).trial(trial) if confirm_seed is None else SweepPaths(sweep).finalist(trial, confirm_seed)


def _table_of(path: str) -> str | None:
    if store_paths.finalist_of(path) and path.split("/")[2] == "finalists":
        return "finalists"
    return store_paths.table_of(path)


def _sql_type(arrow: pa.DataType) -> str:
    """DuckDB's word for a type of a column."""
    if pa.types.is_list(arrow):
        return f"{_sql_type(arrow.value_type)}[]"
    words = {"string": "VARCHAR", "double": "DOUBLE", "int32": "INTEGER", "int64": "BIGINT"}
    return words.get(str(arrow), "TIMESTAMPTZ")


def _identifier(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _literal(texts: Iterable[str]) -> str:
    return "[" + ", ".join("'" + text.replace("'", "''") + "'" for text in texts) + "]"
