"""GPU and thread limits of TensorFlow, set before its first operation."""

import logging
import subprocess

import tensorflow as tf

logger = logging.getLogger(__name__)

TOTAL_MEMORY = ("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")
ASK_S = 20.0  # a GPU that sleeps takes seconds to answer


def limit_gpus(gpus: float) -> None:
    """Let TensorFlow use what a trial was given, of the GPUs that this process sees.

    Works once per process, before the first operation; later calls must agree. Left alone, TensorFlow takes nearly all
    memory of every GPU that it finds, even for a trial that was given none.

    Args:
        gpus: of one trial: 0 hides all GPUs; of a share below 1, TensorFlow's memory is that share of the GPU's.

    Raises:
        RuntimeError: TensorFlow already runs with other limits.
    """
    if gpus == 0:
        tf.config.set_visible_devices([], "GPU")
        return
    devices = tf.config.list_physical_devices("GPU")
    if not devices:
        logger.warning("gpus_per_trial is %g, but TensorFlow finds no GPU on this node: it trains on the CPU", gpus)
        return
    cap_mib = memory_cap_mib(gpus, _total_memory()) if gpus < 1 else None
    if gpus < 1 and cap_mib is None:
        logger.warning("nvidia-smi does not tell how much memory the GPU has: nothing keeps trials to their share")
    for device in devices:
        if cap_mib is None:
            tf.config.experimental.set_memory_growth(device, True)
        else:
            cap = tf.config.LogicalDeviceConfiguration(memory_limit=cap_mib)
            tf.config.set_logical_device_configuration(device, [cap])


def memory_cap_mib(share: float, listed: str) -> int | None:
    """Memory of a share of a GPU, in MiB; None if that is unknown.

    Where GPUs are unequal the smallest counts: CUDA does not number them as nvidia-smi does.

    Args:
        listed: the memory of each GPU in MiB, one a line, as nvidia-smi prints it.
    """
    totals = [line.strip() for line in listed.strip().splitlines()]
    if not totals or not all(total.isdecimal() for total in totals):
        return None
    return max(1, int(share * min(map(int, totals))))


def _total_memory() -> str:
    """Output of nvidia-smi; empty if it cannot be run."""
    try:
        return subprocess.run(TOTAL_MEMORY, capture_output=True, text=True, timeout=ASK_S, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        logger.info("nvidia-smi: %s", error)
        return ""


def limit_threads(threads: int) -> None:
    """Give TensorFlow `threads` cores. Works once per process, before the first operation; later calls must agree.

    Raises:
        RuntimeError: TensorFlow already runs with another number.
    """
    if tf.config.threading.get_intra_op_parallelism_threads() == threads:
        return
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
