"""Commands to a sweep while it runs: try a config, stop a trial, change a setting. Each is durable once it is numbered.

The driver that is at work carries a command out within seconds. Without a driver it waits in the store, and the next
driver of the sweep carries it out.
"""

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from vae_search.core.text import did_you_mean
from vae_search.errors import Conflict, InvalidSpec, NotFound
from vae_search.services.sweep_status import SweepStatus, status
from vae_search.spec.search_space import point_problems
from vae_search.store.backends.base import Store
from vae_search.store.control.command_log import command, find_config
from vae_search.store.control.commands import CommandAction
from vae_search.store.control.present_spec import (
    LIVE_KEYS,
    begun_trials,
    live_values,
    read_present_spec,
    trials_in_flight,
)
from vae_search.store.leases.heartbeat import read_heartbeat
from vae_search.store.paths import SweepPaths
from vae_search.store.sweeps.sweep_record import read_stored

if TYPE_CHECKING:
    from vae_search.spec.hyperparameters import ParamValue
    from vae_search.spec.sweep_spec import SweepSpec

Settings = Mapping[str, "int | float | str"]
NO_LIMIT = "none"  # of `budget.minutes`


def enqueue_config(
    store: Store,
    sweep: str,
    params: "Mapping[str, ParamValue]",
    *,
    actor: str | None,
    now: Callable[[], datetime],
    idempotency_key: str | None = None,
) -> int:
    """Have a config tried next, beside those of the sampler; the number of the command, once it is durable.

    It takes the next place in the budget, before any trial that the sampler draws or that waits at a rung.

    Args:
        params: values by name; a parameter of the search space that is left out is drawn by the sampler.
        actor: who asks.
        now: time of day, UTC.
        idempotency_key: the sender's own mark; the same config again with it is the same command.

    Raises:
        InvalidSpec: It is no config of the sweep's search space; one line for each mistake.
        NotFound: There is no such sweep.
        Conflict: The budget has no place for it, the sweep has finished, or it was removed meanwhile.
    """
    incarnation = read_stored(store, sweep).incarnation  # before all checks: the command is for the sweep that they see
    found = status(store, sweep)
    config = _checked_config(found.spec, params)
    if idempotency_key is not None:  # before what the command itself may have used up, such as the last place
        earlier = find_config(
            store, sweep, config, incarnation=incarnation, actor=actor, idempotency_key=idempotency_key
        )
        if earlier is not None:
            return earlier
    _refuse_finished(found, "no config can be tried any more")
    trials = found.spec.budget.trials
    if trials <= len(begun_trials(store, sweep)):
        raise Conflict(
            f"sweep {sweep}: all {trials} trials of its budget have begun, so there is no place for another config.\n"
            f"Make one: `vae-search change {sweep} --set budget.trials={trials + 1}`."
        )
    return command(
        store,
        sweep,
        CommandAction.ENQUEUE,
        incarnation=incarnation,
        actor=actor,
        now=now,
        params=config,
        idempotency_key=idempotency_key,
    )


def stop_trial(store: Store, sweep: str, trial: int, *, actor: str | None, now: Callable[[], datetime]) -> int:
    """Let a trial end as it stands: PRUNED, with what it has measured; the number of the command, once it is durable.

    Arguments as for `enqueue_config`.

    Raises:
        NotFound: There is no such sweep or trial, or the trial has not begun.
        Conflict: The trial has ended, or the sweep was removed meanwhile.
    """
    incarnation = read_stored(store, sweep).incarnation
    spec = read_present_spec(store, sweep)
    paths = SweepPaths(sweep)
    if {paths.trial(trial), paths.tombstone(trial)} & {*store.list(paths.trials)}:
        raise Conflict(f"trial {sweep}/{trial}: has ended, so there is nothing to stop.")
    if trial not in trials_in_flight(store, sweep):
        if 0 <= trial < spec.budget.trials:
            raise NotFound(f"trial {sweep}/{trial}: has not begun yet, so there is nothing to stop.")
        raise NotFound(f"trial {sweep}/{trial}: there is none; the sweep's trials are 0 to {spec.budget.trials - 1}.")
    return command(store, sweep, CommandAction.STOP_TRIAL, incarnation=incarnation, actor=actor, now=now, trial=trial)


def change_settings(
    store: Store, sweep: str, settings: Settings, *, actor: str | None, now: Callable[[], datetime]
) -> int:
    """Change settings of a sweep, whether it runs or not; the number of the command, once it is durable.

    They hold for the present driver and for later ones, until somebody changes them again or starts a driver with
    another value of the same key.

    Args:
        settings: values by key of the spec: `budget.trials`, `budget.minutes` (`none` for no limit) and
            `resources.concurrency` (`auto` for as many as there is room for).

    Raises:
        InvalidSpec: A key cannot be changed while a sweep runs, or a value is wrong; one line for each mistake.
        NotFound: There is no such sweep.
        Conflict: The sweep has finished, and what is asked would not extend it; or it was removed meanwhile.
    """
    incarnation = read_stored(store, sweep).incarnation
    found = status(store, sweep)
    new = _changed(found.spec, settings)
    begun = begun_trials(store, sweep)
    least = max(begun, default=-1) + 1
    if new.budget.trials < least and "budget.trials" in settings:
        raise InvalidSpec(
            f"budget.trials: must be at least {least}, since so many trials have begun, but got {new.budget.trials}."
        )
    if found.finished and not _extends(new, found):
        _refuse_finished(found, "this would change nothing")
    values = live_values(new)
    wanted = {key: values[key] for key in settings}
    return command(store, sweep, CommandAction.SET, incarnation=incarnation, actor=actor, now=now, settings=wanted)


def _checked_config(spec: "SweepSpec", params: "Mapping[str, ParamValue]") -> "dict[str, ParamValue]":
    """The config with each value in its parameter's own type.

    Raises:
        InvalidSpec: One line for each mistake.
    """
    from vae_search.spec.hyperparameters import rule_of

    space = spec.search_space
    problems = [
        f"{name}: {sentence}" for name, sentence in point_problems(space, space.with_fixed(params), partial=True)
    ]
    given = {entry.name for entry in space.active(space.with_fixed(params))}
    problems = problems or [
        f"{name}: applies only under a condition that this config leaves open. Give what it depends on as well."
        for name in params
        if name not in given
    ]
    if problems:
        raise InvalidSpec(*problems)
    return {name: rule_of(name).normal(value) for name, value in params.items()}


def _changed(spec: "SweepSpec", settings: Settings) -> "SweepSpec":
    """The spec with new values, all of them checked.

    Raises:
        InvalidSpec: One line for each mistake.
    """
    from vae_search.spec.sweep_spec import overridden

    if not settings:
        raise InvalidSpec(f"nothing to change: give at least one of {', '.join(LIVE_KEYS)}.")
    problems = [_not_live(spec, key) for key in settings if key not in LIVE_KEYS]
    if problems:
        raise InvalidSpec(*problems)
    texts = {key: "null" if value == NO_LIMIT and key == "budget.minutes" else value for key, value in settings.items()}
    try:
        return overridden(spec, [f"{key}={value}" for key, value in texts.items()])
    except InvalidSpec as error:
        raise InvalidSpec(*(problem.removeprefix("--set: ") for problem in error.problems)) from error


def _not_live(spec: "SweepSpec", key: str) -> str:
    if key in dict(_keys(spec.to_json())):
        return (
            f"{key}: cannot change while a sweep runs; {', '.join(LIVE_KEYS)} can. Stop the sweep and continue it with "
            f"`vae-search resume {spec.name} --set {key}=…`, or fork it."
        )
    return f"{key}: no key is called so. {did_you_mean(key, LIVE_KEYS)}"


def _keys(tree: Mapping[str, object], above: str = "") -> list[tuple[str, object]]:
    """All keys of a spec, dotted."""
    found: list[tuple[str, object]] = []
    for name, value in tree.items():
        found.append((f"{above}{name}", value))
        if isinstance(value, dict):
            found += _keys(value, f"{above}{name}.")
    return found


def _extends(new: "SweepSpec", found: SweepStatus) -> bool:
    """True if a finished sweep would have something to do with the new budget."""
    minutes, trials = new.budget.minutes, new.budget.trials
    has_time = minutes is None or 60.0 * minutes > found.driver_s
    longer = (minutes or math.inf) > (found.spec.budget.minutes or math.inf)
    return has_time and trials > found.used and (trials > found.spec.budget.trials or longer)


def _refuse_finished(found: SweepStatus, what: str) -> None:
    """Refuse a command to a sweep that has finished.

    Raises:
        Conflict: It has.
    """
    if not found.finished:
        return
    name, spec = found.spec.name, found.spec
    if found.ended_by_time and found.limits.ended_by is not None:
        raise Conflict(f"sweep {name}: has finished, so {what}. {found.limits.end_words(found)}")
    if found.ended_by_time:
        used, key, more = "minutes are", "budget.minutes", math.ceil((spec.budget.minutes or 0) + found.driver_s / 60)
    else:
        used, key, more = "trials are", "budget.trials", spec.budget.trials + 1
    raise Conflict(
        f"sweep {name}: has finished, its {used} used, so {what}.\n"
        f"Extend it first: `vae-search change {name} --set {key}={more}`, then `vae-search resume {name}`."
    )


def is_driven(store: Store, sweep: str) -> bool:
    """True if a driver is at work on the sweep, as far as can be told from here."""
    heartbeat = read_heartbeat(store, sweep)
    return heartbeat is not None and heartbeat.alive is not False
