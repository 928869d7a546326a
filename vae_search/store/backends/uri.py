"""From what a user writes after `--store` to a store."""

import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from vae_search.core.transfer.remote_file import RemoteFile
from vae_search.errors import CorruptStore, NotFound, StoreUnavailable
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import STORE_VERSION, Store, checked_path
from vae_search.store.backends.json_records import from_json_bytes
from vae_search.store.backends.local import LocalStore

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
BUCKETS = ("s3", "gs")
# Addresses that the client library takes from the environment.
_ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3", "GOOGLE_BASE_URL")


def open_store(location: str) -> Store:
    """The store at `location`; nothing is written before the first `create` or `replace`.

    Raises:
        StoreUnavailable: The place cannot hold a store, or a newer version of this program made the one that is there.
        CorruptStore: The file with the store's version is damaged.
    """
    if not location:
        raise StoreUnavailable("--store: must name a folder, but is empty.")
    scheme, separator, rest = location.partition("://")
    store: Store
    if not separator:
        store = _local_store(location)
    elif scheme == "file" and rest:
        store = _local_store(rest)
    elif scheme in BUCKETS:
        store = _object_store(location)
    else:
        # Only the scheme: what follows may hold a password.
        raise StoreUnavailable(
            f"--store: must be a folder, file:///folder, s3://bucket/prefix or gs://bucket/prefix, but got {scheme[:20]}://…"
        )
    _check_version(store)
    return store


def location_everywhere(store: Store) -> str:
    """Location of the store for a process that stands in another folder, as workers do."""
    local = store.local_path(store_paths.STORE)
    return store.location if local is None else str(local.parent)


def _local_store(folder: str) -> LocalStore:
    try:
        root = Path(folder).expanduser()
        usable = root.is_dir() or not root.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise StoreUnavailable(f"{folder[:200]}: cannot be a store: {error}"[:400]) from error
    if not usable:
        raise StoreUnavailable(f"{root}: the store must be a folder, but this is a file. Give another --store.")
    return LocalStore(root)


def open_bucket_file(address: str) -> RemoteFile:
    """The object at s3://bucket/key or gs://bucket/key; nothing is asked yet, and nothing but this object ever.

    Raises:
        StoreUnavailable: No bucket can be asked for it.
    """
    scheme, bucket, key = _in_bucket(address, option="data.source")
    from vae_search.store.backends.s3_client import client
    from vae_search.store.backends.s3_file import BucketFile

    return BucketFile(client(bucket, "", timeout_s=None, scheme=scheme), key, address=address)


def _object_store(location: str) -> Store:
    scheme, bucket, prefix = _in_bucket(location, option="--store")
    from vae_search.store.backends.s3 import ObjectStore

    return ObjectStore(bucket, prefix, scheme=scheme)


def _in_bucket(location: str, *, option: str) -> tuple[str, str, str]:
    """The scheme, the bucket and the path in it; no message repeats `location` before it is known to hold no secret."""
    scheme, _, place = location.partition("://")
    if any(mark in place for mark in "@?#"):
        raise StoreUnavailable(
            f"{option}: {scheme}://bucket/prefix must be without user, password or query, but has '@', '?' or '#'.\n"
            "Credentials come from the environment: AWS_ACCESS_KEY_ID and the like, or GOOGLE_APPLICATION_CREDENTIALS."
        )
    bucket, _, path = place.removesuffix("/").partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise StoreUnavailable(
            f"{scheme}://{place}: a bucket's name has 3 to 63 small letters, digits, '-' and '.', but got "
            f"{bucket[:70]!r}."
        )
    try:
        checked_path(path)
    except ValueError as error:
        raise StoreUnavailable(f"{scheme}://{place}: the part after the bucket: {error}.") from error
    _check_endpoints(os.environ)
    if find_spec("obstore") is None:
        raise StoreUnavailable(
            f"{scheme}://{place}: needs a package that is not installed. Install it with: pip install 'vae-search[s3]'"
        )
    return scheme, bucket, path


def _check_endpoints(environment: Mapping[str, str]) -> None:
    """Refuse addresses that the client library would show in full, or fail on without a word."""
    for name in _ENDPOINTS:
        if name not in environment:
            continue
        try:
            address = urlsplit(environment[name])
            usable = address.scheme in ("http", "https") and bool(address.hostname) and address.port != 0
        except ValueError:
            usable = False
        if not usable or address.username is not None or re.search(r"[\s?#]", environment[name]):
            raise StoreUnavailable(
                f"{name}: must be http://host:port or https://host without user, password or query, but is not. Set it "
                "right, or unset it for the cloud's own."
            )


def _check_version(store: Store) -> None:
    where = f"{store.location}/{store_paths.STORE}"
    try:
        version = from_json_bytes(store.read(store_paths.STORE), where=where).get("store_version")
    except NotFound:
        return
    if not isinstance(version, int):
        raise CorruptStore("must say the store's version, but does not.", path=where, advice="Restore it from a copy.")
    if version > STORE_VERSION:
        raise StoreUnavailable(
            f"{store.location}: this program reads stores up to version {STORE_VERSION}, but this one has version "
            f"{version}. Install a newer vae-search."
        )
