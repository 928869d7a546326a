"""A location that a user has given, opened: a store here, or a service's."""

import os
from typing import TYPE_CHECKING

from vae_search.core.settings import PLAIN_HTTP_VARIABLE

if TYPE_CHECKING:
    from vae_search.access.interface import StoreAccess
    from vae_search.access.remote import RemoteAccess

SERVICE = ("http://", "https://")


def is_service(location: str) -> bool:
    """True if a location is a service's address."""
    return location.startswith(SERVICE)


def open_access(location: str) -> "StoreAccess":
    """Access to what lies at a location.

    Raises:
        InvalidSpec: It is neither a store's nor a service's.
        VaeSearchError: The token of the service cannot be used.
    """
    if is_service(location):
        return open_service(location)
    from vae_search.access.direct import DirectAccess
    from vae_search.store.backends.uri import open_store

    return DirectAccess(open_store(location))


def open_service(address: str) -> "RemoteAccess":
    """Access to a service, with the token that the environment holds or names.

    Raises:
        InvalidSpec: It is no address, or one that others on the way could listen to.
        VaeSearchError: The token cannot be used.
    """
    from vae_search.access.connection import Connection
    from vae_search.access.credentials import find_token
    from vae_search.access.remote import RemoteAccess

    allow_plain = os.environ.get(PLAIN_HTTP_VARIABLE, "") not in ("", "0")
    return RemoteAccess(Connection(address, token=find_token(os.environ), allow_plain=allow_plain))
