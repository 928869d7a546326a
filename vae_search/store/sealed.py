"""Parquet bytes that carry their own digest.

Parquet's page checksums leave the footer unprotected, and DuckDB does not look at them at all. So the footer's
key-value metadata holds the SHA-256 of the whole file, computed with zeros in the digest's own place. Any reader of
Parquet ignores it; ours finds every changed byte, and no second file can get lost or come too late.
"""

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq

from vae_search.errors import CorruptStore

_KEY = "vae_search.sha256"
_BLANK = b"0" * 64
# How the footer (Thrift's compact protocol) spells the key and announces a value of 64 bytes.
_BEFORE_DIGEST = _KEY.encode() + b"\x18\x40"


def seal(table: pa.Table) -> bytes:
    """`table` as Parquet with page checksums and the digest of the whole file. Equal tables give equal bytes."""
    sink = pa.BufferOutputStream()
    # Statistics and dictionaries are for skipping rows; with one row they only double the size.
    options = {"use_dictionary": False, "write_statistics": False, "store_schema": False}
    with pq.ParquetWriter(sink, table.schema, compression="zstd", write_page_checksum=True, **options) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_KEY: _BLANK.decode()})
    blank: bytes = sink.getvalue().to_pybytes()
    digest = hashlib.sha256(blank).hexdigest().encode()
    start = _digest_start(blank)
    if start is None:
        raise RuntimeError(f"pyarrow {pa.__version__} writes the Parquet footer in a way this program cannot seal")
    return blank[:start] + digest + blank[start + len(digest) :]


def check_seal(content: bytes, *, where: str) -> None:
    """Check that `content` is what `seal` once returned; `where` names the file in messages.

    Raises:
        CorruptStore: A byte is missing or changed.
    """
    start = _digest_start(content)
    if start is None:
        raise CorruptStore(f"{where}: damaged: it is cut off, or not a file of this program. Restore it from a copy.")
    stop = start + len(_BLANK)
    whole = hashlib.sha256(content[:start])
    whole.update(_BLANK)
    whole.update(content[stop:])
    if content[start:stop] != whole.hexdigest().encode():
        raise CorruptStore(f"{where}: damaged: its bytes do not match their digest. Restore it from a copy.")


def unseal(content: bytes, *, where: str) -> pa.Table:
    """The table in `content`, every byte of it checked; `where` names the file in messages.

    Raises:
        CorruptStore: A byte is missing or changed.
    """
    check_seal(content, where=where)
    try:
        # One small row group: threads would cost more than they save.
        return pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True).read(use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise CorruptStore(f"{where}: damaged: {error}. Restore it from a copy.") from error


def _digest_start(content: bytes) -> int | None:
    found = content.rfind(_BEFORE_DIGEST)  # the last one: values of the table may hold any text, but lie before
    start = found + len(_BEFORE_DIGEST)
    return start if found >= 0 and start + len(_BLANK) <= len(content) else None
