"""Use cases of a sweep: run, resume, estimate, stop.

Ray, Optuna and TensorFlow are imported inside the functions that need them: a stop must not load them.
"""

import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vae_search.errors import InvalidSpec, NotFound
from vae_search.services.checks.sweep_checks import (
    check_capacity,
    check_images,
    check_limits,
    check_machines,
    checked_code,
)
from vae_search.services.models.sweep_outcome import SweepOutcome, outcome_of, time_is_used
from vae_search.services.sweep_status import SweepStatus, status
from vae_search.services.warm_start import beginning as warm_start
from vae_search.spec.networks.submitted import check_own
from vae_search.spec.own_code.own_code import CodeIdentity
from vae_search.store.backends.base import Store, prove_exclusive
from vae_search.store.backends.json_records import to_json_bytes
from vae_search.store.control.present_spec import begun_with, last_begun
from vae_search.store.leases.heartbeat import read_heartbeat, request_stop
from vae_search.store.leases.lease import acquire
from vae_search.store.leases.records import Purpose
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps import beginning, sweep_record
from vae_search.store.sweeps.sweep_record import SweepRecord, read_stored
from vae_search.version import VERSION

if TYPE_CHECKING:
    from vae_search.data.dataset import Dataset
    from vae_search.search.progress import Observer
    from vae_search.services.cost_estimate import Estimate
    from vae_search.spec.sweep_spec import SweepSpec

LEAST_LIKELY_SPREAD = 0.5  # least gains; what is below was written when the limit was a share
RECORDED_VERSIONS = ("ray", "tensorflow", "keras", "optuna", "numpy")


def run(
    spec: "SweepSpec",
    *,
    text: str,
    store: Store,
    cache: Path,
    observer: "Observer",
    address: str | None = None,
    inline: bool = False,
    refresh: bool = False,
    wait_s: float | None = None,
) -> SweepOutcome:
    """Run a sweep to the end of its budget, then let its finalists ask for promotion if the spec names a model.

    An interrupted sweep goes on where its ledger stands.

    Args:
        text: the spec as written, kept beside the resolved one.
        cache: folder for downloaded data sets.
        address: of the cluster to train on, from one of its machines: `host:port` or `auto`; None: this machine alone.
        inline: train in this process, without Ray, one trial at a time.
        refresh: fetch images from a web server or bucket anew, whatever is in the cache.
        wait_s: for a node of the cluster that holds a trial; None: only where an autoscaler brings nodes.

    Raises:
        InvalidSpec: `inline` with an address, or `wait_s` without one.
        VaeSearchError: See `errors.py`; whatever happens, the sweep stays resumable.
    """
    check_machines(address=address, inline=inline, wait_s=wait_s)
    check_limits(spec)
    _warn_of_former_limit(spec, observer)
    existing = sweep_record.find(store, spec.name)
    spec = spec.with_bound(existing.spec if existing else None)
    if existing is not None and (finished := _finished(store, existing, spec)) is not None:
        if finished.ended_by_time:
            observer.on_warning(f"sweep {spec.name}: {time_is_used(finished)}")
        return outcome_of(store, finished, cache=cache, observer=observer, address=address)
    code = checked_code(spec, existing)
    # Only now: a wrong name or spec, or a finished sweep, must not wait for Ray's import.
    from vae_search.data.random_access.kept_folders import drop_damaged
    from vae_search.data.tasks import JudgeTask, TrainingTask
    from vae_search.search.driver_lifecycle import SweepStart
    from vae_search.search.planning.plan_record import is_planned
    from vae_search.services.datasets import open_dataset
    from vae_search.services.models.node_images import NodeImages
    from vae_search.services.planning.settling import settle

    check_capacity(spec, address=address, wait_s=wait_s)  # refuse what can never run before anything slow
    observer.on_phase(f"reading {spec.data.source}")
    dataset = open_dataset(store, spec.data, cache=cache, refresh=refresh)
    if drop_damaged(dataset.folders):
        observer.on_warning(f"{spec.data.source}: its decoded images in the cache were damaged; they are made anew.")
        dataset = open_dataset(store, spec.data, cache=cache)
    observer.on_images(dataset.summary)
    check_images(spec, dataset, is_new=existing is None)
    prove_exclusive(store)
    task, judge_task = TrainingTask.of(dataset), JudgeTask.of(dataset)
    images = None if inline else NodeImages.of(dataset, spec.data, store, cache=cache)
    on_node, plan = None if images is None else images.tasks, None
    if is_planned(spec) and existing is None:
        spec, plan = settle(
            spec,
            task=task,
            judge_task=judge_task,
            observer=observer,
            address=address,
            inline=inline,
            on_node=on_node,
            wait_s=wait_s,
        )
    record = _record_of(spec, dataset, code, plan=None if plan is None else plan.to_json())
    lines, borrow = warm_start.begin(store, record, existing)
    observer.on_warm_start(lines)
    start = SweepStart(record=record, text=text, must_exist=existing is not None, borrow=borrow)
    if inline:
        from vae_search.search.worker.inline import search as search_inline

        search_inline(start, task=task, judge_task=judge_task, store=store, observer=observer)
    else:
        from vae_search.runtime.sweep_runner import search

        search(
            start,
            task=task,
            judge_task=judge_task,
            store=store,
            observer=observer,
            address=address,
            wait_s=wait_s,
            on_node=on_node,
        )
    return outcome_of(store, status(store, spec.name), cache=cache, observer=observer, address=address)


def _warn_of_former_limit(spec: "SweepSpec", observer: "Observer") -> None:
    """Warn of a limit that is so small that it was written when it was a share."""
    if spec.promote is not None and spec.promote.limits.get("seed_spread", LEAST_LIKELY_SPREAD) < LEAST_LIKELY_SPREAD:
        limit = spec.promote.limits["seed_spread"]
        observer.on_warning(f"promote.limits.seed_spread: {limit:g} counts least gains now, no share of the span.")


def _finished(store: Store, existing: SweepRecord, spec: "SweepSpec") -> SweepStatus | None:
    """The status of a stored sweep that has finished with this spec; None if there is more to do.

    Raises:
        Conflict: It began with other settings, or is to go on and was measured by another version of the metric.
    """
    from vae_search.data.comparability import METRIC_VERSION

    found = status(store, spec.name, spec=begun_with(store, read_stored(store, spec.name), spec).spec)
    if not found.finished:
        beginning.check_metric(existing, METRIC_VERSION)
    beginning.check_same(existing, spec)
    if not found.finished:
        return None
    if found.heartbeat is not None and found.heartbeat.alive is False:
        # Its last driver died after the last row: the end is noted now, for those who are told of ends.
        acquire(store, spec.name, purpose=Purpose.TRAIN).release()
    return found


def _record_of(
    spec: "SweepSpec", dataset: "Dataset", code: Mapping[str, CodeIdentity], *, plan: Mapping[str, object] | None
) -> SweepRecord:
    """The record of a sweep that begins now."""
    from vae_search.data.comparability import METRIC_VERSION, comparability_key, keys_judged_alike, pixels_key

    return SweepRecord(
        spec=spec,
        fingerprint=dataset.fingerprint,
        comparability_key=comparability_key(dataset, likelihood=spec.likelihood),
        versions=versions() | {each.package: each.shown_version for each in code.values()},
        pixels_key=pixels_key(dataset),
        incarnation=secrets.token_hex(16),
        images=dataset.summary,
        metric_version=METRIC_VERSION,
        keys_judged_alike=keys_judged_alike(dataset, likelihood=spec.likelihood),
        code=code,
        plan=plan,
    )


def resume(
    store: Store,
    sweep: str,
    *,
    overrides: Sequence[str],
    cache: Path,
    observer: "Callable[[SweepSpec], Observer]",
    address: str | None = None,
    inline: bool = False,
    refresh: bool = False,
    wait_s: float | None = None,
) -> SweepOutcome:
    """Continue a sweep with what the store knows of it; on another machine as well.

    Args:
        overrides: `key.key=value`, of keys that a sweep may change on its way, such as budget.trials.
        observer: makes the observer from the spec that is run.
        address, inline, refresh, wait_s: see `run`.

    Raises:
        NotFound: There is no such sweep.
        InvalidSpec: An override is wrong.
        VaeSearchError: What `run` raises.
    """
    from vae_search.spec.sweep_spec import overridden

    # As it was asked for: what was set while it ran is laid over it anew.
    spec = overridden(last_begun(store, read_stored(store, sweep)).asked, overrides)
    if spec.name != sweep:
        raise InvalidSpec(f"--set name={spec.name}: a sweep keeps its name. Run its spec under another name instead.")
    return run(
        spec,
        text=_text_of(store, spec),
        store=store,
        cache=cache,
        observer=observer(spec),
        address=address,
        inline=inline,
        refresh=refresh,
        wait_s=wait_s,
    )


def _text_of(store: Store, spec: "SweepSpec") -> str:
    """The spec of a sweep as it was written; with every default if its first driver died before it kept the text."""
    try:
        return store.read(SweepPaths(spec.name).spec).decode()
    except NotFound:
        return to_json_bytes(spec.to_json()).decode()  # JSON is YAML


def estimate(spec: "SweepSpec", *, store: Store, cache: Path, refresh: bool = False) -> "Estimate":
    """Estimate what a sweep would try and cost, without training anything.

    Args:
        store: may hold the images.
        refresh: see `run`.

    Raises:
        InvalidSpec: The spec asks for what can never run.
        BadData: The images cannot be used.
    """
    check_limits(spec)
    check_own(spec.search_space)
    from vae_search.data.tasks import TrainingTask
    from vae_search.services.datasets import open_dataset

    check_capacity(spec, address=None, wait_s=None)  # refuse what can never run before anything slow
    dataset = open_dataset(store, spec.data, cache=cache, refresh=refresh)
    existing, task, plan = sweep_record.find(store, spec.name), TrainingTask.of(dataset), None
    check_images(spec, dataset, is_new=existing is None)
    from vae_search.search.planning.plan_record import is_planned
    from vae_search.services.cost_estimate import estimate as estimate_costs

    if is_planned(spec):
        from vae_search.services.planning.forecast import forecast, forecast_of

        spec, plan = forecast(spec, task, dataset.summary.parts) if existing is None else forecast_of(spec, existing)
    lines: tuple[str, ...] = ()
    if spec.warm_start is not None:
        settled = spec.with_bound(existing.spec if existing else None)
        lines, _ = warm_start.begin(
            store, _record_of(settled, dataset, checked_code(spec, existing), plan=None), existing
        )
    return replace(estimate_costs(spec, task, dataset.summary, warm_start=lines), plan=plan)


def stop(store: Store, sweep: str) -> None:
    """Ask the driver of a running sweep to stop; its workers save their epochs, and it can be resumed.

    Raises:
        NotFound: There is no such sweep, or nobody runs it.
    """
    sweep_record.read(store, sweep)
    heartbeat = read_heartbeat(store, sweep)
    if heartbeat is None or heartbeat.alive is False:
        raise NotFound(f"sweep {sweep}: nobody runs it, so there is nothing to stop.")
    request_stop(store, sweep)


def versions() -> dict[str, str]:
    """The versions of everything that a result depends on."""
    from importlib import metadata  # by far the heaviest of the standard library in here

    found = {name: metadata.version(name) for name in RECORDED_VERSIONS}
    return {"vae-search": VERSION} | found | {"python": ".".join(map(str, sys.version_info[:3]))}
