"""Paths of the store, relative to its root, with "/" between the parts; models have `registry/model_paths.py`.

store.json                                        the version of the store
sweeps/<sweep>/spec.yaml, resolved.json           as submitted; with every default filled in
sweeps/<sweep>/leases/000003.json                 who may write; 000003.ended.json when that driver is done, with the
                                                  driver time until then; both stay when the sweep is removed
sweeps/<sweep>/heartbeat.json                     the holder's counter and progress
sweeps/<sweep>/control/stop-000003.json           somebody asks lease 3 to stop
sweeps/<sweep>/control/commands-<incarnation>/000002.json  somebody asks for a trial, the end of one, other settings
sweeps/<sweep>/control/trials-<incarnation>/000042.json    the command by which somebody enqueued the trial's config
sweeps/<sweep>/control/confirm-<incarnation>.json           of a planned sweep: epochs of its confirm runs; …-1.json
                                                  and on: of the run that goes on
sweeps/<sweep>/control/search-stop-<incarnation>.json      the search has nothing left to gain
sweeps/<sweep>/running/000042/suggestion.json     a trial that was issued; removed after its row is written
sweeps/<sweep>/running/000042/strike-oom-<nonce>.json   it ran out of memory, or of time, once
sweeps/<sweep>/running/000042/000003/checkpoint-000007/
sweeps/<sweep>/epochs/000042.parquet              the learning curve of a finished trial
sweeps/<sweep>/trials/000042.parquet              its row: the commit point
sweeps/<sweep>/compact/trials-000500.parquet      a derived copy of 500 rows, epochs-000500.parquet of their curves
sweeps/<sweep>/artifacts/000042/                  its weights, if it is among the best
sweeps/<sweep>/finalists/000042-s1.parquet        a confirm run: the same config again with a fresh seed; its weights
                                                  and bounds are in artifacts/000042-s1/; 000042-c1: it goes on
sweeps/<sweep>/trials/000042.tombstone.json       its row was damaged and is set aside; the number stays used
sweeps/<sweep>/set-aside/                         damaged files, where they harm nobody
sweeps/<sweep>/borrowed/trials-<sha256>.parquet   of a fork or warm start: others' rows, epochs-… of their curves
sweeps/<sweep>/logs/                              what drivers and workers wrote down for people
images/<digest>/<name>                            images that were sent along with a sweep, by their content
webhooks/<hook>/000012.json                       a hook: what it was told, what waits, the dead letters; old ones go
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from vae_search.errors import NotFound

STORE = "store.json"
SWEEPS = "sweeps"
PROBES = "probes"
IMAGES = "images"
RESOLVED = "resolved.json"

PROBE_NAME = re.compile(r"[0-9a-f]{16}\.json")
BORROWED_NAME = re.compile(r"(?:trials|epochs)(?:-[0-9a-f]{64})?\.parquet")

_SWEEP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OF_TRIALS = {"spec.yaml", "trials", "epochs", "compact", "finalists", "artifacts", "running", "set-aside"}
_TABLE = re.compile(rf"{SWEEPS}/[^/]+/(trials|epochs)/[^/]+\.parquet")
_NUMBERED = re.compile(r"(\d{6,})\.(?:parquet|json)")


@dataclass(frozen=True, slots=True)
class SweepPaths:
    """Paths of one sweep's files, relative to the store's root.

    Raises:
        NotFound: No sweep can have this name: it would lead out of its folder.
    """

    sweep: str

    def __post_init__(self) -> None:
        if not _SWEEP_NAME.fullmatch(self.sweep):
            raise NotFound(
                f"{self.sweep!r} cannot be the name of a sweep: it must start with a letter or digit and go on with "
                "letters, digits, '.', '_' or '-'."
            )

    @property
    def folder(self) -> str:
        """The folder of the sweep."""
        return f"{SWEEPS}/{self.sweep}"

    @property
    def spec(self) -> str:
        """The spec as it was submitted."""
        return f"{self.folder}/spec.yaml"

    @property
    def resolved(self) -> str:
        """The spec with every default, the versions, the fingerprint and the comparability key."""
        return f"{self.folder}/{RESOLVED}"

    @property
    def leases(self) -> str:
        """The folder of a sweep's leases."""
        return f"{self.folder}/leases"

    def lease(self, number: int) -> str:
        """The record by which one driver owns the sweep."""
        return f"{self.leases}/{number:06d}.json"

    def lease_ended(self, number: int) -> str:
        """The mark that the lease's driver left in an orderly way."""
        return f"{self.leases}/{number:06d}.ended.json"

    @property
    def heartbeat(self) -> str:
        """The holder's last sign of life."""
        return f"{self.folder}/heartbeat.json"

    def stop(self, number: int) -> str:
        """The request that the driver of one lease stops."""
        return f"{self.control}/stop-{number:06d}.json"

    @property
    def control(self) -> str:
        """The folder of everything that others ask of whoever drives the sweep."""
        return f"{self.folder}/control"

    def commands(self, incarnation: str | None) -> str:
        """The folder of the commands to one incarnation of the sweep; None: that of older versions, for all."""
        return f"{self.control}/commands" + ("" if incarnation is None else f"-{incarnation}")

    def confirm_length(self, incarnation: str | None, *, stage: int | None = None) -> str:
        """File with the epochs that a plan has decided for the confirm runs, or for a stage of the one that goes on."""
        marks = [str(mark) for mark in ("confirm", incarnation, stage) if mark is not None]
        return f"{self.control}/{'-'.join(marks)}.json"

    def enqueued_trials(self, incarnation: str | None) -> str:
        """The folder of notes on trials whose configs were enqueued."""
        return f"{self.control}/trials" + ("" if incarnation is None else f"-{incarnation}")

    def search_stop(self, incarnation: str | None) -> str:
        """The decision that the search has nothing left to gain."""
        return f"{self.control}/search-stop" + ("" if incarnation is None else f"-{incarnation}") + ".json"

    @property
    def running(self) -> str:
        """The folder of everything that is not finished."""
        return f"{self.folder}/running"

    def run(self, key: str) -> str:
        """The folder of one running trial or confirm run."""
        return f"{self.running}/{key}"

    def suggestion(self, key: str) -> str:
        """File with a run's assignment; durable before it starts."""
        return f"{self.run(key)}/suggestion.json"

    def strike(self, key: str, reason: str, nonce: str) -> str:
        """The note that a run has failed once for `reason`."""
        return f"{self.run(key)}/strike-{reason}-{nonce}.json"

    def checkpoint(self, key: str, lease_number: int, epoch: int) -> str:
        """The folder of the training state after `epoch`, saved under one lease."""
        return f"{self.run(key)}/{lease_number:06d}/checkpoint-{epoch:06d}"

    @property
    def trials(self) -> str:
        """The folder of the rows."""
        return f"{self.folder}/trials"

    def trial(self, number: int) -> str:
        """The row of one finished trial."""
        return f"{self.trials}/{trial_key(number)}.parquet"

    def trial_files(self, numbers: Iterable[int]) -> list[str]:
        """The rows of many finished trials; faster than one by one."""
        folder = self.trials
        return [f"{folder}/{number:06d}.parquet" for number in numbers]

    @property
    def epochs(self) -> str:
        """The folder of the learning curves."""
        return f"{self.folder}/epochs"

    def trial_epochs(self, number: int) -> str:
        """The learning curve of one finished trial."""
        return f"{self.epochs}/{trial_key(number)}.parquet"

    @property
    def compact(self) -> str:
        """The folder of derived copies of rows and curves."""
        return f"{self.folder}/compact"

    def compact_trials(self, size: int) -> str:
        """A copy of the rows of so many trials."""
        return f"{self.compact}/trials-{size:06d}.parquet"

    def compact_epochs(self, size: int) -> str:
        """A copy of the learning curves of the same trials."""
        return f"{self.compact}/epochs-{size:06d}.parquet"

    @property
    def finalists(self) -> str:
        """The folder of the rows of confirm runs."""
        return f"{self.folder}/finalists"

    def finalist(self, number: int, confirm_seed: int) -> str:
        """The row of one confirm run."""
        return f"{self.finalists}/{confirm_key(number, confirm_seed)}.parquet"

    @property
    def artifacts(self) -> str:
        """The folder of the weights of the best trials and of all confirm runs."""
        return f"{self.folder}/artifacts"

    def artifact(self, key: str) -> str:
        """The folder of the weights of a trial or confirm run."""
        return f"{self.artifacts}/{key}"

    def borrowed(self, table: str, sha256: str | None = None) -> str:
        """The copy of another sweep's `trials` or `epochs` that a fork's sampler knows; None: as older forks had it."""
        return f"{self.folder}/borrowed/{table}" + ("" if sha256 is None else f"-{sha256}") + ".parquet"

    def tombstone(self, number: int) -> str:
        """Says that a trial's row was damaged and set aside; its number is never used again."""
        return f"{self.trials}/{trial_key(number)}.tombstone.json"

    def set_aside(self, path: str) -> str:
        """Path that a damaged file of a sweep is moved to."""
        return f"{self.folder}/set-aside/{path.removeprefix(self.folder + '/')}"

    @property
    def logs(self) -> str:
        """The folder of the log files, one per driver and worker; in a bucket they appear when the driver ends."""
        return f"{self.folder}/logs"


def trial_key(trial: int) -> str:
    """A trial's number as it stands in paths; a confirm run's key is this and its seed: `000042-s1`."""
    return f"{trial:06d}"


def running_key_of(path: str) -> str | None:
    """The key of the trial or confirm run whose running folder a file lies in, if it does in one."""
    found = re.match(rf"{SWEEPS}/[^/]+/running/(\d{{6,}}(?:-[sc]\d+)?)/", path)
    return found[1] if found else None


def is_suggestion(path: str) -> bool:
    """True if the file below `running/` is the assignment of a trial or confirm run."""
    return path.endswith("/suggestion.json")


def checkpoint_of(path: str) -> tuple[int, int] | None:
    """Epoch and lease of the checkpoint that a file below `running/` belongs to, if it belongs to one."""
    found = re.search(r"/(\d{6,})/checkpoint-(\d{6,})/", path)
    return (int(found[2]), int(found[1])) if found else None


def confirm_key(number: int, confirm_seed: int) -> str:
    """A confirm run as it stands in paths: `000042-s1`; the one that goes on from it, of seed -1, `000042-c1`."""
    return f"{trial_key(number)}-{'s' if confirm_seed >= 0 else 'c'}{abs(confirm_seed)}"


def finalist_of(path: str) -> str | None:
    """The key of the confirm run whose row a file is, in its place or set aside."""
    found = re.fullmatch(rf"{SWEEPS}/[^/]+/(?:set-aside/)?finalists/(\d{{6,}}-[sc]\d+)\.parquet", path)
    return found[1] if found else None


def manifest(folder: str) -> str:
    """The list of a folder's files with their hashes; written last, so that it makes the folder whole."""
    return f"{folder}/manifest.json"


def artifact_of(path: str) -> str | None:
    """The key of the trial or confirm run that a file below `artifacts/` belongs to, if it is one."""
    found = re.fullmatch(rf"{SWEEPS}/[^/]+/artifacts/(\d{{6,}}(?:-[sc]\d+)?)/.+", path)
    return found[1] if found else None


def tombstones(paths: Iterable[str]) -> list[int]:
    """The trials whose tombstones are among `paths`."""
    return [int(found[1]) for path in paths if (found := re.search(r"/trials/(\d{6,})\.tombstone\.json$", path))]


def probe(nonce: str) -> str:
    """A file that only proves what the store can do."""
    return f"{PROBES}/{nonce}.json"


def is_of_trials(path: str) -> bool:
    """True for a file that holds part of a sweep's trials or its spec; leases, logs and what is not ours do not."""
    found = re.match(rf"{SWEEPS}/[^/]+/([^/]+)", path)
    return found is not None and found[1] in _OF_TRIALS


def is_sweep_name(name: str) -> bool:
    """True if a sweep can have this name."""
    return _SWEEP_NAME.fullmatch(name) is not None


def sweep_of(path: str) -> str:
    """The sweep that a file below `sweeps/` belongs to."""
    return path.split("/")[1]


def table_of(path: str) -> str | None:
    """The table that a file is a piece of, "trials" or "epochs", if it is one of a sweep's."""
    found = _TABLE.fullmatch(path)
    return found[1] if found else None


def number_of(path: str) -> int | None:
    """The number in a numbered file's name (`…/000042.parquet`, `…/000003.json`), if it has one."""
    found = _NUMBERED.fullmatch(path.rpartition("/")[2])
    return int(found[1]) if found else None
