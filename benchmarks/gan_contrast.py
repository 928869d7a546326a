"""A DCGAN beside our champion: as many parameters and CPU seconds a run, samples in one feature space, five seeds each.

The VAE is the finalist of a sweep as a user runs it (`vae-search run`, one finalist, five seeds); what the sweep's
search took is said apart. Each DCGAN gets the CPU seconds of a finalist's training and as many parameters, with the
hyperparameters of its paper. Judge images are what both are compared with: as many samples as there are of them, means
of the VAE's pixels (what users see) and draws (what its likelihood says). Test images are not looked at.

A run counts as failed if its numbers are not finite, or if fewer than a tenth of the held-out images have a sample
nearby (coverage, Naeem et al. 2020).

    python benchmarks/gan_contrast.py --trials 6
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from machine import describe_machine, fashion_mnist_folder

from vae_search.data.dataset import Dataset, load_dataset
from vae_search.data.pixel_statistics import intensities
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.spec.sections import DataSpec
from vae_search.store.backends.uri import open_store
from vae_search.store.ledger import artifacts
from vae_search.store.ledger.artifacts import MODEL_FILE, WEIGHTS_FILE
from vae_search.store.ledger.confirm_runs import ConfirmRow, ConfirmRuns
from vae_search.store.ledger.trials import Ledger

HERE = Path(__file__).parent
SPECS = {"fashion": "fashion_8bit.yaml", "patches": "colour_patches.yaml"}
FAILED_COVERAGE = 0.1
SHOWN = 12  # samples of each seed in the picture
SAMPLES_SEED = 783


def data_of(name: str) -> DataSpec:
    """Images in all their levels: a DCGAN has no black and white ones."""
    if name == "patches":
        return DataSpec(source="photo_patches", binarize="none")
    return DataSpec(source=str(fashion_mnist_folder()), binarize="none", validation=10_000)


def champion(name: str, folder: Path, *, trials: int, epochs: int, seeds: int) -> tuple[list[ConfirmRow], float]:
    """Runs of the sweep's finalist, one for each seed, and CPU seconds of the search before."""
    settings = {
        "data.source": data_of(name).source,
        "budget": f"{{trials: {trials}, epochs: {epochs}}}",
        "confirm": f"{{finalists: 1, seeds: {seeds}}}",
    }
    overrides = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    spec = HERE.parent / "search_spaces" / SPECS[name]
    # No promotion: gates are not what is compared, and their work belongs to neither side.
    text = "".join(line for line in spec.read_text().splitlines(True) if not line.startswith("promote:"))
    (folder / SPECS[name]).write_text(text)
    command = [sys.executable, "-m", "vae_search", "run", str(folder / SPECS[name]), *overrides]
    done = subprocess.run([*command, "--store", str(folder / "store"), "--json"], text=True, capture_output=True)
    if done.returncode != 0:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    store, sweep = open_store(str(folder / "store")), json.loads(done.stdout)["sweep"]
    searched_s = sum(row.cpu_s or 0.0 for row in Ledger(store, sweep).trials())
    return list(ConfirmRuns(store, sweep).rows()), searched_s


def vae_run(task: tuple[str, str, ConfirmRow]) -> dict[str, Any]:
    """Quality of a finalist's run, by means and by draws; its first samples."""
    from vae_search.vae.inference.model import VaeModel
    from vae_search.vae.networks.network import build
    from vae_search.vae.training.device import limit_threads

    limit_threads(1)
    folder, name, row = task
    files = artifacts.load(open_store(folder), row.sweep, row.key, sha256=row.artifact_sha256)
    model = VaeModel.from_files(files[MODEL_FILE], files[WEIGHTS_FILE])
    dataset = load_dataset(data_of(name), cache=Path("none"))
    count, levels = len(dataset.judge), dataset.pixels.levels
    means = model.sample(count, seed=SAMPLES_SEED + row.confirm_seed)
    draws = model.draw(count, seed=SAMPLES_SEED + row.confirm_seed)
    return {
        "seed": row.confirm_seed,
        "cpu_s": row.cpu_s,
        "parameters": build(model.description.network).parameters,
        "neg_iwae": None if row.iwae is None else -row.iwae,
        "means": quality(dataset, np.rint(means * (levels - 1)).astype(np.uint8)),
        "draws": quality(dataset, draws),
        "shown": means[:SHOWN],
    }


def gan_run(task: tuple[str, int, int, float]) -> dict[str, Any]:
    """Quality of a DCGAN's run; its first samples."""
    from dcgan import train, width_for

    from vae_search.vae.training.device import limit_threads

    limit_threads(1)
    name, seed, parameters, cpu_s = task
    dataset = load_dataset(data_of(name), cache=Path("none"))
    levels, count = dataset.pixels.levels, len(dataset.judge)
    images = intensities(dataset.train[:], levels)
    width = width_for(images.shape[1:], parameters)
    trained = train(images, width=width, cpu_s=cpu_s, seed=seed, count=count)
    finite = bool(np.isfinite(trained.images).all())
    made = np.rint(np.clip(trained.images, 0, 1) * (levels - 1)).astype(np.uint8) if finite else None
    return {
        "seed": seed,
        "cpu_s": trained.cpu_s,
        "parameters": trained.parameters,
        "width": width,
        "steps": trained.steps,
        "losses": trained.losses,
        "samples": None if made is None else quality(dataset, made),
        "shown": trained.images[:SHOWN],
    }


def quality(dataset: Dataset, made: np.ndarray) -> dict[str, float]:
    """Fréchet distance, density and coverage of as many samples as there are judge images."""
    from vae_search.vae.inference.feature_space import feature_space_of, feature_train_images
    from vae_search.vae.inference.sample_quality import sample_quality

    task = TrainingTask.of(dataset)
    space, train = feature_space_of(task, JudgeTask.of(dataset)), feature_train_images(task)
    found = sample_quality(space, made, held_out=dataset.judge[:], train=train)
    return {
        "metric": found.metric,
        "frechet": found.frechet,
        "density": found.density,
        "coverage": found.coverage,
        "floor": found.frechet_floor,
    }


def failed(found: dict[str, float] | None) -> bool:
    """True of a run that diverged, or whose samples have collapsed."""
    return found is None or not np.isfinite(found["frechet"]) or found["coverage"] < FAILED_COVERAGE


def summary(runs: list[dict[str, Any]], key: str) -> dict[str, Any]:
    """Mean and standard deviation over the seeds of each measure, and how many of them failed."""
    good = [run[key] for run in runs if run[key] is not None]
    over: dict[str, Any] = {
        measure: {
            "mean": statistics.fmean(each[measure] for each in good),
            "sd": statistics.stdev(each[measure] for each in good) if len(good) > 1 else None,
        }
        for measure in ("frechet", "density", "coverage")
        if good
    }
    return over | {"failed": sum(failed(run[key]) for run in runs), "runs": len(runs)}


def picture(vaes: list[dict[str, Any]], gans: list[dict[str, Any]], real: np.ndarray, path: Path) -> None:
    """Held-out images, then a row of samples for each seed of the VAE, then of the DCGAN."""
    from vae_search.vae.inference.image_grids import sheet_png

    gap = np.ones((1, *real.shape), np.float32)
    rows = [real[None], gap, *(run["shown"][None] for run in vaes), gap, *(run["shown"][None] for run in gans)]
    path.write_bytes(sheet_png(np.nan_to_num(np.concatenate(rows))))


def contrast(name: str, folder: Path, *, trials: int, epochs: int, seeds: int, output: Path) -> dict[str, Any]:
    """Both kinds on one data set."""
    rows, searched_s = champion(name, folder, trials=trials, epochs=epochs, seeds=seeds)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        vaes = list(pool.map(vae_run, [(str(folder / "store"), name, row) for row in rows]))
        parameters, cpu_s = vaes[0]["parameters"], statistics.median(run["cpu_s"] for run in vaes)
        print(f"{name}: {len(vaes)} seeds of a VAE, {parameters:,} parameters, {cpu_s:.0f} CPU s each", flush=True)
        gans = list(pool.map(gan_run, [(name, seed, parameters, cpu_s) for seed in range(len(rows))]))
    dataset = load_dataset(data_of(name), cache=Path("none"))
    real = intensities(dataset.judge[:SHOWN], dataset.pixels.levels)
    picture(vaes, gans, real, output.with_name(f"{output.stem}_{name}.png"))
    found = {
        "search_cpu_s": searched_s,
        "params": dict(rows[0].params),
        "vae_means": summary(vaes, "means"),
        "vae_draws": summary(vaes, "draws"),
        "dcgan": summary(gans, "samples"),
        "vae_neg_iwae": [run["neg_iwae"] for run in vaes],
        "runs": {
            kind: [{key: value for key, value in run.items() if key != "shown"} for run in runs]
            for kind, runs in (("vae", vaes), ("dcgan", gans))
        },
    }
    for kind in ("vae_means", "vae_draws", "dcgan"):
        print(f"{name} {kind:10} {json.dumps(found[kind])}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=SPECS, default=[*SPECS])
    parser.add_argument("--trials", type=int, default=6, help="of the search; then come the seeds")
    parser.add_argument("--epochs", type=int, default=27, help="of a trial, and of each seed")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "gan_contrast.json")
    arguments = parser.parse_args()
    found: dict[str, Any] = {"trials": arguments.trials, "epochs": arguments.epochs, "failed_coverage": FAILED_COVERAGE}
    for name in arguments.data:
        with tempfile.TemporaryDirectory(prefix="contrast-") as folder:
            found[name] = contrast(
                name,
                Path(folder),
                trials=arguments.trials,
                epochs=arguments.epochs,
                seeds=arguments.seeds,
                output=arguments.output,
            )
    arguments.output.write_text(json.dumps(found | {"machine": describe_machine()}) + "\n")


if __name__ == "__main__":
    main()
