"""The files of a version: written once by whoever reserved its number, whole when the manifest is there, never changed.

Nobody else ever writes into the folder or removes from it, so a version that was promoted cannot be harmed by a
process that wakes up late; what a dead one left behind is a number without a manifest.
"""

import hashlib
from collections.abc import Mapping

from vae_search.errors import CorruptStore, NotFound
from vae_search.registry import model_paths
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.backends.file_sets import manifest_of, read_file_set
from vae_search.store.backends.json_records import from_json_bytes

CARD_FILE, CARD_TEXT_FILE = "card.json", "card.md"
PER_IMAGE_FILE = "per_image.parquet"  # of all confirmed seeds
TEST_FILE = "test.json"  # the score on the test images, written before anybody sees it


def write_version(store: Store, model: str, number: int, files: Mapping[str, bytes]) -> str:
    """Write the files of a reserved number, the manifest last. The caller is who reserved it.

    Returns:
        The SHA-256 of the manifest, which stands for all files.

    Raises:
        CorruptStore: There are other files already.
        StoreUnavailable: The version is not whole; its number stays unused.
    """
    folder = model_paths.version(model, number)
    manifest = manifest_of(files)
    for name, content in files.items():
        write_file(store, f"{folder}/{name}", content)
    write_file(store, store_paths.manifest(folder), manifest)
    return hashlib.sha256(manifest).hexdigest()


def write_file(store: Store, path: str, content: bytes) -> None:
    """Create one file of a version; the same file once more is fine.

    Raises:
        CorruptStore: Another file is there.
    """
    try:
        store.create(path, content)
    except AlreadyThere:
        if store.read(path) != content:
            raise CorruptStore(
                "another file is there, although this number was just reserved. Do not write there by hand.", path=path
            ) from None


def read_version(store: Store, model: str, number: int, *, sha256: str | None) -> Mapping[str, bytes]:
    """All files of a version, every byte checked.

    Args:
        sha256: of the manifest, from the log; None for a version that has not been promoted yet.

    Raises:
        NotFound: There is no whole version of this number.
        CorruptStore: A file is missing, changed, or not one of the version's.
    """
    folder = model_paths.version(model, number)
    try:
        bundle = read_file_set(store, folder)
    except NotFound:
        if sha256 is None:
            raise
        raise CorruptStore("is missing.", path=store_paths.manifest(folder), advice="Restore it from a copy.") from None
    if sha256 is not None and bundle.sha256 != sha256:
        raise CorruptStore(
            "is not the one that was promoted.", path=store_paths.manifest(folder), advice="Restore it from a copy."
        )
    unknown = _unknown(store, folder, bundle.files)
    if unknown:
        raise CorruptStore("is not a file of this version.", path=unknown[0], advice="Remove it.")
    return bundle.files


def version_sha256(files: Mapping[str, bytes]) -> str:
    """The SHA-256 of the manifest of a version with these files."""
    return hashlib.sha256(manifest_of(files)).hexdigest()


def problems(store: Store, model: str, number: int, *, sha256: str) -> dict[str, str]:
    """Everything that is wrong with the files of a promoted version, by path; empty if every byte is as it was."""
    folder = model_paths.version(model, number)
    path = store_paths.manifest(folder)
    try:
        content = store.read(path)
    except NotFound:
        return {path: "is missing"}
    if hashlib.sha256(content).hexdigest() != sha256:
        return {path: "is not the one that was promoted"}
    expected = from_json_bytes(content, where=path)["files"]
    if not isinstance(expected, dict):
        raise TypeError(f"{path}: was promoted without files")  # its hash is right, so this program wrote it so
    found = dict.fromkeys(_unknown(store, folder, expected), "is not a file of this version")
    for name, entry in expected.items():
        try:
            part = store.read(f"{folder}/{name}")
        except NotFound:
            found[f"{folder}/{name}"] = "is missing"
            continue
        if len(part) != entry["size_bytes"]:
            found[f"{folder}/{name}"] = f"has {len(part):,} of {entry['size_bytes']:,} bytes"
        elif hashlib.sha256(part).hexdigest() != entry["sha256"]:
            found[f"{folder}/{name}"] = "damaged: it does not match the manifest"
    return found


def _unknown(store: Store, folder: str, names: Mapping[str, object]) -> list[str]:
    known = {store_paths.manifest(folder), *(f"{folder}/{name}" for name in names)}
    return [path for path in store.list(folder) if path not in known]
