"""slurm.sbatch with Slurm, Ray and the search replaced by scripts that write down what they are told."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.paths import ROOT

STUBS = {
    # Drops its own options and runs the rest, as a step on that node.
    "srun": """
        while [[ $1 == --* ]]; do [[ $1 == --nodelist=* ]] && export STEP_NODE=${1#*=}; shift; done
        exec "$@"
    """,
    "scontrol": """
        case $1 in
          show) printf '%s\\n' localhost worker1 worker2 ;;
          requeue) echo "requeue $2" >>"$TOLD" ;;
        esac
    """,
    "ray": """
        echo "ray $*" >>"$TOLD"
        [[ $1 == health-check ]] && exit 0
        echo $$ >"$PIDS/$STEP_NODE"
        exec sleep 60
    """,
    "vae-search": """
        echo "vae-search $*" >>"$TOLD"
        trap 'kill $!; exit 130' TERM
        echo ready >"$PIDS/search"
        sleep 60 &
        wait $!
    """,
    "sleep": 'exec /bin/sleep "$(case $1 in 60) echo 60 ;; *) echo 0.05 ;; esac)"',
}


class Batch:
    """A running slurm.sbatch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told = folder / "told"
        programs = folder / "venv" / "bin"
        programs.mkdir(parents=True)
        (folder / "pids").mkdir()
        for name, text in STUBS.items():
            (programs / name).write_text(f"#!/bin/bash\n{text}")
            (programs / name).chmod(0o755)
        # The only program that the script gives to Python without a file asks for the head's address.
        (programs / "python").write_text(
            f'#!/bin/bash\n[[ $1 == - ]] && {{ echo 192.0.2.7; exit; }}\n{sys.executable} "$@"\n'
        )
        (programs / "python").chmod(0o755)
        (programs / "activate").write_text(f'export PATH="{programs}:$PATH"\n')
        with (folder / "errors").open("w") as errors:
            self.process = subprocess.Popen(
                ["bash", str(ROOT / "cluster" / "slurm.sbatch"), "sweep.yaml", "/shared/store"],
                env={
                    **{"PATH": os.environ["PATH"], "HOME": str(folder), "TOLD": str(self.told)},
                    **{"PIDS": str(folder / "pids"), "VAE_SEARCH_VENV": str(folder / "venv")},
                    **{"SLURM_JOB_ID": "12345", "SLURM_JOB_NODELIST": "n[1-3]", "SLURM_CPUS_PER_TASK": "4"},
                },
                stderr=errors,
            )
        begun = [folder / "pids" / name for name in ("localhost", "worker1", "worker2", "search")]
        self.until(lambda: all(file.exists() and file.read_text() for file in begun))

    def until(self, happened: Callable[[], bool]) -> None:
        give_up_s = time.monotonic() + 20
        while not happened():
            assert time.monotonic() < give_up_s, self.told.read_text() + self.errors()
            assert self.process.poll() is None, self.errors()
            time.sleep(0.02)

    def lose(self, worker: str) -> None:
        os.kill(int((self.folder / "pids" / worker).read_text()), signal.SIGKILL)

    def errors(self) -> str:
        return (self.folder / "errors").read_text()

    def end(self) -> int:
        """The exit code."""
        return self.process.wait(timeout=20)


@pytest.fixture
def batch(tmp_path):
    running = Batch(tmp_path)
    yield running
    running.process.terminate()
    running.process.wait(timeout=20)


def test_the_driver_waits_for_its_workers_at_the_address_that_other_nodes_reach(batch):
    told = batch.told.read_text()

    assert "ray start --head --node-ip-address=192.0.2.7 --port=22345 --num-cpus=0" in told
    assert told.count("ray start --address=192.0.2.7:22345 --num-cpus=4") == 2
    assert "vae-search run sweep.yaml --address 192.0.2.7:22345 --store /shared/store --wait-for-nodes 600" in told


def test_a_job_that_runs_out_of_time_puts_itself_into_the_queue_again(batch):
    batch.process.send_signal(signal.SIGINT)

    assert batch.end() == 130
    assert "requeue 12345" in batch.told.read_text()
    assert not (batch.folder / ".ray" / "slurm-12345").exists()


def test_a_job_that_is_cancelled_stays_so(batch):
    batch.process.send_signal(signal.SIGTERM)

    assert batch.end() == 130
    assert "requeue" not in batch.told.read_text()


def test_a_worker_that_is_gone_is_named_and_without_any_the_search_stops(batch):
    batch.lose("worker1")
    batch.until(lambda: "worker worker1 is gone" in batch.errors())
    assert "no worker is left" not in batch.errors()

    batch.lose("worker2")

    assert batch.end() == 130
    assert "no worker is left" in batch.errors()
    assert "requeue" not in batch.told.read_text()
