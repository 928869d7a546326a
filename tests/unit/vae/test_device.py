"""What TensorFlow may take of GPUs. There is none here: its own settings are made for one that is only listed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from vae_search.vae.training.device import memory_cap_mib

pytestmark = pytest.mark.needs_tensorflow

# TensorFlow's list of devices gets a GPU, as it would on a machine that has one; what it is told of it stays its own.
SETTINGS = """
import os
from tensorflow.python.eager import context
gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")

def settings(gpus, path):
    os.environ["PATH"] = path
    context._reset_context()
    tf.config.list_physical_devices()
    for known in (context.context()._physical_devices, context.context()._visible_device_list):
        known.append(gpu)
    context.context()._memory_growth_map[gpu] = None
    limit_gpus(gpus)
    caps = tf.config.get_logical_device_configuration(gpu) or []
    growth = tf.config.experimental.get_memory_growth(gpu)
    print(len(tf.config.get_visible_devices("GPU")), growth, [cap.memory_limit for cap in caps])
"""


def in_fresh_process(code: str, path: Path) -> subprocess.CompletedProcess[str]:
    start = (
        "import logging\nimport tensorflow as tf\nfrom vae_search.vae.training.device import limit_gpus\n"
        "logging.basicConfig()\n"
    )
    environment = {"PATH": str(path), "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.run(
        [sys.executable, "-c", start + code], env=environment, text=True, capture_output=True, check=True
    )


def nvidia_smi(folder: Path, script: str) -> Path:
    folder.mkdir()
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("share", "listed", "cap_mib"),
    [
        (0.25, "24576\n", 6144),
        (0.5, "24576\n16384\n", 8192),
        (0.3333, "8192", 2730),
        (0.25, "", None),
        (0.25, "[N/A]\n", None),
        (0.25, "24576\n[Insufficient Permissions]\n", None),
        (0.25, "NVIDIA-SMI has failed because it could not communicate with the driver.\n", None),
    ],
)
def test_a_share_of_the_smallest_gpu_is_the_cap_if_all_are_known(share: float, listed: str, cap_mib: int | None):
    assert memory_cap_mib(share, listed) == cap_mib


def test_a_gpu_is_hidden_shared_or_left_to_grow(tmp_path: Path):
    tells = nvidia_smi(tmp_path / "tells", "test $# = 2 && printf '24576\\n16384\\n'")
    fails = nvidia_smi(tmp_path / "fails", "echo 24576; exit 9")
    cases = [(0.0, fails), (2.0, fails), (0.25, tells), (0.25, fails)]

    done = in_fresh_process(SETTINGS + "".join(f"settings({gpus}, {str(path)!r})\n" for gpus, path in cases), tmp_path)

    assert done.stdout.splitlines() == ["0 None []", "1 True []", "1 None [4096]", "1 True []"]
    assert done.stderr.count("nothing keeps trials to their share") == 1


def test_without_a_gpu_it_trains_on_the_processor_says_so_and_may_be_told_twice(tmp_path: Path):
    code = "for gpus in (0, 0.5, 1, 0):\n    limit_gpus(gpus)\n    print(float(tf.reduce_sum(tf.ones(3))))\n"

    done = in_fresh_process(code, tmp_path)

    assert done.stdout.split() == ["3.0"] * 4
    assert [line for line in done.stderr.splitlines() if "vae_search" in line] == [
        f"WARNING:vae_search.vae.training.device:gpus_per_trial is {gpus}, but TensorFlow finds no GPU on this node: "
        "it trains on the CPU"
        for gpus in ("0.5", "1")
    ]
