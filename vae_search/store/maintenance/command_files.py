"""Commands among the files of a sweep: damage to them, and what is left of commands to a removed sweep of its name."""

from collections.abc import Iterator, Sequence

from vae_search.errors import CorruptStore, NotFound
from vae_search.store.backends.base import Store
from vae_search.store.control.command_log import CommandLog
from vae_search.store.maintenance.findings import Finding
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import sweep_record


def command_findings(store: Store, sweep: str, paths: Sequence[str]) -> Iterator[Finding]:
    """Check the commands to a sweep.

    Args:
        paths: of the sweep's files.
    """
    here = SweepPaths(sweep)
    try:
        incarnation = sweep_record.read_stored(store, sweep).incarnation
    except (CorruptStore, NotFound):  # which is a finding of its own
        return
    try:
        CommandLog(store, sweep, incarnation=incarnation).commands()
    except CorruptStore as error:
        yield Finding(path=error.path or here.control, problem=error.problem, damaged=True)
    own, of_any = ((here.commands(mark), here.enqueued_trials(mark)) for mark in (incarnation, None))
    folders = {path.rpartition("/")[0] for path in paths if path.startswith(tuple(f"{each}-" for each in of_any))}
    for folder in sorted(folders.difference(own)):
        yield Finding(path=folder, problem="commands to an earlier sweep of this name", damaged=False)
