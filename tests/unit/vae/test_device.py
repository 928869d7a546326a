"""What TensorFlow may take of GPUs. There is none here: its own settings are made for one that is only listed."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from vae_search.vae.training.device import CONTEXT_MIB, memory_cap_mib

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
        (0.25, "24576\n", 6144 - CONTEXT_MIB),
        (0.5, "24576\n16384\n", 8192 - CONTEXT_MIB),
        (0.3333, "8192", 2730 - CONTEXT_MIB),
        (0.01, "8192", 1),
        (0.25, "", None),
        (0.25, "[N/A]\n", None),
        (0.25, "24576\n[Insufficient Permissions]\n", None),
        (0.25, "NVIDIA-SMI has failed because it could not communicate with the driver.\n", None),
    ],
)
def test_a_share_of_the_smallest_gpu_is_the_cap_if_all_are_known(share: float, listed: str, cap_mib: int | None):
    assert memory_cap_mib(share, listed) == cap_mib


REFUSED = """
from vae_search.errors import NodeTrouble

def refused(call, *arguments, **more):
    try:
        call(*arguments, **more)
    except NodeTrouble as trouble:
        return str(trouble)
"""


def test_a_gpu_is_hidden_shared_or_left_to_grow_and_images_that_do_not_fit_into_a_share_are_refused(tmp_path: Path):
    tells = nvidia_smi(tmp_path / "tells", "test $# = 2 && printf '24576\\n16384\\n'")
    fails = nvidia_smi(tmp_path / "fails", "echo 24576; exit 9")
    small = nvidia_smi(tmp_path / "small", "printf '8192\\n'")
    cases = [(0.0, fails), (1.0, fails), (0.25, tells), (0.25, fails)]
    code = (
        SETTINGS
        + REFUSED
        + "".join(f"settings({gpus}, {str(path)!r})\n" for gpus, path in cases)
        + (
            "limits = limit_gpus\n"
            "for data_bytes in (1100 * 2**20, 1300 * 2**20):\n"
            "    limit_gpus = lambda gpus: print(refused(limits, gpus, data_bytes=data_bytes))\n"
            f"    settings(0.25, {str(small)!r})\n"
        )
    )  # a quarter of the small one has 2,048 MiB, 600 of which are not TensorFlow's

    done = in_fresh_process(code, tmp_path)

    told = done.stdout.splitlines()
    assert told[:4] == ["0 None []", "1 True []", f"1 None [{4096 - CONTEXT_MIB}]", "1 True []"]
    assert done.stderr.count("nothing keeps trials to their share") == 2
    assert told[4] == "None"
    assert told[6].startswith("the training images take 1,300 MiB of the GPU, but a trial's share has 1,448 MiB there")
    assert told[7] == "Raise resources.gpus_per_trial, or train on fewer images."


def test_without_gpus_a_trial_that_was_given_one_is_refused_and_others_train_on_the_processor(tmp_path: Path):
    code = REFUSED + (
        "from vae_search.vae.training.device import device_in_use\n"
        "for gpus in (0.5, 1, 2):\n"
        "    print(refused(limit_gpus, gpus).splitlines()[0])\n"
        "    print(refused(device_in_use, gpus).splitlines()[0])\n"
        "for _ in range(2):\n"  # may be told twice
        "    limit_gpus(0)\n"
        "    print(device_in_use(0), float(tf.reduce_sum(tf.ones(3))))\n"
    )

    told = in_fresh_process(code, tmp_path).stdout.splitlines()

    assert told == [
        *(
            f"a trial was given {gpus} GPUs, but TensorFlow {does} none there."
            for gpus in ("0.5", "1", "2")
            for does in ("sees", "uses")
        ),
        *["cpu 3.0"] * 2,
    ]
