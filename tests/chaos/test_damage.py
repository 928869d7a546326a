"""Damage to a stored row is always noticed: by the ledger, by `verify`, and by a query."""

import pytest

from tests.chaos.campaign import chance
from tests.support.rows import epoch_rows, trial_row
from vae_search.errors import CorruptStore
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.trials import Ledger
from vae_search.store.paths import SweepPaths
from vae_search.store.queries.sql import query

FLIPS = 2000
SEVENTH = 7
COUNTED = "SELECT count(*) FROM trials"


@pytest.fixture
def store(tmp_path) -> LocalStore:
    store = LocalStore(tmp_path)
    Ledger(store, "digits").commit(trial_row(0), epoch_rows(0))
    return store


def positions(content: bytes, *, quick: bool) -> list[int]:
    """Every byte; in the quick tier every byte of the footer, which holds the seal, and every seventh elsewhere."""
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")  # Parquet: footer, its length, magic number
    return [*range(0, footer, SEVENTH), *range(footer, len(content))] if quick else list(range(len(content)))


def is_noticed(store: LocalStore, path: str) -> bool:
    """Whether the ledger leaves the damaged trial out, naming the file."""
    ledger = Ledger(store, "digits")
    trials = ledger.read()
    curves = ledger.curves(trials.rows)
    return (*trials.damaged, *curves.damaged) == (path,) and len(curves.by_trial) == 0


@pytest.mark.parametrize(
    "path", [SweepPaths("digits").trial(0), SweepPaths("digits").trial_epochs(0)], ids=["row", "curve"]
)
def test_a_file_cut_at_any_byte_is_noticed(store: LocalStore, path: str, quick: bool) -> None:
    content, place = store.read(path), store.local_path(path)

    unnoticed = []
    for length in positions(content, quick=quick):
        place.write_bytes(content[:length])
        if not is_noticed(store, path):
            unnoticed.append(length)

    assert unnoticed == []


@pytest.mark.parametrize(
    "path", [SweepPaths("digits").trial(0), SweepPaths("digits").trial_epochs(0)], ids=["row", "curve"]
)
def test_every_flipped_bit_is_noticed(store: LocalStore, path: str, quick: bool) -> None:
    content, place = store.read(path), store.local_path(path)
    flips = FLIPS // SEVENTH if quick else FLIPS
    bits = chance("bit flips").sample(range(8 * len(content)), flips)

    unnoticed = []
    for bit in bits:
        broken = bytearray(content)
        broken[bit // 8] ^= 1 << bit % 8
        place.write_bytes(broken)
        if not is_noticed(store, path):
            unnoticed.append(bit)

    assert len(bits) == flips
    assert unnoticed == []


def test_a_query_and_a_reader_of_one_row_notice_it_as_well(store: LocalStore) -> None:
    path = SweepPaths("digits").trial(0)
    place, content = store.local_path(path), store.read(path)
    store.create(SweepPaths("digits").resolved, b"{}")  # a query shows rows of sweeps that have a record
    assert query(store, COUNTED).rows == ((1,),)

    place.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    answer = query(store, COUNTED)
    assert (answer.rows, answer.damaged) == (((0,),), (path,))
    with pytest.raises(CorruptStore, match="000000"):
        Ledger(store, "digits").trial(0)
