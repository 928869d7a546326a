"""Upkeep of a store: sizes of sweeps, findings of `verify`, removals of `gc`, and webhooks that did not arrive."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console

from vae_search.core.dataset_summary import DatasetSummary
from vae_search.display.console import say, show_json, show_status_table
from vae_search.display.tables import cell, show_table
from vae_search.services.limits.words import limit_lines
from vae_search.services.payloads import Facts, cleaning_facts, printed_status
from vae_search.services.warm_start.words import warm_lines

if TYPE_CHECKING:
    from vae_search.registry.model_integrity import ModelInspection
    from vae_search.services.control.forking import Fork
    from vae_search.services.maintenance import Cleaning, Verification
    from vae_search.store.maintenance.findings import Finding, Inspection


def show_status(status: Facts, *, as_json: bool) -> None:
    """Print one sweep, what it takes in the store, and the commands to it that wait; as JSON all of them.

    Args:
        status: of `sweep_facts` and `detail_facts`.
    """
    usage, settings, commands = status["usage"], status["settings"], status["commands"]
    if as_json:
        show_json([printed_status(status) | usage | {"settings": settings, "commands": commands}])
    else:
        show_status_table([status])
        if (borrowed := status.get("borrowed")) is not None:
            say(borrowed_sentence(borrowed["trials"], borrowed["sweep"]))
        for line in (*warm_lines(status), *limit_lines(status)):
            say(line)
        images = DatasetSummary.from_json(status.get("images"))
        for line in images.sentences if images else ():
            say(line)
        say(
            f"{size_of(usage['total_bytes'])} in the store: rows and curves {size_of(usage['rows_bytes'])}, "
            f"kept models {size_of(usage['artifacts_bytes'])}, runs in flight {size_of(usage['running_bytes'])}"
        )
        if commands:
            say("settings: " + ", ".join(f"{key}={value}" for key, value in settings.items()))
        for each in commands:
            if each["state"] == "waits":
                say(command_line(each))


def command_line(command: Facts) -> str:
    """A command to a sweep, and what has come of it, in a line."""
    by = "" if command["actor"] is None else f" by {command['actor']}"
    return f"command {command['number']}{by}: {command['wanted']}: {command['outcome']}"


def borrowed_sentence(trials: int, lender: str) -> str:
    """Say what the sampler of a fork knows of another sweep, and that it counts for nothing else."""
    return (
        f"borrowed {trials} trials from {lender}: its sampler knows them, and they count neither as trials nor as best"
    )


def fork_sentence(made: "Fork") -> str:
    """Say which trials a fork has borrowed, and why others were left out."""
    left = sum(made.left_out.values())
    why = ", ".join(f"{name}: {count}" for name, count in sorted(made.left_out.items()))
    out = f"; {left} do not fit ({why})" if left else ""
    return f"{made.spec.name}: forked from {made.lender}, whose {made.borrowed} fitting trials its sampler knows{out}."


def show_verifications(
    verifications: "Sequence[Verification]", models: "Sequence[ModelInspection]", *, as_json: bool
) -> None:
    """Print a line for each sweep, each model and each finding."""
    if as_json:
        show_json([_facts(checked) for checked in verifications] + [asdict(model) for model in models])
        return
    for verification in verifications:
        say(_summary(verification.after))
        for finding in verification.before.findings:
            say(f"  {_word(finding, verification.after)}  {finding.path}: {finding.problem}")
    for model in models:
        say(_model_summary(model))
        for finding in model.findings:
            say(f"  {'damaged  ' if finding.damaged else 'leftover '}  {finding.path}: {finding.problem}")


def show_cleanings(cleanings: "Sequence[Cleaning]", *, dry_run: bool, as_json: bool) -> None:
    """Print what was freed, or would be: a line for each file or folder, then the sum."""
    if as_json:
        show_json([cleaning_facts(cleaning) for cleaning in cleanings])
        return
    for cleaning in cleanings:
        if cleaning.skipped:
            say(f"skipped: {cleaning.skipped}")
        for path, size in cleaning.removed.items():
            say(f"{'would remove' if dry_run else 'removed'} {path} ({size_of(size)})")
    freed = sum(size for cleaning in cleanings for size in cleaning.removed.values())
    say(f"{size_of(freed)} {'would be freed' if dry_run else 'freed'}.")


def size_of(size_bytes: float) -> str:
    """Size for people, from bytes: `12.3 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.1f} {unit}" if unit != "B" else f"{size_bytes:.0f} B"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"


def _facts(checked: "Verification") -> dict[str, dict[str, object]]:
    """Facts of a sweep's inspections; `renamed_from` only where a folder was renamed or copied."""
    return {
        time: {key: value for key, value in asdict(found).items() if key != "renamed_from" or value is not None}
        for time, found in (("before", checked.before), ("after", checked.after))
    }


def _summary(found: "Inspection") -> str:
    counts = f"{found.rows} rows, {found.curves} learning curves, {found.artifacts} kept models"
    if found.finalists:
        counts += f", {found.finalists} confirm runs"
    numbers = {
        "damaged": len(found.damaged),
        "left over (harmless)": len(found.findings) - len(found.damaged),
        "set aside": len(found.set_aside),
    }
    troubles = [f"{number} {word}" for word, number in numbers.items() if number]
    return f"{found.sweep}: {counts}, {', '.join(troubles) or 'all intact'}"


def _model_summary(found: "ModelInspection") -> str:
    champion = f"version {found.champion} is champion" if found.champion else "no champion"
    counts = f"{found.entries} entries in its log, {found.versions} versions, {champion}"
    state = f"{len(found.damaged)} damaged" if found.damaged else "all intact"
    return f"model {found.model}: {counts}, {state}"


def _word(finding: "Finding", after: "Inspection") -> str:
    if not finding.damaged:
        return "leftover "
    return "damaged  " if finding in after.findings else "set aside"


def show_webhooks(out: Console, hooks: Sequence[Mapping[str, Any]]) -> None:
    """Each hook in a line, then every delivery that has not arrived."""
    if not hooks:
        out.print("No webhook yet: a service with `--webhooks FILE` makes them.", markup=False)
        return
    show_table(
        out,
        ["hook", "receiver", "delivered", "waiting", "dead"],
        [
            [
                cell(hook["hook"]),
                cell(hook["receiver"]),
                cell(hook["delivered"]),
                cell(len(hook["waiting"])),
                cell(len(hook["dead"]) + hook["dropped"]),
            ]
            for hook in hooks
        ],
        left={"hook", "receiver"},
    )
    rows = [
        [
            cell(hook["hook"]),
            cell(each["event"]),
            cell(each["type"]),
            state,
            cell(each["attempts"]),
            cell(each["trouble"] or ""),
        ]
        for hook in hooks
        for state, deliveries in (("waiting", hook["waiting"]), ("dead", hook["dead"]))
        for each in deliveries
    ]
    if rows:
        out.print()
        show_table(out, ["hook", "event", "type", "state", "attempts", "trouble"], rows)
