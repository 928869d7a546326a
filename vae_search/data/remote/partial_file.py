"""File in the making: bytes come in any order, and another process can go on with them after a cut."""

import json
import os
import threading
from contextlib import suppress
from pathlib import Path

from vae_search.core.transfer.remote_file import Version
from vae_search.core.transfer.spans import chunk_spans


class PartialFile:
    """The part of a download that is at hand, beside the file that it becomes.

    Args:
        target: the file that it becomes.
        version: what the bytes are of; bytes of another version are thrown away.
    """

    def __init__(self, target: Path, version: Version) -> None:
        self._target, self._version = target, version
        self._part, self._state = _paths(target)
        self._lock = threading.Lock()
        done = done_of(target, version)
        self.done = [0] * len(chunk_spans(version.size_bytes or 0)) if done is None else done
        if done is None:
            self._state.unlink(missing_ok=True)
        flags = os.O_RDWR | os.O_CREAT | (os.O_TRUNC if done is None else 0)
        self._file = os.open(self._part, flags, 0o644)
        try:
            if version.size_bytes is not None:
                os.truncate(self._file, version.size_bytes)
        except OSError:
            self.close()
            raise

    def write(self, start: int, piece: bytes) -> None:
        """Put bytes at a position."""
        rest = memoryview(piece)
        while rest:
            written = os.pwrite(self._file, rest, start)
            start, rest = start + written, rest[written:]

    def save(self) -> None:
        """Make what is at hand durable, and then say so."""
        with self._lock:
            done = [*self.done]
            os.fsync(self._file)
            write_record(self._state, {"version": self._version.to_json(), "done": done})

    def become(self, size_bytes: int) -> None:
        """Take the target's place, whole and durable."""
        os.truncate(self._file, size_bytes)
        os.fsync(self._file)
        self.close()
        self._part.replace(self._target)
        self._state.unlink(missing_ok=True)

    def close(self) -> None:
        """Release the file; what is saved stays."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def version_begun(target: Path) -> Version | None:
    """The version of which a part is at hand; None if nothing is."""
    try:
        return Version.from_json(json.loads(_paths(target)[1].read_bytes())["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def done_of(target: Path, version: Version) -> list[int] | None:
    """Of each chunk of this version, how many bytes are at hand; None if there are none of it."""
    part, state = _paths(target)
    try:
        record = json.loads(state.read_bytes())
        done = record["done"]
        if Version.from_json(record["version"]) != version or part.stat().st_size != version.size_bytes:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    spans = chunk_spans(version.size_bytes or 0)
    if not isinstance(done, list) or len(done) != len(spans):
        return None
    fit = [here for here, (start, end) in zip(done, spans, strict=True) if type(here) is int and here <= end - start]
    return fit if len(fit) == len(spans) and min(fit, default=0) >= 0 else None


def drop_part(target: Path) -> None:
    """Throw away what has come of a file."""
    for path in _paths(target):
        path.unlink(missing_ok=True)


def write_record(path: Path, record: object) -> None:
    """Replace a small JSON file, so that readers see the old or the new one."""
    partial = path.with_name(f"{path.name}.new")
    try:
        partial.write_text(json.dumps(record), encoding="utf-8")
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def _paths(target: Path) -> tuple[Path, Path]:
    """Of the bytes, and of the record of which they are."""
    return target.with_name(f".{target.name}.part"), target.with_name(f".{target.name}.part.json")
