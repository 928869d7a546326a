"""Hooks and their deliveries in a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from vae_search.display.tables import cell, show_table


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
