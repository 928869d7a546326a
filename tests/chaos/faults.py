"""Faults at the nth change that this process makes to files: it is killed there, or the operation fails.

The layer sits between the package and Python's `os` and `io`, and sees the calls with which names and contents change;
that it sees all of them is checked against strace.
"""

import errno
import io
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CALLS = ("link", "unlink", "rename", "replace", "mkdir", "rmdir", "fsync")


@dataclass
class Faults:
    """Counts the operations below `root`, and makes trouble at some of them.

    Args:
        kill_at: the number of the operation before which the process dies, counted from 1. If it is a write, only
            `torn` of the content arrives first.
        stop_at: the number of the operation before which the process is stopped, until somebody lets it go on.
        fail: says with which errno an operation fails, if it does.
    """

    root: Path
    kill_at: int = 0
    torn: float = 0.0
    stop_at: int = 0
    fail: Callable[[int, str], int | None] = lambda number, call: None
    calls: list[str] = field(default_factory=list)

    def before(self, call: str) -> None:
        self.calls.append(call)
        number = len(self.calls)
        if number == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == self.stop_at:
            os.kill(os.getpid(), signal.SIGSTOP)
        code = self.fail(number, call)
        if code is not None:
            raise OSError(code, os.strerror(code))

    def write(self, file: Any, content: bytes) -> int:
        if len(self.calls) + 1 == self.kill_at:
            file.write(content[: int(self.torn * len(content))])
            file.flush()
        self.before("write")
        rest = memoryview(content)
        while rest:  # a nearly full disk takes a part of it; a buffered file would go on, too
            rest = rest[file.write(rest) :]
        return len(content)

    def concerns(self, target: object) -> bool:
        if isinstance(target, int):  # a descriptor
            target = Path(f"/proc/self/fd/{target}").readlink()
        return Path(os.fspath(target)).is_relative_to(self.root)


class _Written(io.FileIO):
    """A file whose writes are counted; it has no buffer, so that they happen where they are called."""

    faults: Faults

    def write(self, content: bytes) -> int:  # type: ignore[override]
        return self.faults.write(super(), content)


@contextmanager
def injected(faults: Faults) -> Iterator[Faults]:
    """Let `faults` stand in the way of every change of files in this process while the block runs."""

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def stands_between(target: Any, *args: Any, **named: Any) -> Any:
            if faults.concerns(target):
                faults.before(name)
            return call(target, *args, **named)

        return stands_between

    opened = io.open

    def open_counted(file: Any, mode: str = "r", *args: Any, **named: Any) -> Any:
        if not set(mode) & set("wxa+") or not faults.concerns(file):
            return opened(file, mode, *args, **named)
        faults.before("open")
        written = _Written(file, mode.replace("b", ""))
        written.faults = faults
        return written

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, counted(name, getattr(os, name)))
        patch.setattr(io, "open", open_counted)
        yield faults


def once(at: int, code: int) -> Callable[[int, str], int | None]:
    """The operation number `at` fails, and no other."""
    return lambda number, call: code if number == at else None


def from_then_on(at: int) -> Callable[[int, str], int | None]:
    """The disk is full from operation `at` on: what needs space fails, removing does not."""
    return lambda number, call: errno.ENOSPC if number >= at and call in ("open", "write", "link", "mkdir") else None
