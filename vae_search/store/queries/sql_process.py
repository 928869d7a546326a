"""A user's SQL in a process of its own, with limits on time, memory and the size of its answer."""

import contextlib
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from vae_search.core.machine import usable_cores
from vae_search.core.settings import QUERY_TIMEOUT_S
from vae_search.errors import InvalidSpec
from vae_search.store.queries import sql_worker
from vae_search.store.queries.query_result import first_line

GRACE_S = 5.0  # for the start of the process; DuckDB ends most queries at their limit by itself
MAX_THREADS = 4
PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")
"""Variables that the process gets; it has no use for a bucket's keys"""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryLimits:
    """Limits of one query.

    Raises:
        InvalidSpec: The time is no positive number.
    """

    timeout_s: float = QUERY_TIMEOUT_S
    memory_bytes: int = 2 * 1024**3
    """of DuckDB; the process may take twice as much"""
    answer_bytes: int = 256 * 1024**2
    """of the answer, at least 8 for each value"""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.timeout_s) and self.timeout_s > 0):
            raise InvalidSpec(f"timeout_s: must be a positive number of seconds, but got {self.timeout_s}.")


def answer(sql: str, *, definitions: Sequence[str], allowed_paths: str, scratch: Path, limits: QueryLimits) -> pa.Table:
    """Answer one SELECT that nobody has checked, in a process that can read nothing but the allowed files.

    A process, because DuckDB's own limits do not hold for every function: one call may take any memory and any time.

    Args:
        definitions: statements of ours that make the views.
        allowed_paths: an SQL literal, the list of local files.
        scratch: an empty folder for what DuckDB puts aside.

    Raises:
        InvalidSpec: The SQL is wrong, or goes beyond a limit.
    """
    request = {
        "sql": sql,
        "definitions": list(definitions),
        "allowed_paths": allowed_paths,
        "temp_directory": str(scratch / "spilled"),
        "threads": min(usable_cores(), MAX_THREADS),
        "timeout_s": limits.timeout_s,
        "memory_bytes": limits.memory_bytes,
        "answer_bytes": limits.answer_bytes,
    }
    libraries = {str(Path(str(library.__file__)).parents[1]) for library in (duckdb, pa)}
    # Isolated (-I): neither the current folder nor PYTHONPATH can put another module in the place of a library.
    command = [sys.executable, "-I", str(sql_worker.__file__), *sorted(libraries)]
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    errors, late = scratch / "errors", threading.Event()
    with (
        errors.open("wb") as errors_file,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors_file,
            cwd=scratch,
            env=environment,
        ) as process,
    ):

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(limits.timeout_s + GRACE_S, stop)
        timer.daemon = True
        try:
            timer.start()
            found = _talk(process, json.dumps(request).encode())
            process.wait()
        except BaseException:  # Ctrl-C above all: it must not wait for the query
            process.kill()
            raise
        finally:
            timer.cancel()
    if process.returncode == 0 and found is not None:
        return found
    said = '{"kind": "time", "text": ""}' if late.is_set() else errors.read_text(errors="replace")
    raise InvalidSpec(_reason(said, limits), where="query")


def _talk(process: "subprocess.Popen[bytes]", request: bytes) -> pa.Table | None:
    """Send the request and read the answer; None if the process ended before it was whole."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process must have been started with pipes")
    with contextlib.suppress(BrokenPipeError), process.stdin as to_process:
        to_process.write(request)
    with process.stdout as from_process:
        try:
            return pa.ipc.open_stream(from_process).read_all()
        except (pa.ArrowException, OSError):
            return None


def _reason(said: str, limits: QueryLimits) -> str:
    """One line for why there is no answer."""
    last = said.rstrip().rpartition("\n")[2]
    try:
        refusal = json.loads(last)
        kind, text = str(refusal["kind"]), str(refusal["text"])
    except (ValueError, KeyError, TypeError):
        kind, text = "ended", last
    match kind:
        case "time":
            return (
                f"must end within {limits.timeout_s:g} s, but did not and was stopped. Ask for less, or raise "
                "--timeout-s."
            )
        case "memory":
            return (
                f"needs more than {limits.memory_bytes / 1024**3:.3g} GiB of memory. Ask for fewer rows and columns, "
                "or aggregate in steps."
            )
        case "answer":
            return (
                f"its answer is larger than {limits.answer_bytes / 1024**2:.4g} MiB. Ask for fewer columns, aggregate, "
                "or add a LIMIT."
            )
        case "value":
            return f"a value of the answer cannot be shown: {first_line(text)}"
        case "sql":
            return first_line(text)
        case _:
            return (
                "its process ended without an answer; most likely it needed more than "
                f"{2 * limits.memory_bytes / 1024**3:.3g} GiB of memory. {first_line(text)}".rstrip()
            )
