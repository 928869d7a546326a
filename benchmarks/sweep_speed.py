"""Wall time of a sweep from the start of the command to the last result, four ways, side by side.

tune        Ray Tune + OptunaSearch + keras.fit, as the documentation shows it
tune-reuse  the same with reuse_actors=True
bare        two processes without any framework, a compiled epoch written by hand
ours        `vae-search run` as a user runs it

All replay one fixed list of configs on the same 10,000 training and 2,000 validation images of Fashion-MNIST, 5 epochs,
batch 100, in interleaved repeats. Medians and their ratios are printed and written as JSON.

    python benchmarks/sweep_speed.py --trials 48 --repeats 3
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import describe_machine, fashion_mnist_folder

from vae_search.data.sources import read_source

HERE = Path(__file__).parent
TRAIN, VALIDATION, EPOCHS, BATCH = 10_000, 2_000, 5, 100
ORDER = ("tune", "tune-reuse", "bare", "ours")


def configs(count: int) -> list[dict]:
    """Random configs, the same in every run."""
    rng = np.random.default_rng(11)
    return [
        {
            "latent_dim": int(rng.integers(8, 33)),
            "beta": float(np.exp(rng.uniform(np.log(0.5), np.log(2)))),
            "learning_rate": float(np.exp(rng.uniform(np.log(3e-4), np.log(3e-3)))),
            "depth": int(rng.integers(1, 4)),
            "width": int(rng.choice([128, 256])),
        }
        for _ in range(count)
    ]


def our_spec(images: Path, chosen: list[dict]) -> str:
    return json.dumps(
        {
            "name": "speed",
            "data": {"source": str(images), "validation": VALIDATION, "test": 500},
            "search_space": {
                "latent_dim": {"type": "int", "low": 8, "high": 32},
                "beta": {"type": "float", "low": 0.4, "high": 2.5, "log": True},
                "learning_rate": {"type": "float", "low": 2e-4, "high": 4e-3, "log": True},
                "depth": {"type": "int", "low": 1, "high": 3},
                "width": {"type": "categorical", "choices": [128, 256]},
                "batch_size": BATCH,
            },
            "enqueue": chosen,
            "budget": {"trials": len(chosen), "epochs": EPOCHS},
            "confirm": {"finalists": 0},  # none of the others does that
            "pruning": "off",
        }
    )


def run_once(kind: str, chosen: list[dict], images: dict[str, Path], folder: Path) -> tuple[float, float]:
    """Wall seconds of one way, and the mean of its final scores (to see that all do the same work)."""
    scratch = Path(tempfile.mkdtemp(dir=folder))
    result = scratch / "result.json"
    if kind == "ours":
        spec = scratch / "speed.yaml"
        spec.write_text(our_spec(images["ours"], chosen))
        command = [
            sys.executable,
            "-m",
            "vae_search",
            "run",
            str(spec),
            "--store",
            str(scratch / "store"),
            "--json",
        ]
    else:
        work = scratch / "work.json"
        facts = {
            "images": str(images["others"]),
            "validation": VALIDATION,
            "epochs": EPOCHS,
            "batch_size": BATCH,
            "configs": chosen,
            "scratch": str(scratch / "tune"),
        }
        work.write_text(json.dumps(facts))
        command = [sys.executable, str(HERE / "contenders.py"), kind, str(work), str(result)]
    started = time.perf_counter()
    done = subprocess.run(command, text=True, capture_output=True, env={**os.environ, "TUNE_DISABLE_STRICT": "0"})
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"{kind} failed:\n{done.stderr[-3000:]}")
    if kind == "ours":
        facts = json.loads(done.stdout)
        if facts["complete"] != len(chosen):
            raise SystemExit(f"ours: {facts['complete']} of {len(chosen)} trials completed")
        score = float("nan") if not facts["best"] else facts["best"][0]["neg_elbo"]
    else:
        results = json.loads(result.read_text())["results"]
        if len(results) != len(chosen):
            raise SystemExit(f"{kind}: {len(results)} of {len(chosen)} trials came back")
        score = min(entry["neg_elbo"] for entry in results)
    shutil.rmtree(scratch, ignore_errors=True)
    return seconds, score


def summary(trials: int, seconds: dict[str, list[float]], scores: dict[str, float]) -> dict:
    """Medians over the repeats so far, and their ratios."""
    medians = {kind: statistics.median(values) for kind, values in seconds.items()}
    ratios = {f"{kind}/ours": medians[kind] / medians["ours"] for kind in medians if kind.startswith("tune")}
    if "bare" in medians:
        ratios["ours/bare"] = medians["ours"] / medians["bare"]
    return {
        "trials": trials,
        "seconds": seconds,
        "medians_s": medians,
        "ratios": ratios,
        "best_neg_elbo": scores,
        "machine": describe_machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(ORDER), choices=ORDER)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "sweep_speed.json")
    arguments = parser.parse_args()
    grey = read_source(str(fashion_mnist_folder()), cache=Path("none")).train.pixels
    output = arguments.output.with_stem(f"{arguments.output.stem}_{arguments.trials}")
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sweep-speed-") as name:
        folder = Path(name)
        images = {"others": folder / "others.npz", "ours": folder / "ours.npz"}
        np.savez(images["others"], x_train=grey[: TRAIN + VALIDATION])
        np.savez(images["ours"], x_train=grey[: TRAIN + VALIDATION + 500])  # and a test split, which stays unread
        chosen = configs(arguments.trials)
        seconds: dict[str, list[float]] = {kind: [] for kind in arguments.only}
        scores: dict[str, float] = {}
        for repeat in range(arguments.repeats):
            for kind in arguments.only:
                taken, scores[kind] = run_once(kind, chosen, images, folder)
                seconds[kind].append(taken)
                print(f"repeat {repeat + 1}: {kind:<10} {taken:7.1f} s   best neg_elbo {scores[kind]:.1f}", flush=True)
            # After each repeat: it takes long, and a run that is cut short has not been in vain.
            output.write_text(json.dumps(summary(arguments.trials, seconds, scores), indent=1) + "\n")
    for name, ratio in summary(arguments.trials, seconds, scores)["ratios"].items():
        print(f"{name:<16} {ratio:5.2f}")


if __name__ == "__main__":
    main()
