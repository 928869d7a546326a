"""Parquet bytes that carry their own digest.

Parquet's page checksums leave the footer unprotected, and DuckDB does not look at them at all. So the footer's
key-value metadata holds the SHA-256 of the file's path in the store and of the whole file, computed with zeros in the
digest's own place. Any reader of Parquet ignores it; ours finds every changed byte and every file that was copied to
another trial's place, and there is no second file that could get lost or come too late.
"""

import hashlib
import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import pyarrow as pa
import pyarrow.parquet as pq

from vae_search.core.criteria import METRIC
from vae_search.errors import CorruptStore
from vae_search.store.ledger.columns import int64_array

COMPRESSED_ROWS = 50  # below, zstd makes files larger and their reading twice as slow: every column pays for its own
GROUP_ROWS = 2000  # so that a few rows of a long table can be read without the rest

_BLANK = b"0" * 64
# How the footer (Thrift's compact protocol) spells a key and announces a value of 64 or 16 bytes.
_DIGEST = re.compile(rb"vae_search\.sha256\x18\x40([0-9a-f]{64})")
_COLUMNS = re.compile(rb"vae_search\.columns\x18\x10([0-9a-f]{16})")


def encode_checked(table: pa.Table, *, path: str) -> bytes:
    """`table` as a Parquet file for `path`, with page checksums and its digest. Equal tables give equal bytes."""
    columns = hashlib.sha256(table.schema.to_string().encode()).hexdigest()[:16]
    sink = pa.BufferOutputStream()
    # Statistics and dictionaries are for skipping rows; with one row they only double the size.
    options = {"use_dictionary": False, "write_statistics": False, "store_schema": False}
    compression = "zstd" if table.num_rows >= COMPRESSED_ROWS else "none"
    with pq.ParquetWriter(sink, table.schema, compression=compression, write_page_checksum=True, **options) as writer:
        writer.write_table(table, row_group_size=GROUP_ROWS)
        writer.add_key_value_metadata({"vae_search.columns": columns, "vae_search.sha256": _BLANK.decode()})
    blank: bytes = sink.getvalue().to_pybytes()
    place = _last(_DIGEST, blank)
    if place is None or _last(_COLUMNS, blank) is None:
        raise RuntimeError(f"pyarrow {pa.__version__} writes the Parquet footer in a way this program cannot seal")
    return blank[: place.start(1)] + _digest(blank, place, path) + blank[place.end(1) :]


def check_seal(content: bytes, *, path: str) -> str:
    """Check that `content` is what `encode_checked` once returned for `path`.

    Returns:
        A tag of the column names and types: files with equal tags have equal columns.

    Raises:
        CorruptStore: A byte is missing or changed, or the file belongs to another path.
    """
    place, columns = _last(_DIGEST, content), _last(_COLUMNS, content)
    if place is None or columns is None:
        raise CorruptStore(
            "damaged: it is cut off, or not a file of this program.", path=path, advice="Restore it from a copy."
        )
    if place[1] != _digest(content, place, path):
        raise CorruptStore(
            "damaged: its bytes or its place do not match its digest.", path=path, advice="Restore it from a copy."
        )
    return columns[1].decode()


def decode_checked(
    content: bytes, *, path: str, columns: Sequence[str] | None = None, rows: Sequence[int] | None = None
) -> pa.Table:
    """The table in `content`, or a part of it; every byte of the file is checked.

    Args:
        columns: names; those that the file does not have are left out.
        rows: positions, in the order in which they are wanted.

    Raises:
        CorruptStore: A byte is missing or changed, or the file belongs to another path.
    """
    check_seal(content, path=path)
    try:
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        # Row groups are small: threads would cost more than they save.
        if rows is None:
            return file.read(columns, use_threads=False)
        ends = list(accumulate(file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)))
        groups = sorted({bisect_right(ends, row) for row in rows})
        read = [row for group in groups for row in range(ends[group - 1] if group else 0, ends[group])]
        place = {row: position for position, row in enumerate(read)}
        return file.read_row_groups(groups, columns, use_threads=False).take(int64_array(place[row] for row in rows))
    except (pa.ArrowException, OSError) as error:
        raise CorruptStore(f"damaged: {error}.", path=path, advice="Restore it from a copy.") from error


def _last(pattern: re.Pattern[bytes], content: bytes) -> re.Match[bytes] | None:
    # The values of the table may hold any text, but they all lie before the footer.
    return max(pattern.finditer(content), key=lambda found: found.start(), default=None)


def _digest(content: bytes, place: re.Match[bytes], path: str) -> bytes:
    whole = hashlib.sha256(path.encode() + b"\n")
    for part in (content[: place.start(1)], _BLANK, content[place.end(1) :]):
        whole.update(part)
    return whole.hexdigest().encode()


def with_metrics_from_parquet(content: bytes, *, path: str, schema: pa.Schema) -> pa.Table:
    """`columns_from_parquet`, and the columns of the file's metrics.

    Raises:
        CorruptStore: As for `columns_from_parquet`.
    """
    table = columns_from_parquet(content, path=path, schema=schema)
    held = decode_checked(content, path=path)
    for name in held.column_names:
        if name.startswith(METRIC):
            table = table.append_column(name, held.column(name))
    return table


def columns_from_parquet(content: bytes, *, path: str, schema: pa.Schema) -> pa.Table:
    """Some columns of the file `path`; one that the file lacks is NULL.

    Args:
        schema: a part of `TRIAL_SCHEMA` or `EPOCH_SCHEMA`, in its order.

    Raises:
        CorruptStore: The file is damaged or misplaced, or a column holds something else.
    """
    table = decode_checked(content, path=path, columns=schema.names)
    if table.schema.equals(schema):
        return table
    held = set(table.column_names)
    try:
        columns = [
            table.column(field.name).cast(field.type) if field.name in held else pa.nulls(table.num_rows, field.type)
            for field in schema
        ]
    except pa.ArrowException as error:
        raise CorruptStore(f"holds something else: {error}.", path=path, advice="Restore it from a copy.") from error
    return pa.table(columns, schema=schema)
