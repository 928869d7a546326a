"""The store in a bucket of S3, of anything that speaks its protocol with PUT If-None-Match, or of Google."""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError

from vae_search.core.transfer.remote_file import RemoteFailure
from vae_search.errors import NotFound, StoreUnavailable
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import VERSION_RECORD, AlreadyThere, checked_path, visible_paths
from vae_search.store.backends.s3_client import FAILURES, LARGE_BYTES, Bucket, client, timeout_s_for
from vae_search.store.backends.s3_errors import NETWORK, Trouble, trouble_of
from vae_search.store.backends.s3_file import BucketFile, read_into_memory

PATIENCE_S = 20.0  # below the silence after which a lease is taken over
FIRST_PATIENCE_S = 3.0  # until the store has answered once: a wrong address must not take long to notice
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 3.0
READERS = 16  # requests at once; each waits for the network, not for a core

_Answer = TypeVar("_Answer")


class ObjectStore:
    """A store below a prefix of a bucket.

    Args:
        bucket: its name.
        prefix: parts with "/" between them; "" for the whole bucket.
        scheme: `s3` or `gs`.
        clock: seconds, monotonic.
        sleep: waits for seconds.
        jitter: a number from 0 to 1, so that many writers do not come back all at once.

    Raises:
        StoreUnavailable: The library cannot work with this name or this environment.
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        scheme: str = "s3",
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.location = f"{scheme}://{bucket}/{prefix}".rstrip("/")
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._answered = False
        self._has_version = False
        self._undecided: set[tuple[str, bytes]] = set()
        """creates that nobody knows of yet whether they were carried out; the next one of the same content is told"""
        self._scheme, self._name, self._prefix = scheme, bucket, prefix
        self._clients: dict[int | None, Bucket] = {}  # by the time that a request may take
        self._bucket = self._client(timeout_s_for(0))

    def create(self, path: str, content: bytes) -> None:
        self._write_version(checked_path(path))
        self._create(path, content)

    def replace(self, path: str, content: bytes) -> None:
        self._write_version(checked_path(path))
        timeout_s = timeout_s_for(len(content))
        bucket = self._client(timeout_s)
        self._ask(lambda: obstore.put(bucket, path, content, use_multipart=False), path, "written", timeout_s=timeout_s)

    def read(self, path: str) -> bytes:
        content = self._find(checked_path(path))
        if content is None:
            raise NotFound(f"{path}: is not in the store {self.location}.")
        return content

    def read_many(self, paths: Iterable[str]) -> Iterator[bytes | None]:
        with ThreadPoolExecutor(READERS, thread_name_prefix="read") as readers:
            yield from readers.map(self._find, map(checked_path, paths))

    def list(self, prefix: str) -> list[str]:
        return visible_paths(self._objects(prefix))

    def folders(self, prefix: str) -> Sequence[str]:
        folder = checked_path(prefix) or None
        found = self._ask(lambda: obstore.list_with_delimiter(self._bucket, folder), prefix, "listed")
        names = (path.rpartition("/")[2] for path in found["common_prefixes"])
        return sorted(name for name in names if not name.startswith("."))

    def sizes(self, prefix: str) -> dict[str, int]:
        found = self._objects(prefix)
        return {path: found[path] for path in visible_paths(found)}

    def remove(self, path: str) -> None:
        self._remove([checked_path(path)], path)

    def remove_tree(self, prefix: str) -> None:
        self._remove([*self._objects(prefix)], prefix)

    def local_path(self, path: str) -> Path | None:
        return None

    def _write_version(self, path: str) -> None:
        if self._has_version or path == store_paths.STORE:
            return
        with suppress(AlreadyThere):
            self._create(store_paths.STORE, VERSION_RECORD)
        self._has_version = True

    def _create(self, path: str, content: bytes) -> None:
        """PUT with If-None-Match. S3 answers when the object is durable.

        An answer that is lost on the way (timeout, reset, 5xx) leaves it open whether the object is there, so it is
        read back: equal bytes are ours. Another writer's can be equal only where it makes no difference who was first:
        the store's version, a request to stop, the end of a lease, the files of one bundle, the suggestion and the
        learning curve of one trial. Leases and probes carry a nonce, rows and tombstones the number of a lease.
        """
        timeout_s = timeout_s_for(len(content))
        bucket = self._client(timeout_s)
        for _ in self._tries(timeout_s):
            try:
                obstore.put(bucket, path, content, mode="create", use_multipart=False)
            except FAILURES as error:
                trouble = trouble_of(error)
                # 409: another create is on its way, and no one has won yet.
                refused = isinstance(error, AlreadyExistsError) and trouble.status != 409
                if refused and (path, content) not in self._undecided:
                    self._answered = True
                    raise AlreadyThere(path) from None
                if not refused and not trouble.passing:
                    raise self._unavailable(path, "written", trouble) from None
                if not refused and trouble.status != 409:
                    self._undecided.add((path, content))
                found = self._look(path)
                if found == content and (path, content) in self._undecided:
                    break
                if found is not None:
                    self._undecided.discard((path, content))
                    raise AlreadyThere(path) from None
            else:
                self._answered = True
                break
        else:
            raise self._unavailable(path, "written", trouble)
        self._undecided.discard((path, content))

    def _look(self, path: str) -> bytes | None:
        """Content right now; None if nothing is, or if there is no answer."""
        try:
            return self._content(path)
        except (*FAILURES, RemoteFailure):
            return None

    def _content(self, path: str) -> bytes:
        """The content of an object in one request; of a large one in as many as it takes."""
        found = obstore.get(self._bucket, path)
        if found.meta["size"] <= LARGE_BYTES:
            return found.bytes().to_bytes()
        remote = BucketFile(self._client(None), path, address=f"{self.location}/{path}")
        return read_into_memory(remote, sleep=self._sleep)

    def _client(self, timeout_s: int | None) -> Bucket:
        if timeout_s not in self._clients:
            self._clients[timeout_s] = client(self._name, self._prefix, timeout_s=timeout_s, scheme=self._scheme)
        return self._clients[timeout_s]

    def _find(self, path: str) -> bytes | None:
        """The content of an object; None if there is none."""

        def find() -> bytes | None:
            try:
                return self._content(path)
            except FileNotFoundError as error:
                if trouble_of(error).says_absent:
                    return None
                raise

        return self._ask(find, path, "read")

    def _objects(self, prefix: str) -> dict[str, int]:
        """The paths of all objects in a folder and below, hidden ones too, with their sizes in bytes."""
        folder = checked_path(prefix) or None
        found = self._ask(lambda: obstore.list(self._bucket, folder).collect(), prefix, "listed")
        return {entry["path"]: entry["size"] for entry in found}

    def _remove(self, paths: Sequence[str], where: str) -> None:
        if paths and self._scheme == "s3":
            self._ask(lambda: obstore.delete(self._bucket, paths), where, "removed")
        elif paths:  # one by one, as Google answers 404 where nothing is
            with ThreadPoolExecutor(READERS, thread_name_prefix="remove") as removers:
                [*removers.map(self._remove_one, paths)]

    def _remove_one(self, path: str) -> None:
        def remove() -> None:
            try:
                obstore.delete(self._bucket, path)
            except FileNotFoundError as error:
                if not trouble_of(error).says_absent:
                    raise

        self._ask(remove, path, "removed")

    def _ask(self, request: Callable[[], _Answer], path: str, verb: str, *, timeout_s: int | None = None) -> _Answer:
        """The answer to a request that may be made more than once."""
        for _ in self._tries(timeout_s):
            try:
                answer = request()
            except RemoteFailure as failure:  # which was patient itself
                raise self._unavailable(path, verb, _trouble_of_body(failure)) from None
            except FAILURES as error:
                trouble = trouble_of(error)
                if not trouble.passing:
                    raise self._unavailable(path, verb, trouble) from None
            else:
                self._answered = True
                return answer
        raise self._unavailable(path, verb, trouble)

    def _tries(self, timeout_s: int | None) -> Iterator[None]:
        """Once, and then again after longer and longer pauses until the patience is used up.

        Args:
            timeout_s: of each request, where its body is large: it must not use all patience up by itself.
        """
        began_s, pause_s = self._clock(), FIRST_PAUSE_S
        longer_s = 0 if timeout_s is None else timeout_s - timeout_s_for(0)
        while True:
            yield
            wait_s = pause_s * (0.5 + self._jitter())
            patience_s = PATIENCE_S if self._answered else FIRST_PATIENCE_S
            if self._clock() - began_s + wait_s > patience_s + longer_s:
                return
            self._sleep(wait_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _unavailable(self, path: str, verb: str, trouble: Trouble) -> StoreUnavailable:
        return StoreUnavailable(
            f"{self.location}/{path}: cannot be {verb}: {trouble.reason}.\n"
            f"{trouble.advice}, then run the same command again."
        )


def _trouble_of_body(failure: RemoteFailure) -> Trouble:
    return Trouble(
        reason=str(failure), advice=failure.advice or NETWORK, passing=failure.passing, status=None, code=None
    )
