"""Clients of a bucket, of S3 or of Google, and how long each kind of request may take.

Credentials, region and endpoint come from the environment, as `obstore` reads them: keys, or the identity that a
platform gives (web identity, container credentials, the machine's role).
"""

from obstore.exceptions import BaseError
from obstore.store import GCSStore, S3Store

from vae_search.errors import StoreUnavailable
from vae_search.store.backends.s3_errors import trouble_of

FAILURES = (BaseError, OSError)  # a missing object is a FileNotFoundError
CONNECT_TIMEOUT_S = 3
REQUEST_TIMEOUT_S = 30  # with its body: a lease's holder counts as gone after a silence of about this length
LARGE_BYTES = 8 * 2**20  # above, the time of a request follows the size of its body
SLOWEST_BYTES_PER_S = 2**17  # of an upload that is still worth waiting for
STALL_S = 20  # without a byte, in a download of any duration

Bucket = S3Store | GCSStore
CLIENTS: dict[str, type[Bucket]] = {"s3": S3Store, "gs": GCSStore}
"""by scheme; each knows a PUT that creates: If-None-Match, or generation 0"""


def timeout_s_for(size_bytes: int) -> int:
    """Seconds that a request with such a body may take: few different ones, as each has a client of its own."""
    timeout_s = REQUEST_TIMEOUT_S
    while size_bytes > LARGE_BYTES and timeout_s < REQUEST_TIMEOUT_S + size_bytes / SLOWEST_BYTES_PER_S:
        timeout_s *= 2
    return timeout_s


def client(bucket: str, prefix: str, *, timeout_s: int | None, scheme: str = "s3") -> Bucket:
    """A client for what lies below a prefix of a bucket.

    Args:
        scheme: one of CLIENTS.
        timeout_s: of a request with its body; None where only a stall ends it.

    Raises:
        StoreUnavailable: The library cannot work with this name or this environment.
    """
    times = {"timeout": f"{timeout_s} seconds"}
    if timeout_s is None:
        times = {"timeout": "30 days", "read_timeout": f"{STALL_S} seconds"}
    try:
        return CLIENTS[scheme](
            bucket,
            prefix=prefix or None,
            # Added to the environment; `client_options` would take its place. The library's types leave it out.
            config={"connect_timeout": f"{CONNECT_TIMEOUT_S} seconds", **times},  # type: ignore[arg-type]
            # The library would repeat a create whose first answer got lost and report it as lost to somebody else.
            retry_config={"max_retries": 0},
        )
    except (BaseError, ValueError) as error:
        trouble, location = trouble_of(error), f"{scheme}://{bucket}/{prefix}".rstrip("/")
        raise StoreUnavailable(f"{location}: cannot be opened: {trouble.reason}. {trouble.advice}.") from None
