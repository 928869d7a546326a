"""A DCGAN beside our champion: as many parameters and CPU seconds a run, samples in one feature space, five seeds each.

The VAE is the finalist of a sweep as a user runs it (`vae-search run`, one finalist, five seeds); what the sweep's
search took is said apart. Each DCGAN gets the CPU seconds of a finalist's training, with the hyperparameters of its
paper: once as many parameters, and once a fifth of them, because a convolution uses each weight many times, so that the
larger one sees few images. Judge images are what all are compared with: as many samples as there are of them, means of
the VAE's pixels (what users see) and draws (what its likelihood says). Test images are not looked at.

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
GANS = {"dcgan": 1.0, "dcgan_narrow": 0.2}
"""kinds of DCGAN, each with its number of parameters over the VAE's"""
SHOWN = 12  # samples of each seed in the picture
SAMPLES_SEED = 783


def data_of(name: str, validation: int) -> DataSpec:
    """Images in all their levels: a DCGAN has no black and white ones.

    Args:
        validation: held-out images of Fashion-MNIST; half of them are judge images.
    """
    if name == "patches":
        return DataSpec(source="photo_patches", binarize="none")
    return DataSpec(source=str(fashion_mnist_folder()), binarize="none", validation=validation)


def champion(
    name: str, data: DataSpec, folder: Path, *, trials: int, epochs: int, seeds: int
) -> tuple[list[ConfirmRow], float]:
    """Runs of the sweep's finalist, one for each seed, and CPU seconds of the search before."""
    settings = {
        "data.source": data.source,
        "budget": f"{{trials: {trials}, epochs: {epochs}}}",
        "confirm": f"{{finalists: 1, seeds: {seeds}}}",
    }
    if data.validation is not None:
        settings["data.validation"] = str(data.validation)
    overrides = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    spec = HERE.parent / "search_spaces" / SPECS[name]
    # No promotion: gates are not what is compared, and their work belongs to neither side.
    text = "".join(line for line in spec.read_text().splitlines(True) if not line.startswith("promote:"))
    (folder / SPECS[name]).write_text(text)
    command = [sys.executable, "-m", "vae_search", "run", str(folder / SPECS[name]), *overrides]
    done = subprocess.run(
        [*command, "--store", str(folder / "store"), "--inline", "--json"], text=True, capture_output=True
    )
    if done.returncode != 0:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    store, sweep = open_store(str(folder / "store")), json.loads(done.stdout)["sweep"]
    searched_s = sum(row.cpu_s or 0.0 for row in Ledger(store, sweep).trials())
    return list(ConfirmRuns(store, sweep).rows()), searched_s


def vae_run(task: tuple[str, DataSpec, ConfirmRow]) -> dict[str, Any]:
    """Quality of a finalist's run, by means and by draws; its first samples."""
    from vae_search.vae.inference.model import VaeModel
    from vae_search.vae.networks.network import build
    from vae_search.vae.training.device import limit_threads

    limit_threads(1)
    folder, data, row = task
    files = artifacts.load(open_store(folder), row.sweep, row.key, sha256=row.artifact_sha256)
    model = VaeModel.from_files(files[MODEL_FILE], files[WEIGHTS_FILE])
    dataset = load_dataset(data, cache=Path("none"))
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


def gan_run(task: tuple[DataSpec, int, int, float]) -> dict[str, Any]:
    """Quality of a DCGAN's run; its first samples."""
    from dcgan import train, width_for

    from vae_search.vae.training.device import limit_threads

    limit_threads(1)
    data, seed, parameters, cpu_s = task
    dataset = load_dataset(data, cache=Path("none"))
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


def picture(runs: dict[str, list[dict[str, Any]]], real: np.ndarray, path: Path) -> None:
    """Held-out images, then a row of samples for each seed of each kind."""
    from vae_search.vae.inference.image_grids import sheet_png

    gap = np.ones((1, *real.shape), np.float32)
    rows = [real[None]]
    for of_kind in runs.values():
        rows += [gap, *(run["shown"][None] for run in of_kind)]
    path.write_bytes(sheet_png(np.nan_to_num(np.concatenate(rows))))


def contrast(
    name: str, data: DataSpec, folder: Path, *, trials: int, epochs: int, seeds: int, gans: list[str], output: Path
) -> dict[str, Any]:
    """The VAE and each kind of DCGAN on one data set."""
    rows, searched_s = champion(name, data, folder, trials=trials, epochs=epochs, seeds=seeds)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        runs = {"vae": list(pool.map(vae_run, [(str(folder / "store"), data, row) for row in rows]))}
        parameters = runs["vae"][0]["parameters"]
        cpu_s = statistics.median(run["cpu_s"] for run in runs["vae"])
        print(f"{name}: {len(rows)} seeds of a VAE, {parameters:,} parameters, {cpu_s:.0f} CPU s each", flush=True)
        for kind in gans:
            of_kind = [(data, seed, round(GANS[kind] * parameters), cpu_s) for seed in range(len(rows))]
            runs[kind] = list(pool.map(gan_run, of_kind))
            print(f"{name} {kind}: {json.dumps(summary(runs[kind], 'samples'))}", flush=True)
    dataset = load_dataset(data, cache=Path("none"))
    real = intensities(dataset.judge[:SHOWN], dataset.pixels.levels)
    picture(runs, real, output.with_name(f"{output.stem}_{name}.png"))
    summaries = {
        "vae_means": summary(runs["vae"], "means"),
        "vae_draws": summary(runs["vae"], "draws"),
        **{kind: summary(runs[kind], "samples") for kind in gans},
    }
    for kind, of_kind in summaries.items():
        print(f"{name} {kind:12} {json.dumps(of_kind)}", flush=True)
    return {
        "trials": trials,
        "epochs": epochs,
        "judge_images": len(dataset.judge),
        "search_cpu_s": searched_s,
        "params": dict(rows[0].params),
        **summaries,
        "vae_neg_iwae": [run["neg_iwae"] for run in runs["vae"]],
        "runs": {
            kind: [{key: value for key, value in run.items() if key != "shown"} for run in of_kind]
            for kind, of_kind in runs.items()
        },
        "machine": describe_machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=SPECS, default=[*SPECS])
    parser.add_argument("--trials", type=int, default=6, help="of the search; then come the seeds")
    parser.add_argument("--epochs", type=int, default=27, help="of a trial, and of each seed")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--validation", type=int, default=10_000, help="held-out images of fashion; half are judged on")
    parser.add_argument("--gans", nargs="+", choices=GANS, default=[*GANS])
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "gan_contrast.json")
    arguments = parser.parse_args()
    # What other data have given stays: each takes an hour.
    found: dict[str, Any] = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    for name in arguments.data:
        with tempfile.TemporaryDirectory(prefix="contrast-") as folder:
            found[name] = contrast(
                name,
                data_of(name, arguments.validation),
                Path(folder),
                trials=arguments.trials,
                epochs=arguments.epochs,
                seeds=arguments.seeds,
                gans=arguments.gans,
                output=arguments.output,
            )
        arguments.output.write_text(json.dumps(found | {"failed_coverage": FAILED_COVERAGE}) + "\n")


if __name__ == "__main__":
    main()
