"""Process-wide state that Ray wants changed: environment, working folder, logging, signal handlers, patched classes.

Whatever a driver or a worker changes of its whole process is changed here. A driver's process gets everything back, so
that a notebook can run a local sweep and then use a cluster of its own. A worker's process belongs to Ray and ends.
"""

import logging
import os
import secrets
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import ray._private.utils
import ray._raylet
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]  # compiled

AUTH_TOKEN, AUTH_TOKEN_PATH, AUTH_MODE = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"
ADDRESSES = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")  # Ray's clients prefer them to the address that they are given

# Read by Tune when a run starts; our rows replace its loggers, its snapshots and its signal handler.
TUNE_ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": str(10**9),
    "TUNE_MAX_PENDING_TRIALS_PG": "1024",  # `suggest` has the limit; with a low one here workers start one by one
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_RESULT_BUFFER_LENGTH": "1",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}


@contextmanager
def driver_process() -> Iterator[None]:
    """This process is a sweep's driver for the length of the block, and afterwards what it was before."""
    with ray_environment(), _logging_restored(), own_signal_handlers():
        yield


@contextmanager
def ray_environment() -> Iterator[None]:
    """Variables may change inside the block; afterwards they are as before, and Ray has read them anew."""
    before = dict(os.environ)
    try:
        yield
    finally:
        if dict(os.environ) != before:
            for name in set(os.environ) - set(before):
                del os.environ[name]
            os.environ.update(before)
            reread_environment()


def reread_environment() -> None:
    """Let Ray's compiled part, which read its settings and the token when they were first asked for, do so again."""
    AuthenticationTokenLoader.instance().reset_cache()
    Config.initialize("")


def set_for_private_cluster() -> None:
    """Settings of a Ray of our own on this machine, which nobody else may enter."""
    os.environ.setdefault(AUTH_TOKEN, secrets.token_hex(32))
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0")
    # With no mode given, `ray.init` turns token authentication on for its own new cluster; a mode set here would come
    # too late for this process, in which Ray read its settings on import.
    for name in (AUTH_MODE, *ADDRESSES):
        os.environ.pop(name, None)


def set_for_joining(*, has_token: bool) -> None:
    """Settings for a cluster that runs already: its authentication is on exactly where there is a token."""
    os.environ[AUTH_MODE] = "token" if has_token else "disabled"
    reread_environment()  # Ray read its settings when it was imported


def set_for_tune() -> None:
    """Settings of a Tune run; Tune reads them when the run starts."""
    os.environ.update(TUNE_ENVIRONMENT)


def set_for_worker() -> None:
    """Settings of a process that Ray has started for a worker. Nothing is restored: it ends with the worker."""
    os.chdir(tempfile.gettempdir())  # a job's folder may be unpacked anew while we run, and is then another one
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def set_for_job() -> None:
    """Settings of a process that Ray has started for a job's driver. Nothing is restored: it ends with the job."""
    os.chdir("/")  # Ray unpacks the job's folder anew when it makes the workers' environment, and this one is gone


@contextmanager
def without_addresses() -> Iterator[None]:
    """Inside the block no variable names a cluster, so that Ray's client goes where it is told."""
    before = {name: os.environ.pop(name) for name in ADDRESSES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(before)


@contextmanager
def own_signal_handlers() -> Iterator[None]:
    """This process keeps its signal handlers: `ray.init` sets two of its own for SIGTERM, and both exit at once.

    One is Python's and is not set at all. The other is native; ours is put back as soon as it has been set.
    """
    set_handler, core_worker = ray._private.utils.set_sigterm_handler, ray._raylet.CoreWorker
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def put_back() -> None:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                if handler is not None:  # one that was not set by Python cannot be set by it
                    signal.signal(number, handler)

    def core_worker_of(*arguments: object) -> object:
        made = core_worker(*arguments)
        put_back()
        return made

    ray._private.utils.set_sigterm_handler, ray._raylet.CoreWorker = _not_set, core_worker_of
    try:
        yield
    finally:
        ray._private.utils.set_sigterm_handler, ray._raylet.CoreWorker = set_handler, core_worker
        put_back()


def _not_set(handler: object) -> None:
    return None


@contextmanager
def import_hidden(module: str) -> Iterator[None]:
    """Imports inside the block find `module` not installed; without effect if it is loaded already."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # this is how Python spells it
    try:
        yield
    finally:
        del sys.modules[module]


@contextmanager
def _logging_restored() -> Iterator[None]:
    """Levels and handlers of the root logger, of Ray's loggers and of ours are afterwards as before."""
    before = [
        (logger, logger.level, logger.propagate, list(logger.handlers))
        for logger in [logging.getLogger(), logging.getLogger("ray"), *_loggers_of("ray", "vae_search")]
    ]
    try:
        yield
    finally:
        for logger, level, propagate, handlers in before:
            logger.setLevel(level)
            logger.propagate = propagate
            logger.handlers[:] = handlers


def _loggers_of(*packages: str) -> list[logging.Logger]:
    return [
        logger
        for name, logger in list(logging.Logger.manager.loggerDict.items())
        if isinstance(logger, logging.Logger) and name.partition(".")[0] in packages
    ]
