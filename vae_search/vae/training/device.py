"""GPU and thread limits of TensorFlow, set before its first operation."""

import logging
import math
import subprocess

import tensorflow as tf

from vae_search.core.machine import NO_BFLOAT16, multiplies_bfloat16
from vae_search.errors import NodeTrouble

logger = logging.getLogger(__name__)

TOTAL_MEMORY = ("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")
ASK_S = 20.0  # a GPU that sleeps takes seconds to answer
MIB = 2**20
BFLOAT16_CAPABILITY = (8, 0)
# Of a process's CUDA context and libraries, which TensorFlow's limit does not hold: else four quarters are more than
# one GPU. From NVIDIA's figures for recent GPUs, not measured here.
CONTEXT_MIB = 600
LEAST_FREE_MIB = 256  # beside the images: weights, gradients and one batch of a small network
HELP = "Install vae-search[gpu] and NVIDIA's driver there, or set resources.gpus_per_trial to 0 to train on the CPU."


def limit_gpus(gpus: float, *, data_bytes: int = 0) -> None:
    """Let TensorFlow use what a trial was given, of the GPUs that this process sees.

    Works once per process, before the first operation; later calls must agree. Left alone, TensorFlow takes nearly all
    memory of every GPU that it finds, even for a trial that was given none.

    Args:
        gpus: of one trial: 0 hides all GPUs; of a share below 1, TensorFlow's memory is that share of the GPU's.
        data_bytes: size of the images that stay on the GPU.

    Raises:
        NodeTrouble: Fewer GPUs are seen than the trial was given, or its share cannot hold the images.
        RuntimeError: TensorFlow already runs with other limits.
    """
    if gpus == 0:
        tf.config.set_visible_devices([], "GPU")
        return
    devices = tf.config.list_physical_devices("GPU")
    if len(devices) < math.ceil(gpus):
        raise NodeTrouble(
            f"a trial was given {gpus:g} GPUs, but TensorFlow sees {len(devices) or 'none'} there.\n{HELP}"
        )
    room_mib = memory_cap_mib(min(gpus, 1.0), _total_memory())
    if room_mib is None:
        logger.warning("nvidia-smi does not tell how much memory the GPU has: nothing keeps trials to their share")
    elif data_bytes + LEAST_FREE_MIB * MIB > room_mib * MIB:
        raise NodeTrouble(
            f"the training images take {data_bytes / MIB:,.0f} MiB of the GPU, but a trial's share has {room_mib:,} "
            "MiB there, and the network needs some as well.\n"
            "Raise resources.gpus_per_trial, or train on fewer images."
        )
    for device in devices:
        if gpus >= 1 or room_mib is None:
            tf.config.experimental.set_memory_growth(device, True)
        else:
            cap = tf.config.LogicalDeviceConfiguration(memory_limit=room_mib)
            tf.config.set_logical_device_configuration(device, [cap])


def require_bfloat16(gpus: float) -> None:
    """Refuse products of bfloat16 where they are emulated.

    Args:
        gpus: of one trial. Of NVIDIA's, those from compute capability 8.0 on have such products.

    Raises:
        NodeTrouble: This machine's processor, or the GPU, has none.
    """
    if gpus == 0:
        if multiplies_bfloat16() is False:
            raise NodeTrouble(f"precision bfloat16: {NO_BFLOAT16}.\nTrain on machines that have, or in float32.")
        return
    details = tf.config.experimental.get_device_details(tf.config.get_visible_devices("GPU")[0])
    if (capability := details.get("compute_capability")) is not None and tuple(capability) < BFLOAT16_CAPABILITY:
        found = ".".join(map(str, capability))
        raise NodeTrouble(
            f"precision bfloat16: the GPU there has compute capability {found}, and no such products below 8.0.\n"
            "Train on newer GPUs, or in float32."
        )


def device_in_use(gpus: float) -> str:
    """Name of what this process trains on: `cpu`, or the GPU's own name. Sets the GPU up.

    Args:
        gpus: of one trial.

    Raises:
        NodeTrouble: A trial that was given a GPU would train on the CPU.
    """
    try:
        found = tf.config.list_logical_devices("GPU")
    except (RuntimeError, tf.errors.OpError) as error:
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise NodeTrouble(f"TensorFlow cannot use the GPU there: {said[:200]}\n{HELP}") from error
    if not found:
        if gpus > 0:
            raise NodeTrouble(f"a trial was given {gpus:g} GPUs, but TensorFlow uses none there.\n{HELP}")
        return "cpu"
    details = tf.config.experimental.get_device_details(tf.config.get_visible_devices("GPU")[0])
    name = str(details.get("device_name", "GPU"))
    return name if len(found) == 1 else f"{len(found)} × {name}"


def memory_cap_mib(share: float, listed: str) -> int | None:
    """Memory of a share of a GPU that TensorFlow may take, in MiB; None if that is unknown.

    Where GPUs are unequal the smallest counts: CUDA does not number them as nvidia-smi does.

    Args:
        listed: the memory of each GPU in MiB, one a line, as nvidia-smi prints it.
    """
    totals = [line.strip() for line in listed.strip().splitlines()]
    if not totals or not all(total.isdecimal() for total in totals):
        return None
    return max(1, int(share * min(map(int, totals))) - CONTEXT_MIB)


def _total_memory() -> str:
    """Output of nvidia-smi; empty if it cannot be run."""
    try:
        return subprocess.run(TOTAL_MEMORY, capture_output=True, text=True, timeout=ASK_S, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        logger.info("nvidia-smi: %s", error)
        return ""


def limit_threads(threads: int, *, shares_operations: bool = True) -> None:
    """Give TensorFlow `threads` cores. Works once per process, before the first operation; later calls must agree.

    Args:
        shares_operations: whether all threads work on one operation together, which its last bits may depend on. Else
            each has its own, and the bits are those of one thread.

    Raises:
        RuntimeError: TensorFlow already runs with another number.
    """
    threading, of_each = tf.config.threading, threads if shares_operations else 1
    found = threading.get_intra_op_parallelism_threads(), threading.get_inter_op_parallelism_threads()
    if found == (of_each, threads):
        return
    threading.set_intra_op_parallelism_threads(of_each)
    threading.set_inter_op_parallelism_threads(threads)
