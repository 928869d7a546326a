"""Uploaded images that no sweep and no model refers to any more.

Nobody can tell them from images that have just been uploaded for a sweep whose record is still to come: a job may wait
for its cluster for days. So the first `gc` that finds them without a reference writes down when, and they go by a `gc`
that finds them so a week later. Whoever uploads them again takes the note away.
"""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from vae_search.errors import CorruptStore, NotFound
from vae_search.spec.fields import IN_STORE
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import AlreadyThere, Store
from vae_search.store.backends.json_records import from_json_bytes, to_json_bytes

UNUSED_FOR = timedelta(days=7)
NOTES = f"{store_paths.IMAGES}/unused"  # since when nothing refers to images: images/unused/<digest>.json


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusedImages:
    """Images without a reference.

    Args:
        folder: of one upload.
        since: when `gc` first found it unused, UTC.
    """

    folder: str
    size_bytes: int
    since: datetime

    def may_go(self, now: datetime) -> bool:
        """True once nobody can be about to use them."""
        return now - self.since > UNUSED_FOR


def unused_images(store: Store, *, sources: Collection[str], now: datetime, dry_run: bool) -> list[UnusedImages]:
    """Find uploads that nothing refers to, and write down since when; those in use lose their note.

    Args:
        sources: of all sweeps and models, as specs name them.
        dry_run: write nothing.
    """
    used = {folder for source in sources if (folder := folder_of(source)) is not None}
    sizes: dict[str, int] = {}
    for path, size in store.sizes(store_paths.IMAGES).items():
        if not path.startswith(f"{NOTES}/"):
            folder = "/".join(path.split("/")[:2])
            sizes[folder] = sizes.get(folder, 0) + size
    found = []
    for folder, size in sizes.items():
        note = _note(folder)
        if folder in used:
            if not dry_run:
                store.remove(note)
            continue
        since = _noted(store, note)
        if since is None:
            since = now
            if not dry_run:
                with suppress(AlreadyThere):
                    store.create(note, to_json_bytes({"since": now.isoformat()}))
        found.append(UnusedImages(folder=folder, size_bytes=size, since=since))
    return found


def remove_unused(store: Store, images: UnusedImages) -> None:
    """Remove an upload that may go, unless it has been uploaded again since it was found."""
    note = _note(images.folder)
    if _noted(store, note) == images.since:
        store.remove_tree(images.folder)
        store.remove(note)


def mark_used(store: Store, source: str) -> None:
    """Take away the note that images were unused, because a sweep is about to use them."""
    if (folder := folder_of(source)) is not None:
        store.remove(_note(folder))


def folder_of(source: str) -> str | None:
    """The folder of uploaded images in a store; None if a source means other images."""
    if not source.startswith(IN_STORE):
        return None
    return f"{store_paths.IMAGES}/{source.removeprefix(IN_STORE).partition('/')[0]}"


def _note(folder: str) -> str:
    return f"{NOTES}/{folder.rpartition('/')[2]}.json"


def _noted(store: Store, note: str) -> datetime | None:
    try:
        return datetime.fromisoformat(str(from_json_bytes(store.read(note), where=note)["since"])).astimezone(UTC)
    except NotFound:
        return None
    except (KeyError, ValueError) as error:
        raise CorruptStore("holds no time.", path=note, advice="Remove it.") from error
