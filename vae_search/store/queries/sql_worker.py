"""One query in a process of its own: DuckDB with the views that the parent names, locked before it meets the SQL.

A program, started by `sql_process`, that imports nothing of this package, so that it starts soon and from any folder.
Reads one JSON object from standard input, writes the answer as an Arrow stream to standard output, or one JSON object
that says why there is none to standard error.
"""

import json
import resource
import signal
import sys
from collections.abc import Mapping
from typing import IO, Any

BATCH_ROWS = 20_000
SLACK_S = 10  # to start and to answer
VALUE_BYTES = 8  # at least, of a value in Python
SETTINGS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",
}
"""DuckDB's settings for every connection: no extension is looked for, no variable of Python read as a table."""


class TooLargeError(Exception):
    """The answer has more bytes than it may."""


def main() -> int:
    """Answer the query on standard input; 0 if it was answered."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches the parent, too, which says what there is to say
    sys.path += sys.argv[1:]  # behind everything else: where the parent has found DuckDB and Arrow
    request = json.load(sys.stdin.buffer)
    # DuckDB does not count what its functions on lists and texts take, nor does it look at the clock within one call.
    _limit(resource.RLIMIT_DATA, 2 * request["memory_bytes"])
    _limit(resource.RLIMIT_CPU, int((request["timeout_s"] + SLACK_S) * request["threads"]))  # if the parent is gone
    _limit(resource.RLIMIT_CORE, 0)
    import duckdb
    import pyarrow as pa

    try:
        _answer(request, sys.stdout.buffer)
    except (MemoryError, duckdb.OutOfMemoryException):
        return _refuse("memory", "")
    except duckdb.InterruptException:
        return _refuse("time", "")
    except TooLargeError:
        return _refuse("answer", "")
    except duckdb.Error as error:
        return _refuse("sql", str(error) or type(error).__name__)
    except (pa.ArrowException, OverflowError, ValueError) as error:
        return _refuse("value", str(error) or type(error).__name__)
    return 0


def _answer(request: Mapping[str, Any], output: IO[bytes]) -> None:
    import duckdb
    import pyarrow as pa

    settings = {
        **SETTINGS,
        "memory_limit": f"{request['memory_bytes']}B",
        "max_temp_directory_size": f"{2 * request['memory_bytes']}B",
        "temp_directory": request["temp_directory"],
        "threads": str(request["threads"]),
        "max_execution_time": str(int(1000 * request["timeout_s"])),
    }
    with duckdb.connect(config=settings) as connection:
        for statement in request["definitions"]:
            connection.execute(statement)
        connection.execute(f"SET allowed_paths = {request['allowed_paths']}")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        # From here on nothing but the named files can be opened; DuckDB does not let this be undone.
        batches = connection.sql(request["sql"]).to_arrow_reader(BATCH_ROWS)
        answer_bytes = 0
        with pa.ipc.new_stream(output, batches.schema) as stream:
            for batch in batches:
                answer_bytes += max(batch.nbytes, VALUE_BYTES * batch.num_rows * batch.num_columns)
                if answer_bytes > request["answer_bytes"]:
                    raise TooLargeError
                stream.write_batch(batch)


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (limit, limit))


def _refuse(kind: str, text: str) -> int:
    sys.stderr.write("\n" + json.dumps({"kind": kind, "text": text}) + "\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
