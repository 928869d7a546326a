"""The paths of the store, relative to its root, with "/" between the parts; those of models are in model_layout.py.

store.json                                        the version of the store
sweeps/<sweep>/spec.yaml, resolved.json           as submitted; with every default filled in
sweeps/<sweep>/leases/000003.json                 who may write; 000003.ended.json when that driver is done
sweeps/<sweep>/heartbeat.json                     the holder's counter and progress
sweeps/<sweep>/control/stop-000003.json           somebody asks lease 3 to stop
sweeps/<sweep>/running/000042/suggestion.json     a trial that was issued; removed after its row is written
sweeps/<sweep>/running/000042/strike-oom-<nonce>.json   it ran out of memory, or of time, once
sweeps/<sweep>/running/000042/000003/checkpoint-000007/
sweeps/<sweep>/epochs/000042.parquet              the learning curve of a finished trial
sweeps/<sweep>/trials/000042.parquet              its row: the commit point
sweeps/<sweep>/compact/trials-000500.parquet      a derived copy of rows 0 … 499, epochs-000500.parquet of their curves
sweeps/<sweep>/artifacts/000042/                  its weights, if it is among the best
sweeps/<sweep>/finalists/000042-s1.parquet        a confirm run: the same config again with a fresh seed; its weights
                                                  and bounds are in artifacts/000042-s1/
sweeps/<sweep>/trials/000042.tombstone.json       its row was damaged and is set aside; the number stays used
sweeps/<sweep>/set-aside/                         damaged files, where they harm nobody
sweeps/<sweep>/logs/                              what drivers and workers wrote down for people
images/<digest>/<name>                            images that were sent along with a sweep, by their content
"""

import re
from collections.abc import Iterable

from vae_search.errors import NotFound

STORE = "store.json"
SWEEPS = "sweeps"
PROBES = "probes"
IMAGES = "images"

PARTIAL_NAME = re.compile(r"\..+\.[0-9a-f]{16}\.tmp")
PROBE_NAME = re.compile(r"[0-9a-f]{16}\.json")

_SWEEP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TABLE = re.compile(rf"{SWEEPS}/[^/]+/(trials|epochs)/[^/]+\.parquet")
_NUMBERED = re.compile(r"(\d{6,})\.(?:parquet|json)")


def checked(path: str) -> str:
    """`path`, if it can be one of a store.

    Raises:
        ValueError: It would lead out of the store, or to something hidden.
    """
    if "//" in f"/{path}" or "/." in f"/{path}":
        raise ValueError(f"{path}: must be a relative path without parts that are empty or start with '.'")
    return path


def visible(paths: Iterable[str]) -> list[str]:
    """Those of `paths` that are a store's, sorted; a hidden one is a writer's leftover or somebody else's."""
    return sorted(path for path in paths if "/." not in f"/{path}")


def sweep(sweep: str) -> str:
    """The folder of a sweep.

    Raises:
        NotFound: No sweep can have this name: it would lead out of its folder.
    """
    if not _SWEEP_NAME.fullmatch(sweep):
        raise NotFound(
            f"{sweep!r} cannot be the name of a sweep: it must start with a letter or digit and go on with "
            "letters, digits, '.', '_' or '-'."
        )
    return f"{SWEEPS}/{sweep}"


def spec(sweep_name: str) -> str:
    """The spec as it was submitted."""
    return f"{sweep(sweep_name)}/spec.yaml"


def resolved(sweep_name: str) -> str:
    """The spec with every default, the versions, the fingerprint and the comparability key."""
    return f"{sweep(sweep_name)}/resolved.json"


def leases(sweep_name: str) -> str:
    """The folder of a sweep's leases."""
    return f"{sweep(sweep_name)}/leases"


def lease(sweep_name: str, number: int) -> str:
    """The record by which one driver owns the sweep."""
    return f"{leases(sweep_name)}/{number:06d}.json"


def lease_ended(sweep_name: str, number: int) -> str:
    """The mark that the lease's driver left in an orderly way."""
    return f"{leases(sweep_name)}/{number:06d}.ended.json"


def heartbeat(sweep_name: str) -> str:
    """The holder's last sign of life."""
    return f"{sweep(sweep_name)}/heartbeat.json"


def stop(sweep_name: str, number: int) -> str:
    """The request that the driver of one lease stops."""
    return f"{sweep(sweep_name)}/control/stop-{number:06d}.json"


def trial_key(trial: int) -> str:
    """A trial's number as it stands in paths; a confirm run's key is this and its seed: `000042-s1`."""
    return f"{trial:06d}"


def running(sweep_name: str) -> str:
    """The folder of everything that is not finished."""
    return f"{sweep(sweep_name)}/running"


def running_run(sweep_name: str, key: str) -> str:
    """The folder of one running trial or confirm run."""
    return f"{running(sweep_name)}/{key}"


def running_key_of(path: str) -> str | None:
    """The key of the trial or confirm run whose running folder a file lies in, if it does in one."""
    found = re.match(rf"{SWEEPS}/[^/]+/running/(\d{{6,}}(?:-s\d+)?)/", path)
    return found[1] if found else None


def suggestion(sweep_name: str, key: str) -> str:
    """File with a run's assignment; durable before it starts."""
    return f"{running_run(sweep_name, key)}/suggestion.json"


def strike(sweep_name: str, key: str, reason: str, nonce: str) -> str:
    """The note that a run has failed once for `reason`."""
    return f"{running_run(sweep_name, key)}/strike-{reason}-{nonce}.json"


def strike_of(path: str) -> str | None:
    """The reason of the strike that a file below `running/` is, if it is one."""
    found = re.search(r"/strike-([a-z]+)-[0-9a-f]+\.json$", path)
    return found[1] if found else None


def checkpoint(sweep_name: str, key: str, lease_number: int, epoch: int) -> str:
    """The folder of the training state after `epoch`, saved under one lease."""
    return f"{running_run(sweep_name, key)}/{lease_number:06d}/checkpoint-{epoch:06d}"


def checkpoint_of(path: str) -> tuple[int, int] | None:
    """Epoch and lease of the checkpoint that a file below `running/` belongs to, if it belongs to one."""
    found = re.search(r"/(\d{6,})/checkpoint-(\d{6,})/", path)
    return (int(found[2]), int(found[1])) if found else None


def trials(sweep_name: str) -> str:
    """The folder of the rows."""
    return f"{sweep(sweep_name)}/trials"


def trial(sweep_name: str, number: int) -> str:
    """The row of one finished trial."""
    return f"{trials(sweep_name)}/{trial_key(number)}.parquet"


def trial_files(sweep_name: str, numbers: Iterable[int]) -> list[str]:
    """The rows of many finished trials; faster than one by one."""
    folder = trials(sweep_name)
    return [f"{folder}/{number:06d}.parquet" for number in numbers]


def epochs(sweep_name: str) -> str:
    """The folder of the learning curves."""
    return f"{sweep(sweep_name)}/epochs"


def trial_epochs(sweep_name: str, number: int) -> str:
    """The learning curve of one finished trial."""
    return f"{epochs(sweep_name)}/{trial_key(number)}.parquet"


def compact(sweep_name: str) -> str:
    """The folder of derived copies of rows and curves."""
    return f"{sweep(sweep_name)}/compact"


def compact_trials(sweep_name: str, length: int) -> str:
    """A copy of the rows of trials 0 … length - 1."""
    return f"{compact(sweep_name)}/trials-{length:06d}.parquet"


def compact_epochs(sweep_name: str, length: int) -> str:
    """A copy of the learning curves of the same trials."""
    return f"{compact(sweep_name)}/epochs-{length:06d}.parquet"


def compact_lengths(paths: Iterable[str]) -> list[int]:
    """The lengths of the copies of rows among `paths`, the longest first."""
    found = (re.search(r"/compact/trials-(\d{6,})\.parquet$", path) for path in paths)
    return sorted((int(match[1]) for match in found if match), reverse=True)


def confirm_key(number: int, confirm_seed: int) -> str:
    """A confirm run as it stands in paths: `000042-s1`."""
    return f"{trial_key(number)}-s{confirm_seed}"


def finalists(sweep_name: str) -> str:
    """The folder of the rows of confirm runs."""
    return f"{sweep(sweep_name)}/finalists"


def finalist(sweep_name: str, number: int, confirm_seed: int) -> str:
    """The row of one confirm run."""
    return f"{finalists(sweep_name)}/{confirm_key(number, confirm_seed)}.parquet"


def finalist_of(path: str) -> str | None:
    """The key of the confirm run whose row a file is, in its place or set aside."""
    found = re.fullmatch(rf"{SWEEPS}/[^/]+/(?:set-aside/)?finalists/(\d{{6,}}-s\d+)\.parquet", path)
    return found[1] if found else None


def artifacts(sweep_name: str) -> str:
    """The folder of the weights of the best trials and of all confirm runs."""
    return f"{sweep(sweep_name)}/artifacts"


def artifact(sweep_name: str, key: str) -> str:
    """The folder of the weights of a trial or confirm run."""
    return f"{artifacts(sweep_name)}/{key}"


def manifest(folder: str) -> str:
    """The list of a folder's files with their hashes; written last, so that it makes the folder whole."""
    return f"{folder}/manifest.json"


def artifact_of(path: str) -> str | None:
    """The key of the trial or confirm run that a file below `artifacts/` belongs to, if it is one."""
    found = re.fullmatch(rf"{SWEEPS}/[^/]+/artifacts/(\d{{6,}}(?:-s\d+)?)/.+", path)
    return found[1] if found else None


def tombstone(sweep_name: str, number: int) -> str:
    """Says that a trial's row was damaged and set aside; its number is never used again."""
    return f"{trials(sweep_name)}/{trial_key(number)}.tombstone.json"


def tombstones(paths: Iterable[str]) -> list[int]:
    """The trials whose tombstones are among `paths`."""
    return [int(found[1]) for path in paths if (found := re.search(r"/trials/(\d{6,})\.tombstone\.json$", path))]


def set_aside(sweep_name: str, path: str) -> str:
    """Path that a damaged file of a sweep is moved to."""
    return f"{sweep(sweep_name)}/set-aside/{path.removeprefix(sweep(sweep_name) + '/')}"


def logs(sweep_name: str) -> str:
    """The folder of the log files, one per driver and worker; in a bucket they appear when the driver ends."""
    return f"{sweep(sweep_name)}/logs"


def probe(nonce: str) -> str:
    """A file that only proves what the store can do."""
    return f"{PROBES}/{nonce}.json"


def partial(name: str, nonce: str) -> str:
    """The hidden name, beside its target, of a file that is just being written."""
    return f".{name}.{nonce}.tmp"


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


def trial_of(path: str) -> int:
    """The trial that a row or a learning curve belongs to.

    Raises:
        ValueError: The file is not named after a trial.
    """
    number = number_of(path)
    if number is None:
        raise ValueError(f"{path}: must be named after a trial, like 000042.parquet")
    return number
