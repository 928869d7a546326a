"""Process identity across restarts, containers and reused process ids, and whether a process has ended."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process of one machine. Fields are None where the system does not tell (outside Linux)."""

    pid: int
    host: str
    boot_id: str | None  # changes when the machine starts again
    pid_namespace: str | None  # process ids mean something only within one
    started_ticks: int | None  # since boot; tells a process from a later one with its id


def this_process() -> Process:
    """The process that asks."""
    pid = os.getpid()
    _, started_ticks = _state_and_start(pid)
    return Process(
        pid=pid,
        host=socket.gethostname(),
        boot_id=_boot_id(),
        pid_namespace=_pid_namespace(),
        started_ticks=started_ticks,
    )


def is_alive(process: Process) -> bool | None:
    """True while `process` runs; None if it cannot be told from here.

    The name of the host counts as well: clones of one running machine share its boot id and its namespaces.
    """
    here = (_boot_id(), _pid_namespace(), socket.gethostname())
    if None in here or (process.boot_id, process.pid_namespace, process.host) != here:
        return None
    try:
        os.kill(process.pid, 0)  # signal 0 only asks
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's process has this id; below its start tells whether it is the one
    state, started_ticks = _state_and_start(process.pid)
    if started_ticks is None or process.started_ticks is None:
        return None
    return started_ticks == process.started_ticks and state not in ("Z", "X")  # killed, but not yet collected


def _boot_id() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _pid_namespace() -> str | None:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return None


def _state_and_start(pid: int) -> tuple[str | None, int | None]:
    """The process's state letter and its start in ticks since boot (proc(5): fields 3 and 22 of stat)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None, None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces and parentheses
    return fields[0], int(fields[19])
