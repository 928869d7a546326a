"""Starting and leaving Ray: a private cluster on this machine, never one that happens to be there."""

import logging
import os
import secrets
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ray

from vae_search.errors import ClusterTrouble

OBJECT_STORE_BYTES = 256 * 1024**2  # beside the images: reports and Tune's own objects are small


@contextmanager
def local_cluster(*, cpus: int, data_bytes: int) -> Iterator[Path]:
    """A Ray of our own on this machine for the length of the block; yields a scratch folder that goes with it.

    Ray listens on all interfaces, so the cluster takes a token that only this process and its children know.

    Args:
        cpus: cores to offer; no more trials run at once than fit into them.
        data_bytes: size of what goes into the object store.

    Raises:
        ClusterTrouble: Ray cannot be started.
    """
    # Short, because Ray puts sockets below it and a socket's path may have 107 bytes only.
    scratch = Path(tempfile.mkdtemp(prefix="vae-"))
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0")
    # With no mode given, `ray.init` turns token authentication on for its own new cluster; a mode set here would come
    # too late for this process, in which Ray read its settings on import.
    for name in ("RAY_AUTH_MODE", "RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        os.environ.pop(name, None)
    try:
        with _own_signal_handlers():
            ray.init(
                address="local",
                num_cpus=cpus,
                _node_ip_address="127.0.0.1",
                object_store_memory=OBJECT_STORE_BYTES + 2 * data_bytes,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                _temp_dir=str(scratch / "ray"),
            )
    except (RuntimeError, ConnectionError, TimeoutError, OSError, ValueError) as error:
        shutil.rmtree(scratch, ignore_errors=True)
        raise ClusterTrouble(f"Ray cannot be started on this machine: {str(error).splitlines()[0]}") from error
    try:
        yield scratch
    finally:
        ray.shutdown()
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _own_signal_handlers() -> Iterator[None]:
    """Keep this process's handlers: `ray.init` puts its own in the place of SIGTERM's, and they exit at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:  # one that was not set by Python cannot be set by it
                signal.signal(number, handler)


def trial_slots(cpus_per_trial: int) -> int:
    """How many trials the connected cluster can hold at once, by its CPUs."""
    return int(ray.cluster_resources().get("CPU", 0)) // cpus_per_trial
