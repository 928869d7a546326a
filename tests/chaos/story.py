"""A whole sweep in a few milliseconds: the real driver, lease, checkpoints and commits around made-up measurements.

Run as a program it loads everything once and then tells the story in a forked process per line of standard input, so
that a thousand kills take a minute. TensorFlow is not loaded: a process with its threads could not be forked.
A process may also remove the sweep, collect its garbage or repair it; and it may be stopped at an operation, while
others run from beginning to end.
"""

import gc
import io
import itertools
import json
import logging
import math
import os
import random
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from tests.chaos.faults import Faults, from_then_on, injected, once
from vae_search.core.measurements import Costs, EpochMeasurement, Scores
from vae_search.core.trial_state import Reason
from vae_search.errors import Conflict, CorruptStore, LeaseLost, NotFound, StoreUnavailable
from vae_search.search.coordinator import SweepCoordinator
from vae_search.search.messages import (
    MEASUREMENTS_FILE,
    STATE_FILE,
    Failure,
    TrialAssignment,
    TrialReport,
)
from vae_search.search.running_trial import SweepContext, TrialEnd
from vae_search.search.worker.inline import train_trials
from vae_search.services import maintenance
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.backends.base import Store
from vae_search.store.backends.local import LocalStore
from vae_search.store.backends.retrying import RetryingStore
from vae_search.store.leases import lease as leases
from vae_search.store.leases.lease import Lease, acquire
from vae_search.store.leases.records import DriverProgress, Purpose
from vae_search.store.ledger import checkpoints
from vae_search.store.ledger.artifacts import MODEL_FILE, WEIGHTS_FILE
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import beginning, sweep_record

SWEEP = "story"
TRIALS, EPOCHS = 3, 3
SPEC = f"""
name: {SWEEP}
data: {{source: digits}}
search_space: {{latent_dim: {{type: int, low: LOW, high: 8}}, beta: {{type: float, low: 0.5, high: 2.0}}}}
budget: {{trials: {TRIALS}, epochs: {EPOCHS}}}
confirm: {{finalists: 0}}
sampler: random
pruning: {{min_epochs: 1, reduction_factor: 2}}
keep: 1
""".replace("LOW", "2")
OTHER_SPEC = SPEC.replace("low: 2", "low: 6")  # another sweep of the same name; both could have the same trials
SPECS = (SPEC, OTHER_SPEC)
FAILING = 1  # the trial that raises in its second epoch


def tell(store: Store, *, seed: int, shown: Callable[[int], None], text: str = SPEC) -> None:
    """Run the sweep to its end, from wherever it stands, in the order of `driver_lifecycle.run_sweep`.

    Args:
        seed: other seeds have other measurements, so that other trials are cut and other artifacts fall behind.
        shown: called with each trial that the driver reports as finished.
    """
    spec = parse_spec(text, base=Path())
    proposed = sweep_record.SweepRecord(
        spec=spec,
        fingerprint="f" * 64,
        comparability_key="k" * 64,
        versions={"vae-search": "0"},
        incarnation=secrets.token_hex(16),
    )
    own_s = itertools.count(1.0)  # of driver time, a second for each look at it
    lease = acquire(
        store,
        SWEEP,
        purpose=Purpose.TRAIN,
        begin=lambda: {"spec": spec.to_json()},
        progress=lambda: DriverProgress(driver_s=next(own_s)),
        beat_s=3600,
    )

    def finished(row: TrialRow, end: TrialEnd) -> None:
        shown(row.trial)
        coordinator.finish()

    try:
        begun = beginning.create_or_check(store, proposed, text=text)
        if begun.is_new:
            lease.begin_anew()
        coordinator = SweepCoordinator(
            SweepContext(
                spec=spec,
                lease=lease.number,
                comparability_key=begun.record.comparability_key,
                versions={},
                incarnation=begun.record.incarnation,
            ),
            store=store,
            lease=lease,
            now=lambda: datetime.now(UTC),
            seconds_left=lambda: math.inf,
            slots=lambda: 1,
            on_trial_finished=finished,
        )
        for _ in train_trials(coordinator, MadeUpRunner(store, lease, seed=seed)):
            pass
    finally:
        lease.release()


class MadeUpRunner:
    """A worker that trains nothing: its measurements come from the seed, its checkpoints are real."""

    def __init__(self, store: Store, lease: Lease, *, seed: int) -> None:
        self._store, self._lease, self._seed = store, lease, seed

    def begin(self, order: TrialAssignment) -> None:
        """Take over a trial, from its last checkpoint if there is one."""
        self._order, self._done = order, list[EpochMeasurement]()
        found = checkpoints.newest_intact(self._store, SWEEP, order.key)
        if found is not None:
            self._done = [EpochMeasurement(**m) for m in json.loads(found.files[MEASUREMENTS_FILE])]
        self._restored = found is not None

    def step(self) -> TrialReport:
        """Report what was restored, or make up one epoch."""
        order, done = self._order, self._done
        if self._restored:
            self._restored = False
            return _report(order, done, done)
        if order.trial == FAILING and len(done) == 1:
            return _report(order, done, [], failure=Failure(reason=Reason.RAISED, error="ValueError: made up"))
        done.append(_measurement(self._seed, order.trial, len(done) + 1))
        if order.trial == 0 or len(done) == EPOCHS:  # one trial with checkpoints of every epoch is enough
            files = {STATE_FILE: _state(self._seed, order.trial, len(done)), MEASUREMENTS_FILE: _told(done)}
            if len(done) == EPOCHS:
                files |= {WEIGHTS_FILE: _state(self._seed, order.trial, 0), MODEL_FILE: b"{}"}
            lease = self._lease.number
            checkpoints.save(self._store, SWEEP, order.key, lease=lease, epoch=len(done), files=files)
            checkpoints.prune(self._store, SWEEP, order.key, lease=lease)
        return _report(order, done, done[-1:])


def _measurement(seed: int, trial: int, epoch: int) -> EpochMeasurement:
    value = random.Random(f"{seed}/{trial}").uniform(90, 110) - epoch
    return EpochMeasurement(
        epoch=epoch,
        neg_elbo=value,
        distortion=value - 20,
        rate=20.0,
        train_neg_elbo=value - 1,
        beta=1.0,
        learning_rate=1e-3,
        grad_norm_median=1.0,
        grad_norm_max=2.0,
        clip_share=0.0,
        skipped_steps=0,
        clamped_share=0.0,
        spike_excess=0.0,
        cpu_s=0.5,
        wall_s=0.5,
    )


def _report(
    order: TrialAssignment,
    done: list[EpochMeasurement],
    news: list[EpochMeasurement],
    *,
    failure: Failure | None = None,
) -> TrialReport:
    last = done[-1]
    scores = Scores(
        neg_elbo=last.neg_elbo,
        distortion=last.distortion,
        rate=last.rate,
        bits_per_dim=1.0,
        floor_excess=10.0,
        iwae=-last.neg_elbo + 2,
        iwae_k=16,
        instability=None,
        active_units=2,
        kl_per_dimension=(10.0, 10.0),
        shuffle_gap=5.0,
        train_neg_elbo=last.train_neg_elbo,
        generalisation_gap=1.0,
        logvar_clamp_share=0.0,
        scale_clamp_share=None,
        clip_share=0.0,
        skipped_steps=0,
        best_epoch=last.epoch,
        neg_bound=last.neg_bound,
    )
    costs = Costs(
        parameters=1000,
        train_flops=1e6,
        cpu_s=0.5,
        wall_s=0.5,
        images_per_s=1e3,
        peak_memory_bytes=10**8,
        compiled="graph",
        device="cpu",
    )
    return TrialReport(
        key=order.key,
        epoch=len(done),
        measurements=tuple(news),
        costs=costs,
        scores=scores if len(done) == EPOCHS else None,
        failure=failure,
        node_id="here",
        saved_epoch=len(done),
    )


def _state(seed: int, trial: int, epoch: int) -> bytes:
    return random.Random(f"{seed}/{trial}/{epoch}").randbytes(3000)


def _told(done: list[EpochMeasurement]) -> bytes:
    return json.dumps([asdict(measurement) for measurement in done]).encode()


def _faults(request: dict[str, object]) -> Faults:
    at, code = int(str(request.get("fail_at", 0))), int(str(request.get("errno", 0)))
    lasting = bool(request.get("lasting"))
    return Faults(
        root=Path(str(request["root"])),
        kill_at=int(str(request.get("kill_at", 0))),
        torn=float(str(request.get("torn", 0.0))),
        stop_at=int(str(request.get("stop_at", 0))),
        fail=from_then_on(at) if lasting else once(at, code),
    )


def _child(request: dict[str, object], out: io.FileIO) -> None:
    """Tell the story with its faults; one line of JSON per event on `out`."""

    def say(**event: object) -> None:
        out.write(json.dumps(event).encode() + b"\n")

    if host := str(request.get("host") or ""):
        # Another machine, whose processes cannot be looked up from here; nobody waits half a minute for its silence.
        socket.gethostname = lambda: host
        leases.SILENCE_S = leases.POLL_S = 0.0
    store: Store = LocalStore(Path(str(request["root"])))
    if request.get("patient"):
        store = RetryingStore(store, wait=lambda delay_s: False)
    with injected(_faults(request)) as faults:
        try:
            _do(request, store, shown=lambda trial: say(shown=trial))
        except StoreUnavailable as error:
            say(unavailable=str(error))
        except (Conflict, LeaseLost, NotFound, CorruptStore) as error:
            say(refused=type(error).__name__, words=str(error))
        except Exception:  # noqa: BLE001 - whatever else it is, it is a bug, and the parent wants to know it
            say(bug=traceback.format_exc())
    say(calls=faults.calls)


def _do(request: dict[str, object], store: Store, *, shown: Callable[[int], None]) -> None:
    """What the process is for: to tell the story, or to take care of the sweep."""
    now_s = time.time() + 1e6  # whatever is half-written is abandoned
    match str(request.get("do", "tell")):
        case "tell":
            text = SPECS[int(str(request.get("spec", 0)))]
            tell(store, seed=int(str(request["seed"])), shown=shown, text=text)
        case "rm":
            maintenance.remove(store, SWEEP)
        case "rm by hand":
            shutil.rmtree(Path(store.location) / SweepPaths(SWEEP).folder)
        case "gc":
            maintenance.gc(store, SWEEP if request.get("named") else None, dry_run=False, now_s=now_s)
        case "repair":
            maintenance.verify(store, SWEEP, repair=True)
        case other:
            raise ValueError(other)


def _forked(request: dict[str, object]) -> tuple[int, io.FileIO]:
    """A process for the request, and where its events can be read."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with io.FileIO(writing, "w") as out:
            _child(request, out)
        os._exit(0)
    os.close(writing)
    return child, io.FileIO(reading)


def _ended(child: int, events: io.FileIO) -> dict[str, object]:
    """The events of a process, and how it ended."""
    with events:
        told = [json.loads(event) for event in events.readall().splitlines()]
    _, status = os.waitpid(child, 0)
    return {"events": told, "status": os.waitstatus_to_exitcode(status)}


def _answer(request: dict[str, object]) -> list[dict[str, object]]:
    """Run the request; those of its `meanwhile` from beginning to end while it is stopped."""
    child, events = _forked(request)
    meanwhile: list[dict[str, object]] = []
    if "meanwhile" in request:
        _, status = os.waitpid(child, os.WUNTRACED)  # it stops: the operation is one of those that it does
        if not os.WIFSTOPPED(status):
            raise ValueError(f"the process ended instead of stopping: {request}")
        meanwhile = [_ended(*_forked(other)) for other in request["meanwhile"]]  # type: ignore[attr-defined]
        os.kill(child, signal.SIGCONT)
    return [_ended(child, events), *meanwhile]


def main() -> None:
    """Fork processes for each request on standard input, and answer with their events and how they ended."""
    logging.getLogger("vae_search").addHandler(logging.NullHandler())  # failures are told as events
    with tempfile.TemporaryDirectory() as folder:
        tell(LocalStore(Path(folder)), seed=0, shown=lambda trial: None)  # so that all is loaded before the first fork
    gc.freeze()  # else the first collection of a forked process copies all memory
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
