"""Model quality after the user's own command on Fashion-MNIST: `vae-search run search_spaces/fashion_mlp.yaml`.

Nothing is planned by hand and nothing else is run: the command, in a store of its own, with `--minutes` laid over the
spec's. The champion that it leaves is scored once on the 10,000 test images with IWAE-5000. Beside it stand the figure
of `fashion_quality.py`, whose half hour is planned by hand, and the published one (Norouzi et al. 2020).

The minutes of the budget are those in which trials run; the report has those and the whole command's, which reads the
images, starts Ray, measures the speed and tests the candidate as well.

    python benchmarks/planned_half_hour.py --minutes 30
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from fashion_quality import PUBLISHED, SAMPLES
from machine import describe_machine, fashion_mnist_folder

from vae_search.core.trial_state import State
from vae_search.data.dataset import load_dataset
from vae_search.registry import model_paths
from vae_search.registry.version_files import CARD_FILE
from vae_search.services.sweep_status import status
from vae_search.spec.sections import DataSpec
from vae_search.store.backends.base import Store
from vae_search.store.backends.uri import open_store
from vae_search.store.ledger import artifacts
from vae_search.store.ledger.artifacts import MODEL_FILE, WEIGHTS_FILE
from vae_search.store.ledger.confirm_runs import ConfirmRow, ConfirmRuns
from vae_search.store.ledger.trials import Ledger
from vae_search.store.sweeps import sweep_record
from vae_search.vae.inference.npz import arrays_of
from vae_search.vae.networks.model_config import ModelDescription

HERE = Path(__file__).parent
SPEC = HERE.parent / "search_spaces" / "fashion_mlp.yaml"
MODEL = "fashion"


def vae_search(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "vae_search", *arguments], text=True, capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"vae-search {' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    return done.stdout


def champion_of(store: Store, sweep: str, folder: str) -> ConfirmRow:
    """The confirm run whose weights are the champion's, as its card says."""
    log = json.loads(vae_search("models", MODEL, "--store", folder, "--json"))
    promoted = [entry for entry in log if entry["action"] == "promote"]
    if not promoted:
        reasons = [reason for entry in log for reason in entry["reasons"]]
        raise SystemExit("nothing was promoted: " + ("; ".join(map(str, reasons)) or "no candidate has come so far"))
    card = json.loads(store.read(f"{model_paths.version(MODEL, promoted[-1]['version'])}/{CARD_FILE}"))
    return ConfirmRuns(store, sweep).row(card["provenance"]["trial"], card["provenance"]["artifact_seed"])


def bounds(folder: str, row: ConfirmRow, source: str, samples: int, part: int) -> np.ndarray:
    """Negative IWAE bound of each image of one half of the test set, nats."""
    from vae_search.vae.networks.network import build
    from vae_search.vae.objective.evaluation import Evaluator
    from vae_search.vae.training.device import limit_threads

    limit_threads(1)
    files = artifacts.load(open_store(folder), row.sweep, row.key, sha256=row.artifact_sha256)
    described = ModelDescription.from_json(files[MODEL_FILE])
    network, weights = build(described.network), arrays_of(files[WEIGHTS_FILE])
    images = load_dataset(DataSpec(source=source, validation=10_000), cache=Path("none")).test
    half = images[part * len(images) // 2 : (part + 1) * len(images) // 2]
    return -Evaluator.of(described).iwae([weights[name] for name in network.names], half, samples)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--samples", type=int, default=SAMPLES, help="of the bound on test images")
    parser.add_argument("--set", action="append", default=[], help="laid over the spec as well, after the minutes")
    parser.add_argument("--store", type=Path, help="empty folder that keeps the sweep; without it, it is removed")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "planned_half_hour.json")
    arguments = parser.parse_args()
    source, started = str(fashion_mnist_folder()), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="planned-") as name:
        folder = str(arguments.store or Path(name) / "store")
        settings = [f"budget.minutes={arguments.minutes}", f"data.source={source}", *arguments.set]
        options = [option for setting in settings for option in ("--set", setting)]
        vae_search("run", str(SPEC), "--store", folder, "--json", *options)
        command_s = time.monotonic() - started
        store = open_store(folder)
        (sweep,) = store.folders("sweeps")
        found, plan = status(store, sweep), sweep_record.read(store, sweep).plan
        champion = champion_of(store, sweep, folder)
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            parts = list(
                pool.map(bounds, [folder] * 2, [champion] * 2, [source] * 2, [arguments.samples] * 2, range(2))
            )
        trials = Ledger(store, sweep).trials()
    neg_iwae = np.concatenate(parts)
    error = float(neg_iwae.std() / np.sqrt(len(neg_iwae)))
    report = {
        "minutes": arguments.minutes,
        "driver_minutes": found.driver_s / 60,
        "command_minutes": command_s / 60,
        "plan": plan,
        "trials": len(trials),
        "complete": sum(row.state is State.COMPLETE for row in trials),
        "champion": {
            "params": dict(champion.params),
            "epochs": champion.epochs,
            "best_epoch": champion.best_epoch,
            "neg_elbo_select": champion.neg_elbo,
            "active_units": champion.active_units,
        },
        "seeds": [
            {"key": row.key, "neg_elbo_select": row.neg_elbo, "iwae_judge": row.iwae, "wall_s": row.wall_s}
            for row in (*found.confirm_rows, *found.continued_rows)
        ],
        "test": {f"iwae_{arguments.samples}": float(neg_iwae.mean()), "standard_error": error},
        "published": PUBLISHED,
        "machine": describe_machine(),
    }
    print(
        f"{arguments.minutes:g} minutes of budget, {found.driver_s / 60:.2f} used, the command took "
        f"{command_s / 60:.2f}: {len(trials)} trials, then {champion.epochs} epochs\n"
        f"{len(neg_iwae):,} test images: IWAE-{arguments.samples} {neg_iwae.mean():.2f} ± {error:.2f} nats; "
        f"published {PUBLISHED:.2f}"
    )
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
