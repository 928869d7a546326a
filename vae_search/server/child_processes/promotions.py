"""Promotions that people ask for over HTTP, each in a child process of its own.

What is decided stands in the model's log; kept here is only which ones this process of the service has started, and how
they ended. If the service dies, whoever asks again finishes what was begun: a promotion can be cut off anywhere.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Literal

from vae_search.core.scratch import scratch_folder
from vae_search.errors import ProcessLost
from vae_search.server.problems import RefusalError
from vae_search.services.children.programs import environment
from vae_search.services.payloads import Facts

MODULE = "vae_search.services.models.promotion_process"
MOST_AT_ONCE = 2  # each may take all cores, and gigabytes
KEPT = 100  # that have ended
TIMEOUT_S = 2 * 3600.0  # scoring a large test set on a small machine takes hours


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """One request that a sweep may ask for promotion.

    Args:
        decision: as `promote --json` prints it, once there is one.
        error: why there is none.
    """

    model: str
    sweep: str
    asked_by: str
    asked_at: datetime
    state: Literal["running", "ended", "failed"] = "running"
    decision: Facts | None = None
    error: str | None = None
    exit_code: int | None = None


@dataclass(slots=True, kw_only=True)
class _Run:
    asked: Promotion
    thread: threading.Thread | None = None
    child: "subprocess.Popen[bytes] | None" = None


class Promotions:
    """Promotions that this process has started. For threads.

    Args:
        location: of the store.
        command: of a child, which gets store, sweep, model, actor and the file for its answer.
    """

    def __init__(
        self,
        location: str,
        *,
        now: Callable[[], datetime],
        command: Sequence[str] = (sys.executable, "-m", MODULE),
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._location = location
        self._now = now
        self._command = tuple(command)
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._running: dict[tuple[str, str], _Run] = {}
        self._ended: list[Promotion] = []
        self._changes = 0
        self._is_over = False

    def ask(self, sweep: str, *, model: str, actor: str) -> Promotion:
        """Let a sweep ask; the same request while one runs is that one.

        Raises:
            RefusalError: As many as may run at once do.
        """
        key = (model, sweep)
        with self._lock:
            if key in self._running:
                return self._running[key].asked
            if self._is_over or len(self._running) >= MOST_AT_ONCE:
                raise RefusalError(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    f"{MOST_AT_ONCE} promotions are running. Try again later.",
                    headers={"Retry-After": "60"},
                )
            run = _Run(asked=Promotion(model=model, sweep=sweep, asked_by=actor, asked_at=self._now()))
            run.thread = threading.Thread(target=self._follow, args=(run,), name=f"promotion of {sweep}", daemon=True)
            run.thread.start()
            self._running[key] = run
            self._changes += 1
        return run.asked

    def of(self, model: str | None = None, *, sweep: str | None = None) -> list[Promotion]:
        """The promotions of a model or a sweep: those that run, then the last ones that ended, the newest first."""
        with self._lock:
            everything = [*(run.asked for run in self._running.values()), *reversed(self._ended)]
        return [each for each in everything if model in (None, each.model) and sweep in (None, each.sweep)]

    @property
    def changes(self) -> int:
        """Number of promotions that have begun, and of those that have ended: it grows with each."""
        with self._lock:
            return self._changes

    def end(self) -> None:
        """Stop what runs, and wait for it."""
        with self._lock:
            self._is_over = True
            runs = list(self._running.values())
            for run in runs:
                _kill(run.child)
        for run in runs:
            if run.thread is not None:
                run.thread.join()

    def _follow(self, run: _Run) -> None:
        """Run the child to its end, and keep what it said."""
        try:
            done = self._carried_out(run)
        except OSError as error:
            lost = f"the process could not be started: {error.strerror or error}. Ask again."
            done = replace(run.asked, state="failed", error=lost, exit_code=ProcessLost.exit_code)
        with self._lock:
            del self._running[run.asked.model, run.asked.sweep]
            self._ended = [*self._ended, done][-KEPT:]
            self._changes += 1

    def _carried_out(self, run: _Run) -> Promotion:
        with scratch_folder("promotion-") as folder:
            answer, error = folder / "answer.json", None
            with self._lock:
                if not self._is_over:
                    run.child = self._started(run.asked, answer)
            try:
                if run.child is not None:
                    run.child.wait(self._timeout_s)
            except subprocess.TimeoutExpired:
                error = f"the promotion did not end within {self._timeout_s:g} s and was stopped."
                _kill(run.child)
            return _told(run.asked, answer, error)

    def _started(self, asked: Promotion, answer: Path) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [*self._command, self._location, asked.sweep, asked.model, asked.asked_by, str(answer)],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # what it starts itself ends with it
        )


def _told(asked: Promotion, answer: Path, error: str | None) -> Promotion:
    """The promotion with what its process has said."""
    try:
        said = json.loads(answer.read_bytes())
    except (OSError, ValueError):  # killed, before or while it wrote
        lost = error or "the process ended without a word; ask again to finish what it began."
        return replace(asked, state="failed", error=lost, exit_code=ProcessLost.exit_code)
    return replace(asked, state="failed" if said["error"] else "ended", **said)


def _kill(child: "subprocess.Popen[bytes] | None") -> None:
    if child is not None and child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
