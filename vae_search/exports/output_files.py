"""Atomic output: new files and folders that are complete or absent, never over something that exists."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vae_search.errors import Conflict, InvalidSpec, StoreUnavailable


def check_free(path: Path, *, option: str) -> None:
    """Refuse a place that is taken or cannot be written to, before anything slow.

    Raises:
        Conflict: Something is there.
        InvalidSpec: Its folder is missing or cannot be written to.
    """
    if os.path.lexists(path):
        raise _taken(path, option)
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InvalidSpec(f"{option} {path}: must be in a folder that can be written, but {path.parent} is none.")


@contextmanager
def new_file(path: Path, *, option: str) -> Iterator[Path]:
    """A temporary name beside `path` to be written to; when the block ends well, it becomes `path`.

    Raises:
        Conflict: Something has come to `path` meanwhile; it stays as it is.
        StoreUnavailable: The disk does not take it.
    """
    partial = _partial(path)
    try:
        yield partial
        os.link(partial, path)  # unlike a rename, it fails if there is something
    except FileExistsError:
        raise _taken(path, option) from None
    except OSError as error:
        raise _unwritable(path, option, error) from error
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path, *, option: str) -> Iterator[Path]:
    """A temporary folder beside `path`; when the block ends well, it becomes `path`. Errors as for `new_file`."""
    partial = _partial(path)
    try:
        partial.mkdir()
        yield partial
        partial.rename(path)  # fails on a file, and on a folder that holds anything
    except OSError as error:
        if os.path.lexists(path):
            raise _taken(path, option) from None
        raise _unwritable(path, option, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")


def _taken(path: Path, option: str) -> Conflict:
    return Conflict(f"{option} {path}: exists already and was left as it is. Give another name.")


def _unwritable(path: Path, option: str, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(f"{option} {path}: cannot be written: {error.strerror}. Give another name.")


def check_output(output: Path) -> None:
    """Refuse a file that cannot be written, before anything slow.

    Raises:
        InvalidSpec: It is a folder, or its folder cannot be written to.
    """
    if output.is_dir() or not os.access(output.parent, os.W_OK):
        raise InvalidSpec(f"{output}: must be a file in a folder that can be written. Give another -o.")


def write_output(output: Path, content: bytes) -> Path:
    """Write the requested file or folder; returns `output`.

    Raises:
        StoreUnavailable: The disk does not take it.
    """
    try:
        output.write_bytes(content)
    except OSError as error:
        raise StoreUnavailable(f"{output}: cannot be written: {error.strerror}. Give another -o.") from error
    return output
