"""Every changed byte is found."""

import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.rows import epoch_rows, trial_row
from vae_search.errors import CorruptStore
from vae_search.store.ledger.checksums import check_seal, decode_checked, encode_checked
from vae_search.store.ledger.rows import epochs_to_parquet, trial_to_parquet

TABLE = pa.table({"trial": [1, 2, 3], "value": [0.5, None, 1.5]})


def test_a_sealed_table_comes_back() -> None:
    assert decode_checked(encode_checked(TABLE, path="a"), path="a").replace_schema_metadata(None).equals(TABLE)


def test_other_readers_do_not_notice_the_seal() -> None:
    content = encode_checked(TABLE, path="a")

    file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)

    assert file.read().replace_schema_metadata(None).equals(TABLE)


@pytest.mark.parametrize(
    "content",
    [trial_to_parquet(trial_row(), path="a"), epochs_to_parquet(epoch_rows(epochs=9), path="a")],
    ids=["trial", "epochs"],
)
def test_a_flipped_bit_is_found_in_every_single_byte(content: bytes) -> None:
    chance = random.Random(7)
    unnoticed = []

    for place in range(len(content)):
        broken = bytearray(content)
        broken[place] ^= 1 << chance.randrange(8)
        try:
            check_seal(bytes(broken), path="a")
        except CorruptStore:
            continue
        unnoticed.append(place)

    assert unnoticed == []


def test_a_file_cut_off_anywhere_is_found() -> None:
    content = trial_to_parquet(trial_row(), path="a")
    unnoticed = []

    for length in range(len(content)):
        try:
            check_seal(content[:length], path="a")
        except CorruptStore:
            continue
        unnoticed.append(length)

    assert unnoticed == []


def test_appended_bytes_are_found() -> None:
    with pytest.raises(CorruptStore, match="do not match"):
        check_seal(encode_checked(TABLE, path="a") + b"\0", path="a")


def test_a_file_at_another_place_is_found() -> None:
    with pytest.raises(CorruptStore, match="its place"):
        check_seal(encode_checked(TABLE, path="trials/000001.parquet"), path="trials/000002.parquet")


def test_parquet_of_another_program_is_no_row_of_ours() -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(TABLE, sink)

    with pytest.raises(CorruptStore, match=r"^a: damaged: .* not a file of this program"):
        decode_checked(sink.getvalue().to_pybytes(), path="a")


def test_values_that_look_like_a_seal_do_not_confuse_it() -> None:
    lookalike = "vae_search.sha256\x18\x40" + "0" * 64 + "vae_search.columns\x18\x10" + "0" * 16
    table = pa.table({"vae_search.sha256\x18\x40" + "f" * 64: [lookalike], "error": [lookalike]})

    content = encode_checked(table, path="a")

    assert decode_checked(content, path="a").replace_schema_metadata(None).equals(table)


def test_files_with_the_same_columns_have_the_same_tag() -> None:
    tags = [
        check_seal(encode_checked(table, path="a"), path="a")
        for table in (
            TABLE,
            TABLE.slice(0, 1),
            TABLE.select(["trial"]),
            TABLE.cast(pa.schema({"trial": "int32", "value": "double"})),
        )
    ]

    assert tags[0] == tags[1]
    assert len(set(tags)) == 3
