"""Log files of a sweep's drivers and workers, for people."""

import re
from collections.abc import Iterator

from vae_search.errors import NotFound
from vae_search.store import paths as store_paths
from vae_search.store.backends.base import Store
from vae_search.store.paths import SweepPaths

_STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


def log_lines(store: Store, sweep: str, *, trial: int | None) -> Iterator[str]:
    """The lines of all log files of a sweep, each file under a line with its name.

    Args:
        trial: only entries that name this trial or one of its confirm runs, with the lines that belong to them.

    Raises:
        NotFound: There is no such sweep, or it has no logs yet, or none that name the trial.
    """
    paths = store.list(SweepPaths(sweep).logs)
    if not paths:
        raise NotFound(f"sweep {sweep}: no logs in {store.location}. `vae-search status` lists the sweeps.")
    wanted = None if trial is None else re.compile(rf"\b(?:run|trial) {store_paths.trial_key(trial)}(?:-s\d+)?\b")
    found = False
    for path, content in zip(paths, store.read_many(paths), strict=True):
        lines = list(_chosen((content or b"").decode(errors="replace").splitlines(), wanted))
        if lines:
            yield f"── {path.rpartition('/')[2]}"
            yield from lines
            found = True
    if not found and trial is not None:
        raise NotFound(f"sweep {sweep}: no log in {store.location} names trial {trial}.")


def _chosen(lines: list[str], wanted: re.Pattern[str] | None) -> Iterator[str]:
    inside = wanted is None
    for line in lines:
        if wanted is not None and _STAMP.match(line):
            inside = wanted.search(line) is not None
        if inside:
            yield line
