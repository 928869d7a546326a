"""`vae-search serve` in processes of its own over one store, its drivers with it, and ways to end these."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from os import environ
from pathlib import Path
from typing import Any

from tests.support.marked_processes import end_marked, marked, marked_processes
from tests.support.paths import ROOT
from vae_search.queue.state import QueueItem
from vae_search.queue.sweep_queue import SweepQueue
from vae_search.store.backends.base import Store
from vae_search.store.backends.uri import open_store
from vae_search.store.leases.heartbeat import read_heartbeat
from vae_search.store.ledger.trials import Ledger

PATIENCE_S = 300
# Drivers without Ray, for campaigns: they start in seconds, and keep rows, leases and checkpoints as all do.
WITHOUT_RAY = """
from vae_search.services.queue.child_drivers import ChildDrivers
ChildDrivers.__init__.__kwdefaults__["options"] = ("--inline",)
from vae_search.cli.app import main
main()
"""


@dataclass
class Server:
    """A server's process; it is asked by its address on the loopback."""

    process: "subprocess.Popen[bytes]"
    output: Path

    @property
    def port(self) -> int | None:
        """Port that it said it listens on; None before."""
        found = re.search(r"on http://127\.0\.0\.1:(\d+)\.", self.output.read_text())
        return None if found is None else int(found[1])

    def ask(self, path: str, body: str | None = None, **headers: str) -> dict[str, Any]:
        """The JSON at a path of the API; with a body, of a POST."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=None if body is None else body.encode(),
            headers={"Content-Type": "application/yaml", **headers},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
        return found


@dataclass
class ServedStore:
    """A store in a short folder, and every process that was ever started over it."""

    folder: Path
    inline: bool = False
    """whether its drivers train in their own process, without Ray"""
    servers: list[Server] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return open_store(str(self.folder / "store"))

    def start(self, *options: str) -> Server:
        """A server that has begun to listen."""
        output = self.folder / f"server-{len(self.servers)}.txt"
        own = {**marked(self.folder), "TMPDIR": str(self.folder), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        program = ["-c", WITHOUT_RAY] if self.inline else ["-m", "vae_search"]
        command = [sys.executable, *program, "serve", "--store", str(self.folder / "store"), "--port", "0"]
        with output.open("wb") as stream:
            process = subprocess.Popen(
                [*command, *options], cwd=self.folder, env=environ | own, stdout=stream, stderr=stream
            )
        server = Server(process=process, output=output)
        self.servers.append(server)
        until(lambda: server.port is not None or process.poll() is not None)
        assert process.poll() is None, output.read_text()
        return server

    def items(self) -> tuple[QueueItem, ...]:
        return SweepQueue(self.store, now=lambda: datetime.now(UTC)).state().items

    def item(self, sweep: str) -> QueueItem:
        return next(item for item in self.items() if item.sweep == sweep)

    def drivers(self) -> list[int]:
        """Process ids of all drivers, those on their way up included."""
        return sorted(pid for pid, title in marked_processes(self.folder).items() if " -m vae_search run " in title)

    def driver(self, sweep: str) -> int | None:
        """Process id of the driver that works on a sweep; None if there is none."""
        last = read_heartbeat(self.store, sweep)
        return last.holder.process.pid if last is not None and last.alive else None

    def trials(self, sweep: str) -> list[int]:
        return [row.trial for row in Ledger(self.store, sweep).read().rows]


@contextmanager
def served_store(*, inline: bool = False) -> Iterator[ServedStore]:
    """A new one; in the end none of its processes is left, and none of its files."""
    served = ServedStore(folder=Path(tempfile.mkdtemp(prefix="srv-")), inline=inline)
    try:
        yield served
    finally:
        end_marked(served.folder)
        for server in served.servers:
            with suppress(subprocess.TimeoutExpired):
                server.process.wait(10)
        shutil.rmtree(served.folder, ignore_errors=True)


def until(holds: Callable[[], bool], *, within_s: float = PATIENCE_S, saying: Sequence[Path] = ()) -> None:
    """Wait until something holds.

    Args:
        saying: files that tell why it does not, if it takes too long.
    """
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "\n".join(path.read_text() for path in saying)
        time.sleep(0.05)
