"""Snapshots: numbered states in a folder, of which the newest holds; each is created by exactly one writer.

For a state that changes often and whose history nobody needs: old ones are removed, so that it stays small however long
a store lives. What must never be forgotten belongs into a `ChainedLog`.
"""

import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress

from vae_search.errors import CorruptStore, NotFound, StoreUnavailable
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.logs.chained_log import NO_RECORD, sealed, unsealed

KEPT = 4  # the newest ones; should it be damaged, the one before can take its place
TRIES = 10


class Snapshots:
    """The states of one folder.

    Args:
        folder: `000001.json` and so on lie right in it.
        nonce: random, so that two writers never write equal states.
    """

    def __init__(self, store: Store, folder: str, *, nonce: Callable[[], str] = lambda: secrets.token_hex(8)) -> None:
        self._store = store
        self._folder = folder
        self._nonce = nonce

    def path(self, number: int) -> str:
        """File of a state, counted from 1."""
        return f"{self._folder}/{number:06d}.json"

    def newest(self) -> tuple[int, Mapping[str, object]]:
        """Number and record of the state that holds; 0 and nothing if there is none.

        Raises:
            CorruptStore: It is damaged.
            StoreUnavailable: It cannot be read.
        """
        for _ in range(TRIES):
            number = max(self._numbers(), default=0)
            if not number:
                return 0, {}
            try:
                content = self._store.read(self.path(number))
            except NotFound:  # removed since it was listed: there are newer ones
                continue
            try:
                record = unsealed(content, number=number, previous_sha256=NO_RECORD, where=self.path(number))
            except CorruptStore as error:
                raise CorruptStore(
                    error.problem, path=error.path, advice="Remove it; the state before it takes its place."
                ) from error
            return number, {name: value for name, value in record.items() if name != "nonce"}
        raise StoreUnavailable(f"{self._folder}: changes faster than it can be read. Try again.")

    def add(self, record: Mapping[str, object], *, after: int) -> bool:
        """Write `record` as the next state, if that of number `after` is still the newest.

        Returns:
            False if another writer was first: read it and decide again. It may hold this record's change already, if
            that other one has built on it; so a change must be one that may be made twice.

        Raises:
            StoreUnavailable: It is not written; or it is, which `newest` tells.
        """
        path = self.path(after + 1)
        content = sealed({**record, "nonce": self._nonce()}, number=after + 1, previous_sha256=NO_RECORD)
        try:
            self._store.create(path, content)
        except AlreadyThere:
            # A remote store may have applied the create and lost its answer; the random part makes the record ours.
            try:
                if self._store.read(path) != content:
                    return False
            except NotFound:
                return False
        numbers = self._numbers()
        if max(numbers, default=0) != after + 1:  # whoever slept for long may have taken a number that was removed
            return False
        for number in numbers:
            if number <= after + 1 - KEPT:
                with suppress(NotFound):
                    self._store.remove(self.path(number))
        return True

    def _numbers(self) -> list[int]:
        return [number for path in self._store.list(self._folder) if (number := store_paths.number_of(path))]
