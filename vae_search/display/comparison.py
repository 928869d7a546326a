"""Comparison of sweeps, as a table or as JSON."""

from typing import TYPE_CHECKING

from vae_search.display.console import console, say, show_json
from vae_search.display.tables import show_table
from vae_search.services.payloads import comparison_facts

if TYPE_CHECKING:
    from vae_search.services.comparison import Comparison, Contender

UNITS = {"nats": "nats per image", "bits_per_dim": "bits per dimension"}
HEADS = ("sweep", "likelihood", "trial", "value", "fresh seeds", "epochs", "parameters", "trials")
LEFT = ("sweep", "likelihood")


def show_comparison(comparison: "Comparison", *, as_json: bool) -> None:
    """Print a comparison, the best sweep first."""
    if as_json:
        show_json(comparison_facts(comparison))
        return
    images = "select images" if comparison.bound == "neg_elbo" else "judge images"
    say(f"the best config of each, by {comparison.bound} on the {images}, {UNITS[comparison.unit]}, lower is better")
    if comparison.bound == "neg_elbo":
        say("not all have been confirmed alike by fresh seeds: these are the search's own values, of the luckiest")
    digits = 2 if comparison.unit == "nats" else 4
    show_table(console(), HEADS, [_cells(contender, digits) for contender in comparison.contenders], left=LEFT)


def _cells(contender: "Contender", digits: int) -> list[str]:
    row = contender.row
    spread = "" if contender.sd is None else f" ± {contender.sd:.{digits}f}"
    return [
        contender.sweep,
        contender.likelihood,
        str(row.trial),
        f"{contender.value:.{digits}f}{spread}",
        str(contender.seeds or "–"),
        str(contender.epochs),
        "–" if row.parameters is None else f"{row.parameters:,}",
        str(contender.finished),
    ]
