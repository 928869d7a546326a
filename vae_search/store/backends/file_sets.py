"""Folders of files that count as a whole or not at all: a manifest with all hashes is written last."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from vae_search.errors import CorruptStore, NotFound
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.backends.json_records import from_json_bytes, to_json_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSet:
    """The files of a whole folder, every byte checked, and the digest of its manifest."""

    files: Mapping[str, bytes]
    sha256: str


def write_file_set(store: Store, folder: str, files: Mapping[str, bytes]) -> str:
    """Write `files` and then their manifest; the leftover of a writer that died, or other files, are replaced.

    Only one process at a time may write a folder. Writing the same files again changes nothing.

    Returns:
        The SHA-256 of the manifest, which stands for all files.

    Raises:
        StoreUnavailable: The folder is not whole; the same call may be made again.
    """
    manifest = manifest_of(files)
    try:
        _write(store, folder, files, manifest)
    except AlreadyThere:
        if not _is_whole(store, folder, manifest):
            remove_bundle(store, folder)
            _write(store, folder, files, manifest)
    return _sha256(manifest)


def manifest_of(files: Mapping[str, bytes]) -> bytes:
    """The manifest of `files`: their sizes and hashes, in one canonical form.

    Raises:
        ValueError: One is called like the manifest.
    """
    if store_paths.manifest("") in (f"/{name}" for name in files):
        raise ValueError("no file of a bundle may be called like its manifest")
    return to_json_bytes(
        {"files": {name: {"sha256": _sha256(part), "size_bytes": len(part)} for name, part in files.items()}}
    )


def read_file_set(store: Store, folder: str) -> FileSet:
    """All files of a folder.

    Raises:
        NotFound: There is none, or its writer never came to the manifest.
        CorruptStore: A file is missing or changed.
    """
    path = store_paths.manifest(folder)
    manifest = store.read(path)
    expected = from_json_bytes(manifest, where=path).get("files")
    if not isinstance(expected, dict):
        raise CorruptStore("is not a manifest.", path=path, advice="Restore it from a copy.")
    files: dict[str, bytes] = {}
    contents = store.read_many(f"{folder}/{name}" for name in expected)
    for (name, entry), content in zip(expected.items(), contents, strict=True):
        if content is None:
            raise CorruptStore("is missing.", path=f"{folder}/{name}", advice="Restore it from a copy.")
        files[name] = content
        if not isinstance(entry, dict) or _sha256(files[name]) != entry.get("sha256"):
            raise CorruptStore(
                "damaged: it does not match the manifest.", path=f"{folder}/{name}", advice="Restore it from a copy."
            )
    return FileSet(files=files, sha256=_sha256(manifest))


def is_file_of(manifest: bytes, name: str, content: bytes, *, folder: str) -> bool:
    """True if a file is the one that the manifest of its folder names."""
    try:
        expected = from_json_bytes(manifest, where=store_paths.manifest(folder)).get("files")
    except CorruptStore:
        return False
    entry = expected.get(name) if isinstance(expected, dict) else None
    return isinstance(entry, dict) and entry.get("sha256") == _sha256(content)


def remove_bundle(store: Store, folder: str) -> None:
    """Remove a folder; the manifest goes first, so that it is never half there."""
    store.remove(store_paths.manifest(folder))
    store.remove_tree(folder)


def _write(store: Store, folder: str, files: Mapping[str, bytes], manifest: bytes) -> None:
    for name, content in files.items():
        store.create(f"{folder}/{name}", content)
    store.create(store_paths.manifest(folder), manifest)


def _is_whole(store: Store, folder: str, manifest: bytes) -> bool:
    try:
        return read_file_set(store, folder).sha256 == _sha256(manifest)
    except (NotFound, CorruptStore):
        return False


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
