"""A worker's log: a file in the store's folder, or kept here and copied to the store where that is a bucket."""

import io
import logging
from pathlib import Path

from vae_search.errors import StoreUnavailable
from vae_search.search.driver_lifecycle import LOG_FORMAT, LogFileHandler
from vae_search.search.messages import WorkerConfig
from vae_search.store.backends.base import Store
from vae_search.store.paths import SweepPaths

logger = logging.getLogger(__name__)


class WorkerLog:
    """Writes down this process's log; that it cannot be written must not stop a trial."""

    def __init__(self, config: WorkerConfig, store: Store, *, name: str) -> None:
        self._store = store
        self._path = f"{SweepPaths(config.spec.name).logs}/{name}"
        # In memory and not in a file: a worker may be killed, and nobody would remove it. A process writes a few lines
        # a trial, and retires.
        self._lines = io.StringIO() if config.log_folder is None else None
        try:
            folder = config.log_folder
            handler = logging.StreamHandler(self._lines) if folder is None else _file(folder, name)
        except OSError as error:
            logger.warning("no log file: %s", error)
            return
        handler.setFormatter(logging.Formatter(LOG_FORMAT))
        logging.getLogger().addHandler(handler)
        logging.getLogger("vae_search").setLevel(logging.INFO)

    def copy(self) -> None:
        """Bring the store's copy up to date; nothing to do where the log is a file of the store."""
        if self._lines is None:
            return
        try:
            self._store.replace(self._path, self._lines.getvalue().encode())
        except StoreUnavailable as trouble:
            logger.warning("the log %s was not copied: %s", self._path, trouble)


def _file(folder: str, name: str) -> logging.Handler:
    Path(folder).mkdir(parents=True, exist_ok=True)
    return LogFileHandler(Path(folder) / name)
