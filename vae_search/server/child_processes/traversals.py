"""Latent traversals that the service shows: one is decoded at a time, and the last ones are kept in memory."""

import threading
from collections import OrderedDict
from http import HTTPStatus
from typing import Protocol

from vae_search.server.problems import RefusalError
from vae_search.server.submissions import DataRoots
from vae_search.services.models.traversals import Traversal, decoded, version_key
from vae_search.store.backends.base import Store

KEPT = 64  # a sheet of 28×28 images takes 100 to 400 kB
MOST_WAITING = 4  # requests; each holds one of the threads that answer everybody
WAIT_S = 60.0


class Decode(Protocol):
    """See `services.models.traversals.decoded`."""

    def __call__(self, location: str, model: str, number: int, *, with_images: bool) -> Traversal: ...


class TraversalReader:
    """Traversals by the content of versions; safe for threads.

    Args:
        location: of the store, for the child process.
        roots: places below which images may be read. A model of other images is shown without their KL.
    """

    def __init__(
        self, store: Store, *, location: str, roots: DataRoots, decode: Decode = decoded, wait_s: float = WAIT_S
    ) -> None:
        self._store = store
        self._location = location
        self._roots = roots
        self._decode = decode
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Traversal] = OrderedDict()
        self._one = threading.Lock()
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)

    def read(self, model: str, number: int) -> Traversal:
        """The traversal of a version: at once if it was decoded before, else after some seconds.

        Raises:
            NotFound: There is no such version.
            RefusalError: Others are being decoded.
            VaeSearchError: It cannot be decoded.
        """
        key = version_key(self._store, model, number)
        name = f"{model}:{number}:{key.sha256}"
        if (known := self._known(name)) is not None:
            return known
        if not self._waiting.acquire(blocking=False):
            raise _busy()
        try:
            if not self._one.acquire(timeout=self._wait_s):
                raise _busy()
            try:
                if (known := self._known(name)) is not None:  # somebody else has waited for the same
                    return known
                allowed = self._roots.refusal(key.source, written=key.source) is None
                found = self._decode(self._location, model, number, with_images=allowed)
                self._keep(name, found)
                return found
            finally:
                self._one.release()
        finally:
            self._waiting.release()

    def _known(self, name: str) -> Traversal | None:
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
            return self._kept.get(name)

    def _keep(self, name: str, found: Traversal) -> None:
        with self._lock:
            self._kept[name] = found
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)


def _busy() -> RefusalError:
    return RefusalError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Other models are being decoded. Try again later.",
        headers={"Retry-After": "15"},
    )
