"""Several sweeps beside each other, as a table or as JSON."""

from typing import TYPE_CHECKING, Any

from vae_search.display.console import console, say, show_json, warn_of_damage
from vae_search.display.tables import show_table

if TYPE_CHECKING:
    from vae_search.services.comparison import Comparison, Contender

UNITS = {"nats": "nats per image", "bits_per_dim": "bits per dimension"}
HEADS = ("sweep", "likelihood", "trial", "value", "fresh seeds", "epochs", "parameters", "trials")
LEFT = ("sweep", "likelihood")


def show_comparison(found: "Comparison", *, as_json: bool) -> None:
    """A comparison, the best first.

    Raises:
        CorruptStore: Files could not be read; after everything else has been shown.
    """
    if as_json:
        show_json(
            {"unit": found.unit, "bound": found.bound, "sweeps": [_facts(contender) for contender in found.contenders]}
        )
    else:
        images = "select images" if found.bound == "neg_elbo" else "judge images"
        say(f"the best config of each, by {found.bound} on the {images}, {UNITS[found.unit]}, lower is better")
        if found.bound == "neg_elbo":
            say("not all have been confirmed alike by fresh seeds: these are the search's own values, of the luckiest")
        digits = 2 if found.unit == "nats" else 4
        show_table(console(), HEADS, [_cells(contender, digits) for contender in found.contenders], left=LEFT)
    warn_of_damage(found.damaged)


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


def _facts(contender: "Contender") -> dict[str, Any]:
    row = contender.row
    return {
        "sweep": contender.sweep,
        "likelihood": contender.likelihood,
        "trial": row.trial,
        "value": contender.value,
        "sd": contender.sd,
        "seeds": contender.seeds,
        "epochs": contender.epochs,
        "parameters": row.parameters,
        "params": dict(row.params),
    }
