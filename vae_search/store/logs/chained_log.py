"""Chained log: numbered records in a folder, each created by exactly one writer and chained by hash to the one before.

Models keep their history in one, and the queue of sweeps its orders. A record never changes; what holds now is a fold
over all of them.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence

from vae_search.errors import CorruptStore
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.backends.json_records import from_sealed_json, to_sealed_json

NO_RECORD = "0" * 64  # what the first record is chained to
SEAL = ("number", "previous_sha256", "sha256")  # fields of a file beside those of its record


class ChainedLog:
    """The records of one folder, each read and checked once.

    Args:
        folder: `000001.json` and so on lie right in it.
    """

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._folder = folder
        self._records: list[Mapping[str, object]] = []  # for who wants them all
        self._count = 0
        self._last_sha256 = NO_RECORD

    def path(self, number: int) -> str:
        """File of a record, counted from 1."""
        return f"{self._folder}/{number:06d}.json"

    def records(self) -> tuple[Mapping[str, object], ...]:
        """All records in their order, which are kept from then on.

        Raises:
            CorruptStore: One is damaged or missing.
        """
        self.follow(lambda _, new: self._records.extend(new))
        return tuple(self._records)

    def follow(self, take: Callable[[int, Sequence[Mapping[str, object]]], None]) -> None:
        """Hand over the records that are new since the last call, and keep none: for whoever makes something of them.

        Args:
            take: gets the number of the first one, and all in their order. If it raises, they come again.

        Raises:
            CorruptStore: One is damaged or missing; those before a damaged one are handed over.
        """
        first = self._count + 1
        present = {number for path in self._store.list(self._folder) if (number := store_paths.number_of(path))}
        numbers = range(first, max(present, default=0) + 1)
        for number in numbers:
            if number not in present:
                raise CorruptStore(
                    "is missing, but later entries are there.", path=self.path(number), advice="Restore it from a copy."
                )
        new: list[Mapping[str, object]] = []
        last_sha256, damage = self._last_sha256, None
        for number, content in zip(numbers, self._store.read_many(map(self.path, numbers)), strict=True):
            try:
                if content is None:  # removed since it was listed
                    raise CorruptStore("is missing.", path=self.path(number), advice="Restore it from a copy.")
                new.append(unsealed(content, number=number, previous_sha256=last_sha256, where=self.path(number)))
            except CorruptStore as error:
                damage = error
                break
            last_sha256 = _sha256(content)
        if new:
            take(first, new)
            self._count, self._last_sha256 = self._count + len(new), last_sha256
        if damage is not None:
            raise damage

    def append(self, record: Mapping[str, object], *, after: int) -> bool:
        """Write `record` as the next one, if `after` is still the number of records that were read.

        The record must hold something random, so that two writers never write equal ones.

        Returns:
            False if another writer was first: read on and decide again.

        Raises:
            StoreUnavailable: It is not written; or it is, which `records` tells.
        """
        if after != self._count:
            return False
        content = sealed(record, number=after + 1, previous_sha256=self._last_sha256)
        try:
            self._store.create(self.path(after + 1), content)
        except AlreadyThere:
            # A remote store may have applied the create and lost its answer; the random part makes the record ours.
            return self._store.read(self.path(after + 1)) == content
        return True


def sealed(record: Mapping[str, object], *, number: int, previous_sha256: str) -> bytes:
    """`record` as the file `number`, with its place in the chain and the SHA-256 of its own content.

    Raises:
        ValueError: It has a field of the seal's.
    """
    if taken := sorted(set(record) & set(SEAL)):
        raise ValueError(f"a record of a chained log must not have the fields {', '.join(taken)}")
    return to_sealed_json({**record, "number": number, "previous_sha256": previous_sha256})


def unsealed(content: bytes, *, number: int, previous_sha256: str, where: str) -> dict[str, object]:
    """The record that `sealed` made `content` of.

    Raises:
        CorruptStore: A byte is changed, or it belongs to another place in the chain.
    """
    record = from_sealed_json(content, where=where)
    if (record.pop("number", None), record.pop("previous_sha256", None)) != (number, previous_sha256):
        raise CorruptStore("does not follow the entry before it.", path=where, advice="Restore the log from a copy.")
    return record


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
