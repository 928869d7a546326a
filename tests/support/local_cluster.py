"""A Ray cluster on this machine for tests, started and stopped by cluster/local.sh; and ways to break it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

PATIENCE_S = 150.0  # for what must happen soon; only a hanging test waits so long


def environment(**more: str) -> dict[str, str]:
    """This process's, without what it knows of other clusters and stores."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "VAE_SEARCH_"))}
    return kept | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"} | more


@dataclass(frozen=True)
class LocalCluster:
    """Cluster that cluster/local.sh has started with this state folder."""

    state: Path

    def local(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(ROOT / "cluster" / "local.sh"), *words],
            env=environment(VAE_SEARCH_LOCAL_CLUSTER=str(self.state), PYTHON=sys.executable),
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def address(self) -> str:
        return (self.state / "dashboard-address").read_text().strip()

    @property
    def gcs_address(self) -> str:
        return (self.state / "gcs-address").read_text().strip()

    @property
    def token(self) -> str:
        return (self.state / "token").read_text()

    def environment(self) -> dict[str, str]:
        """Environment of a client that may enter."""
        return environment(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(self.state / "token"))

    def processes(self, node: str = "") -> list[int]:
        """The processes of a node (`worker-1`), or of all; the ones that Ray started later as well."""
        mark = f"VAE_SEARCH_LOCAL_NODE={self.state}/{node}".encode()
        found = []
        for file in Path("/proc").glob("[0-9]*/environ"):
            try:
                words = file.read_bytes().split(b"\0")
            except OSError:
                continue  # it has ended meanwhile, or is somebody else's
            if any(word == mark if node else word.startswith(mark) for word in words):
                found.append(int(file.parent.name))
        return found

    def kill(self, node: str = "") -> None:
        """kill -9, all at once."""
        for pid in self.processes(node):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def vae_search(self, folder: Path, *words: object, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(command(*words), cwd=folder, env=self.environment(), capture_output=True, text=True)
        assert code is None or done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def client(self, folder: Path, *words: object) -> "subprocess.Popen[str]":
        """A command that is not waited for."""
        return subprocess.Popen(
            command(*words),
            cwd=folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "vae_search", *map(str, words)]


@contextmanager
def local_cluster(*words: str) -> Iterator[LocalCluster]:
    """`local.sh up` with `words`, for the length of the block."""
    cluster = LocalCluster(Path(tempfile.mkdtemp(prefix="vlc-")))
    try:
        done = cluster.local("up", *words)
        assert done.returncode == 0, done.stderr
        yield cluster
    finally:
        cluster.local("down")
        cluster.kill()
        shutil.rmtree(cluster.state, ignore_errors=True)


def until(found: Callable[[], Any], what: str, *, patience_s: float = PATIENCE_S) -> Any:
    """Wait for something that is true."""
    give_up_s = time.monotonic() + patience_s
    while not (value := found()):
        assert time.monotonic() < give_up_s, f"waited in vain for {what}"
        time.sleep(0.25)
    return value


def facts(done: "subprocess.CompletedProcess[str]") -> Any:
    return json.loads(done.stdout)
