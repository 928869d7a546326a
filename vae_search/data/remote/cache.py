"""Copies of remote files in a cache folder: whole, of the server's present version, or not there.

Beside a copy lies a record of the version that its server gave. A copy without one, or of another size, does not count.
That a copy can be decoded shows when it is read: `drop` it if not.
"""

import json
import logging
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from vae_search.core.transfer.remote_file import OutOfRange, RemoteFailure, RemoteFile, Reply, Unchanged, Version
from vae_search.core.transfer.spans import (
    CHUNK_BYTES,
    Changed,
    copy_whole,
    fetch_spans,
    next_span,
    patiently,
)
from vae_search.data.remote.partial_file import PartialFile, done_of, drop_part, version_begun, write_record

logger = logging.getLogger(__name__)

OPENINGS = 3  # attempts to get a first answer
STARTS = 3  # of a file that changes under way; the last one in one piece


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedCopy:
    """A copy that is at hand.

    Args:
        is_fresh: it was fetched just now, not earlier.
    """

    file: Path
    is_fresh: bool


def cached_copy(
    remote: RemoteFile, target: Path, *, refresh: bool = False, sleep: Callable[[float], None] = time.sleep
) -> CachedCopy:
    """Bring a remote file to `target`, unless its server says that the copy there is still the same.

    A server that cannot be asked leaves an earlier copy in use, with a warning. A download that was cut goes on where
    it stood, now or in the next process. Processes that ask at the same time download once.

    Args:
        refresh: fetch it anew, whatever is there.

    Raises:
        RemoteFailure: The file cannot be had, or not all of it.
        OSError: The copy cannot be kept.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if refresh:
            drop_part(target)
        known = None if refresh else _version_at_hand(target)
        for start in range(STARTS):
            try:
                return _bring(remote, target, known, whole=start + 1 == STARTS, sleep=sleep)
            except (Changed, OutOfRange):
                logger.info("%s has changed while it was fetched", remote.address)
                drop_part(target)
    raise RemoteFailure("it changes while it is fetched", passing=True)


def drop(target: Path) -> None:
    """Remove a copy and all that was noted of it; a missing one is fine."""
    _record_of(target).unlink(missing_ok=True)
    target.unlink(missing_ok=True)
    drop_part(target)


def _bring(
    remote: RemoteFile, target: Path, known: Version | None, *, whole: bool, sleep: Callable[[float], None]
) -> CachedCopy:
    span = None if whole else _span_to_ask(target)
    unless = known if known is not None and known.can_be_compared else None
    with ExitStack() as opened:
        try:
            first = patiently(
                lambda: opened.enter_context(remote.get(span, unless=unless)), attempts=OPENINGS, sleep=sleep
            )
            if first.is_span and not first.version.can_be_pieced:
                first = opened.enter_context(remote.get(None, unless=None))
        except Unchanged:
            return CachedCopy(file=target, is_fresh=False)
        except RemoteFailure as failure:
            if known is None or not failure.passing:
                raise
            logger.warning("%s cannot be asked (%s): its copy in the cache is used", remote.address, failure)
            return CachedCopy(file=target, is_fresh=False)
        logger.info("downloading %s", remote.address)
        _keep(remote, target, first, sleep=sleep)
    return CachedCopy(file=target, is_fresh=True)


def _span_to_ask(target: Path) -> tuple[int, int]:
    """Start of the download: the place of an earlier cut, or the file's beginning."""
    version = version_begun(target)
    done = None if version is None else done_of(target, version)
    if version is not None and done is not None and (span := next_span(done, version.size_bytes or 0)):
        return span
    return 0, CHUNK_BYTES


def _keep(remote: RemoteFile, target: Path, first: Reply, *, sleep: Callable[[float], None]) -> None:
    version = first.version
    _check_room(target, version)
    if not first.is_span:
        drop_part(target)  # nothing can be joined to it
    elif done_of(target, version) is None and first.start:
        raise Changed  # the span was chosen for another version
    part = PartialFile(target, version)
    try:
        if first.is_span:
            fetch_spans(
                remote, version=version, first=first, done=part.done, write=part.write, save=part.save, sleep=sleep
            )
            came = version.size_bytes or 0
        else:
            came = copy_whole(first, part.write, most_bytes=shutil.disk_usage(target.parent).free)
        _record_of(target).unlink(missing_ok=True)  # of the copy that is replaced now
        part.become(came)
        write_record(_record_of(target), _with_size(version, came).to_json())
    except RemoteFailure:
        if not first.is_span:
            drop_part(target)
        raise
    except OSError:  # a full disk must not stay full
        drop_part(target)
        raise
    finally:
        part.close()


def _check_room(target: Path, version: Version) -> None:
    size = version.size_bytes
    if size is None:
        return
    here = sum(done_of(target, version) or [0])
    free = shutil.disk_usage(target.parent).free
    if size - here > free:
        raise RemoteFailure(f"it has {size:,} bytes, but {target.parent} has room for {free:,}")


def _with_size(version: Version, size_bytes: int) -> Version:
    return Version(etag=version.etag, last_modified=version.last_modified, size_bytes=size_bytes)


def _version_at_hand(target: Path) -> Version | None:
    """The version of the copy at `target`; None if there is none that counts."""
    try:
        version = Version.from_json(json.loads(_record_of(target).read_bytes()))
        return version if target.stat().st_size == version.size_bytes else None
    except (OSError, ValueError):
        return None


def _record_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.version.json")
