"""A worker's log file: in the store's folder, or copied there from time to time where the store is a bucket."""

import logging
import tempfile
from pathlib import Path

from vae_search.errors import StoreUnavailable
from vae_search.search.orders import WorkerBrief
from vae_search.store import layout
from vae_search.store.commit import Store

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

logger = logging.getLogger(__name__)


class WorkerLog:
    """Sends this process's log to a file of its own; a log that cannot be written must not stop a trial."""

    def __init__(self, brief: WorkerBrief, store: Store, *, name: str) -> None:
        self._store = store
        self._copy_to = None if brief.log_folder is not None else f"{layout.logs(brief.spec.name)}/{name}"
        try:
            self._file = Path(brief.log_folder or tempfile.mkdtemp(prefix="vae-log-")) / name
            self._file.parent.mkdir(parents=True, exist_ok=True)
            handler = logging.FileHandler(self._file)
        except OSError as error:
            logger.warning("no log file: %s", error)
            self._copy_to = None
            return
        handler.setFormatter(logging.Formatter(LOG_FORMAT))
        logging.getLogger().addHandler(handler)
        logging.getLogger("vae_search").setLevel(logging.INFO)

    def copy(self) -> None:
        """Bring the store's copy up to date; nothing to do where the file itself is in the store."""
        if self._copy_to is None:
            return
        try:
            self._store.replace(self._copy_to, self._file.read_bytes())
        except (OSError, StoreUnavailable) as trouble:
            logger.warning("the log %s was not copied: %s", self._file, trouble)
