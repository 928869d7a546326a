"""Two sweeps on all of Fashion-MNIST that promote by themselves, the second with the larger budget; then a rollback.

Through the command line, as a user would: whether the second replaces the first's champion is the contest's to say.
Prints the decisions, compares the SavedModel's `elbo` with the reloaded model, and keeps the champion's pictures.

    python benchmarks/fashion_champion.py
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import describe_machine, fashion_mnist_folder

HERE = Path(__file__).parent
SPEC = HERE.parent / "search_spaces" / "fashion_mlp.yaml"
BUDGETS = {"small": "{trials: 6, epochs: 9}", "larger": "{trials: 12, epochs: 27}"}


def vae_search(store: Path, *arguments: str) -> tuple[str, float]:
    """Run the command line; its standard output, and seconds."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "vae_search", *arguments, "--store", str(store)]
    done = subprocess.run(command, text=True, capture_output=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    if done.returncode != 0:
        raise SystemExit(f"vae-search {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    return done.stdout, time.perf_counter() - started


def sweep(store: Path, name: str, budget: str) -> dict[str, Any]:
    """Run a sweep and give what became of its best config."""
    settings = {
        "name": f"fashion-{name}",
        "data.source": str(fashion_mnist_folder()),
        "budget": budget,
        "pruning": "{min_epochs: 5, reduction_factor: 3}",
        "confirm": "{finalists: 2, seeds: 3}",
    }
    overrides = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    output, seconds = vae_search(store, "run", str(SPEC), *overrides, "--json")
    facts = json.loads(output)
    promotion = facts["promotion"]
    print(f"{name}: {seconds:.0f} s, {promotion['candidate']} {promotion['outcome']}, champion {promotion['champion']}")
    for reason in promotion["reasons"]:
        print(f"  {reason}")
    return {"seconds": seconds, **promotion}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "fashion_champion.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="champion-") as folder:
        store = Path(folder) / "store"
        report: dict[str, Any] = {name: sweep(store, name, budget) for name, budget in BUDGETS.items()}
        (model,) = json.loads(vae_search(store, "models", "--json")[0])
        version = store / "models" / "fashion" / "versions" / str(model["champion"])
        for picture in ("samples", "reconstructions"):
            shutil.copy(version / f"{picture}.png", arguments.output.with_name(f"fashion_champion_{picture}.png"))
        if len(report["larger"]["reasons"]) == 0:
            _, report["rollback_s"] = vae_search(store, "rollback", "fashion")
            print(f"rollback: {report['rollback_s']:.2f} s, process start included")
        report["verify"] = vae_search(store, "verify")[0].splitlines()
    report["machine"] = describe_machine()
    arguments.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
