"""Whether a process has ended."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from vae_search.store.leases.processes import Process, is_alive, this_process

if not os.path.exists("/proc/self/stat"):  # noqa: PTH110
    pytest.skip("needs /proc", allow_module_level=True)

INTRODUCE = """
import dataclasses, json, sys
from vae_search.store.leases.processes import this_process
print(json.dumps(dataclasses.asdict(this_process())), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", INTRODUCE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        yield started
        started.kill()


def test_this_process_is_alive() -> None:
    assert this_process().pid == os.getpid()
    assert is_alive(this_process()) is True


def test_a_killed_process_is_gone_even_before_its_parent_collects_it(child: subprocess.Popen[str]) -> None:
    process = Process(**json.loads(child.stdout.readline()))
    assert is_alive(process) is True

    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, but stays uncollected

    assert is_alive(process) is False
    child.wait()
    assert is_alive(process) is False


def test_a_later_process_with_the_same_id_is_another_one() -> None:
    here = this_process()

    assert is_alive(replace(here, started_ticks=here.started_ticks - 1)) is False


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"boot_id": "other"},
        {"pid_namespace": "pid:[1]"},
        {"boot_id": None},
        {"pid_namespace": None},
        {"host": "a clone of this running machine"},
    ],
    ids=str,
)
def test_a_process_of_another_machine_or_container_cannot_be_judged(elsewhere: dict[str, str | None]) -> None:
    assert is_alive(replace(this_process(), **elsewhere)) is None
