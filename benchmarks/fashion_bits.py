"""Two likelihoods of the same 8-bit images side by side: Fashion-MNIST in bits per dimension, twenty minutes each.

`search_spaces/fashion_8bit.yaml` through `vae-search run`, with both likelihoods at the same time on one core each, so
that they meet the same machine; the best trial by IWAE-16 on the select images is scored once on the 10,000 test
images. Both bounds are on the probability of the same whole numbers, so that they may be compared, in bits per value of
a pixel. Samples of both stand side by side in one picture: means of p(x|z), then draws from it.

    python benchmarks/fashion_bits.py --minutes 20
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from machine import describe_machine, fashion_mnist_folder

from vae_search.data.dataset import load_dataset
from vae_search.data.pixel_statistics import intensities
from vae_search.spec.sections import DataSpec
from vae_search.store import paths as store_paths
from vae_search.store.backends.uri import open_store
from vae_search.store.ledger import artifacts
from vae_search.store.ledger.artifacts import MODEL_FILE, WEIGHTS_FILE
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.ledger.trials import Ledger

HERE = Path(__file__).parent
SPEC = HERE.parent / "search_spaces" / "fashion_8bit.yaml"
LIKELIHOODS = ("gaussian", "discretized_logistic")
SAMPLES = 500
COLUMNS = 12
DATA = DataSpec(source=str(fashion_mnist_folder()), binarize="none", validation=10_000)


def search(likelihood: str, store: str, minutes: float) -> TrialRow:
    """One sweep; its best COMPLETE trial among those whose weights were kept."""
    name = f"bits-{likelihood.replace('_', '-')}"
    changes = {
        "name": name,
        "likelihood": likelihood,
        "data.source": DATA.source,
        "budget.minutes": minutes,
        "resources.concurrency": 1,
    }
    options = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    command = [sys.executable, "-m", "vae_search", "run", str(SPEC), "--store", store, *options]
    done = subprocess.run(command, text=True, capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    rows = Ledger(open_store(store), name).trials()
    print(
        name, {str(state): sum(row.state == state for row in rows) for state in {row.state for row in rows}}, flush=True
    )
    return max((row for row in rows if row.artifact_sha256), key=lambda row: row.iwae)


def score(store: str, row: TrialRow) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """-ELBO and -IWAE of each test image in nats, then two rows of means and two of draws, in [0, 1]."""
    from vae_search.vae.inference.model import VaeModel
    from vae_search.vae.inference.npz import arrays_of
    from vae_search.vae.networks.model_config import ModelDescription
    from vae_search.vae.networks.network import build
    from vae_search.vae.objective.evaluation import Evaluator
    from vae_search.vae.training.device import limit_threads

    limit_threads(1)
    files = artifacts.load(open_store(store), row.sweep, store_paths.trial_key(row.trial), sha256=row.artifact_sha256)
    described, weights = ModelDescription.from_json(files[MODEL_FILE]), arrays_of(files[WEIGHTS_FILE])
    ordered, evaluator = build(described.network).ordered(weights), Evaluator.of(described)
    images = load_dataset(DATA, cache=Path("none")).test
    model = VaeModel(described, weights)
    means = model.sample(2 * COLUMNS, seed=1)
    draws = intensities(model.draw(2 * COLUMNS, seed=1), described.levels)
    return evaluator.evaluate(ordered, images).neg_elbo, -evaluator.iwae(ordered, images, SAMPLES), means, draws


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0, help="of each sweep")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "fashion_bits.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bits-") as folder:
        with ThreadPoolExecutor(2) as both:
            searching = [both.submit(search, name, f"{folder}/store", arguments.minutes) for name in LIKELIHOODS]
            best = [future.result() for future in searching]
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            scored = list(pool.map(score, [f"{folder}/store"] * 2, best))
    report: dict[str, object] = {"minutes": arguments.minutes, "iwae_k": SAMPLES, "machine": describe_machine()}
    values = 784 * np.log(2)
    for likelihood, row, (neg_elbo, neg_iwae, _, _) in zip(LIKELIHOODS, best, scored, strict=True):
        error = float(neg_iwae.std() / np.sqrt(len(neg_iwae)))
        report[likelihood] = {
            "bits_per_dim": float(neg_iwae.mean() / values),
            "bits_per_dim_elbo": float(neg_elbo.mean() / values),
            "bits_per_dim_standard_error": error / values,
            "nats": float(neg_iwae.mean()),
            "select_bits_per_dim_elbo": row.bits_per_dim,
            "params": dict(row.params),
            "epochs": row.epochs,
            "active_units": row.active_units,
            "generalisation_gap": row.generalisation_gap,
            "scale_clamp_share": row.scale_clamp_share,
            "logvar_clamp_share": row.logvar_clamp_share,
        }
        print(likelihood, report[likelihood], flush=True)
    difference = scored[0][1] - scored[1][1]
    report["difference_bits"] = float(difference.mean() / values)
    report["difference_bits_standard_error"] = float(difference.std() / np.sqrt(len(difference)) / values)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(report, indent=1) + "\n")
    arguments.output.with_name("fashion_bits_samples.png").write_bytes(picture([part[2:] for part in scored]))


def picture(samples: list[tuple[np.ndarray, np.ndarray]]) -> bytes:
    """Two rows of test images, then of each model two rows of means and two of draws."""
    from vae_search.vae.inference.image_grids import sheet_png

    real = intensities(load_dataset(DATA, cache=Path("none")).test[: 2 * COLUMNS], 256)
    parts = [real, *(part for pair in samples for part in pair)]
    return sheet_png(np.concatenate(parts).reshape(-1, COLUMNS, *real.shape[1:]))


if __name__ == "__main__":
    main()
