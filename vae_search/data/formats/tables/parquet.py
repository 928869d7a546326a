"""Images in Parquet files: encoded pictures, as Hugging Face writes them, or numbers in lists or columns."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vae_search.core.text import printable
from vae_search.data.formats.arrays.csv_pixels import LABELS, pixel_table, refuse_twice_named
from vae_search.data.formats.choices import NONE, Choices
from vae_search.data.formats.found import Found
from vae_search.data.formats.pictures.decoding import decode_parts
from vae_search.data.formats.pictures.encoded_images import Encoded, PictureSet
from vae_search.data.formats.roles import Role
from vae_search.data.formats.safe_reading import place, reading
from vae_search.data.formats.tables.columns import ImageColumn, choose_column, pixel_names
from vae_search.data.formats.tables.pixel_lists import read_pixels, refuse_swollen
from vae_search.data.image_checks import LARGEST, refuse_too_large
from vae_search.data.random_access.image_reader import read_all
from vae_search.errors import BadData

BATCH_BYTES = 2**24  # of unpacked values that are held beside the images, unless one row alone takes more
MOST_ROWS = 256  # of encoded pictures in a piece
FEWEST_PIXEL_COLUMNS = 16
# A picture of the largest size with four channels of 16 bits, as they are; what is encoded is seldom larger.
MAX_PICTURE_BYTES = 8 * LARGEST**2
MAX_LARGE_BYTES = 2**27  # of one that is brought to another size


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shard:
    """One file of a part.

    Args:
        rows: number of its rows.
        leaves: chunks of the column of images, in all row groups.
    """

    path: Path
    rows: int
    leaves: tuple[pq.ColumnChunkMetaData, ...]


def read_parquet(parts: Mapping[Role, Sequence[Path]], choices: Choices = NONE, *, where: str | None = None) -> Found:
    """The images of a data set in Parquet files.

    The column is the only one of a fitting type, or the one called `image` or `img`. It holds encoded pictures (binary,
    or a struct with the binary field `bytes`), or lists of pixels: nested ones say their shape, flat ones are of square
    images, row by row and channels last. A table of numbers alone has a column for each pixel.

    Args:
        parts: files, by part; all of one schema.

    Raises:
        BadData: There is no such column, a row is empty or differs in size, or a file is damaged or too large.
    """
    first = next(iter(parts.values()))[0]
    where = place(first) if where is None else where
    with _opened(first) as file:
        schema = file.schema_arrow
        refuse_twice_named(schema.names, where=where)
        pixels = pixel_names(schema.names, schema)
        if len(pixels) >= FEWEST_PIXEL_COLUMNS and choices.column is None:
            return _columns_of_pixels(parts, schema, pixels, where)
        column = choose_column(schema, column=choices.column, where=where)
    shards = {role: [_shard(path, column, where) for path in paths] for role, paths in parts.items()}
    notes = () if choices.column is None else (f"Read from the column {printable(column.name)}.",)
    if column.depth:
        images = {
            role: read_pixels([(s.path, s.rows, s.leaves) for s in found], column) for role, found in shards.items()
        }
        return Found.of(images, notes=notes, in_published_order=len(parts) > 1)
    limit = MAX_PICTURE_BYTES if choices.resize is None else MAX_LARGE_BYTES
    sets = {
        role: PictureSet(
            where=where, count=sum(shard.rows for shard in found), each=partial(_pictures, found, column, limit)
        )
        for role, found in shards.items()
    }
    decoded = decode_parts(sets, choices)
    return Found.of(decoded.images, notes=(*notes, *decoded.notes), in_published_order=len(parts) > 1)


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    where = place(path)
    try:
        with reading(where), pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, UnicodeDecodeError) as error:
        reason = printable(str(error))
        raise BadData(f"{where}: must be a complete Parquet file, but: {reason} Get it again.") from error


def _shard(path: Path, column: ImageColumn, where: str) -> _Shard:
    with _opened(path) as file:
        if column.name not in file.schema_arrow.names:
            raise BadData(f"{place(path)}: must have the column {printable(column.name)}, as {where} has.")
        if file.metadata.num_rows == 0:
            raise BadData(f"{place(path)}: there must be images, but it has no rows.")
        leaves = _leaves(file.metadata, column.name)
        refuse_swollen(sum(leaf.total_uncompressed_size for leaf in leaves), _inside(path, column))
        return _Shard(path=path, rows=file.metadata.num_rows, leaves=tuple(leaves))


def _inside(path: Path, column: ImageColumn) -> str:
    return f"{place(path)}: column {printable(column.name)}"


def _leaves(metadata: pq.FileMetaData, name: str) -> list[pq.ColumnChunkMetaData]:
    """Chunks of a column, of all row groups: of a struct the field `bytes` alone."""
    found = []
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        chunks = [group.column(position) for position in range(group.num_columns)]
        inside = [chunk for chunk in chunks if chunk.path_in_schema.startswith(f"{name}.")]
        found += (
            [chunk for chunk in chunks if chunk.path_in_schema in (name, f"{name}.bytes")]
            or [chunk for chunk in inside if chunk.path_in_schema.endswith(".bytes")]
            or inside
        )
    return found


def _pictures(shards: Sequence[_Shard], column: ImageColumn, limit: int) -> Iterator[Encoded]:
    for shard in shards:
        where = _inside(shard.path, column)
        with _opened(shard.path) as file:
            longest = _longest_repeated(shard, file, column, where, limit)
            rows = min(MOST_ROWS, max(1, BATCH_BYTES // max(1, longest)))
            yield from _encoded(file, column, rows, where, limit)


def _encoded(
    file: pq.ParquetFile, column: ImageColumn, rows: int, where: str, limit: int
) -> Iterator[tuple[str, bytes]]:
    start = 0
    for batch in file.iter_batches(rows, columns=[column.name]):
        values = _bytes_of(batch.column(0), column, start, where)
        for index, length in enumerate(pc.binary_length(values).to_pylist()):
            _check_length(length, f"{where}: row {start + index}", limit)
            yield f"{where}: row {start + index}", values[index].as_py()
        start += len(batch)


def _bytes_of(values: pa.Array, column: ImageColumn, start: int, where: str) -> pa.Array:
    """Encoded pictures of some rows, without the lists and structs around them."""
    if column.is_listed:
        lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
        if (lengths != 1).any():
            row = int(np.flatnonzero(lengths != 1)[0])
            raise BadData(
                f"{where}: every row must hold one picture, but row {start + row} holds {lengths[row]}.\n"
                "Write one picture to a row, as datasets.Image or bytes."
            )
        values = values.flatten()
    if pa.types.is_struct(values.type):
        values = values.field("bytes") if values.null_count == 0 else values
    if values.null_count:
        row = start + int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
        raise BadData(f"{where}: every row must hold an image, but row {row} holds none (a path is not followed).")
    return values.cast(pa.large_binary()) if pa.types.is_binary_view(values.type) else values


def _longest_repeated(shard: _Shard, file: pq.ParquetFile, column: ImageColumn, where: str, limit: int) -> int:
    """Bytes of the longest value in the dictionaries of a column of pictures.

    A dictionary of a few packed bytes may stand for as many gigabytes as there are rows, so it is looked at alone
    before any row is read: the first row of a row group brings its whole dictionary, once.

    Raises:
        BadData: A value is too long to be a picture of a size that is read.
    """
    longest = 0
    dictionaries = sorted({leaf.path_in_schema for leaf in shard.leaves})
    with pq.ParquetFile(shard.path, metadata=file.metadata, read_dictionary=dictionaries) as frugal:
        for group in range(file.num_row_groups):
            batch = next(frugal.iter_batches(1, row_groups=[group], columns=[column.name]), None)
            values = None if batch is None else batch.column(0)
            if values is not None and column.is_listed:
                values = values.flatten()
            if values is not None and pa.types.is_struct(values.type):
                values = values.field("bytes")
            if isinstance(values, pa.DictionaryArray) and len(values.dictionary):
                longest = max(longest, int(pc.max(pc.binary_length(values.dictionary)).as_py() or 0))
                _check_length(longest, f"{where}: row group {group}", limit)
    return longest


def _check_length(size: int, where: str, limit: int) -> None:
    if size <= limit:
        return
    if limit == MAX_PICTURE_BYTES:
        raise BadData(
            f"{where}: pictures must be at most {LARGEST} pixels high and wide, which takes at most {limit:,} bytes,\n"
            f"but one takes {size:,}. Set data.resize: {{height: 64, width: 64, fit: crop}} (or pad, or stretch)."
        )
    raise BadData(f"{where}: a picture must take at most {limit:,} bytes, but one takes {size:,}. Remove it.")


def _columns_of_pixels(
    parts: Mapping[Role, Sequence[Path]], schema: pa.Schema, pixels: Sequence[str], where: str
) -> Found:
    images: dict[Role, np.ndarray] = {}
    notes: tuple[str, ...] = ()
    labelled = [name for name in schema.names if name.lower() in LABELS][:1]
    for role, paths in parts.items():
        found = []
        for path in paths:
            with _opened(path) as file:
                refuse_too_large((file.metadata.num_rows, len(pixels)), 8, where=place(path))
                batches = file.iter_batches(MOST_ROWS, columns=[*labelled, *pixels])
                one = pixel_table(batches, names=[*labelled, *pixels], has_names=True, where=where)
            found.append(read_all(one.train))
            notes = one.notes
        images[role] = np.concatenate(found)
    return Found.of(images, notes=notes, in_published_order=len(parts) > 1)
