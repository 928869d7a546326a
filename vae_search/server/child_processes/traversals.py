"""Latent traversals that the service shows: one is decoded at a time, and the last ones are kept in memory."""

from typing import Protocol

from vae_search.server.child_processes.one_at_a_time import WAIT_S, OneAtATime
from vae_search.server.submissions import DataRoots
from vae_search.services.models.traversals import Traversal, decoded, version_key
from vae_search.store.backends.base import Store


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
        self._decoded = OneAtATime[Traversal](wait_s=wait_s)

    def read(self, model: str, number: int) -> Traversal:
        """The traversal of a version: at once if it was decoded before, else after some seconds.

        Raises:
            NotFound: There is no such version.
            RefusalError: Others are being decoded.
            VaeSearchError: It cannot be decoded.
        """
        key = version_key(self._store, model, number)
        allowed = self._roots.refusal(key.source, written=key.source, follow_links=key.follow_links) is None
        return self._decoded.get(
            f"{model}:{number}:{key.sha256}:{allowed}",
            lambda: self._decode(self._location, model, number, with_images=allowed),
        )
