"""CPU seconds until a sweep has a model of a given quality, five ways of searching the same space.

random     random configs, each trained to the end
one-epoch  random configs trained for one epoch, then the best of them to the end, one after another (Egele et al. 2023)
tpe        Optuna's TPE, each trained to the end
ours       TPE with rungs: what `vae-search run` does by default
early      the same with the first rung after one epoch (`pruning: {min_epochs: 1}`)

All train on the same 10,000 images of Fashion-MNIST for at most 27 epochs, one trial at a time; only who is tried and
who is cut differs. The clock is CPU time of training and scoring, and stops when any trial's held-out value reaches the
target, which was fixed beforehand from `rung_study.py`: the value that the best 3 of its 64 random configs reach. A
search that has not got there when its configs are used up counts as the longest that has.

The last three are run, by the code of a sweep. The first two choose among random configs without looking at more than
one epoch, so they are replayed, in random orders, from the curves and CPU seconds of the 64 configs that
`rung_study.py` trained to the end on the same task: `results/rung_study.json` must be there.

    python benchmarks/time_to_target.py --repeats 5
"""

import argparse
import json
import math
import os
import statistics
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from fashion import SPACE, slice_task
from machine import describe_machine

from vae_search.data.tasks import JudgeTask
from vae_search.search.coordinator import SweepCoordinator
from vae_search.search.messages import WorkerConfig
from vae_search.search.running_trial import SweepContext
from vae_search.search.worker.inline import train_trials
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.backends.uri import open_store
from vae_search.store.leases.lease import acquire

HERE = Path(__file__).parent
TARGET = 246.4  # nats; of the 64 random configs of rung_study.py without warm-up, the best three reach it
EPOCHS, TRIALS = 27, 64
ONE_EPOCH_CONFIGS = 32
REPLAYS = 200
WAYS: dict[str, dict[str, object]] = {
    "ours": {},
    "early": {"pruning": {"min_epochs": 1}},
    "tpe": {"pruning": "off"},
}


def spec_of(seed: int, **changes: object) -> str:
    return json.dumps(
        {
            "name": "target",
            "seed": seed,
            "data": {"source": "digits"},  # never read: the trials get their images from here
            "search_space": SPACE,
            "budget": {"trials": TRIALS, "epochs": EPOCHS},
            "keep": 1,
            "checkpoint_s": 1000,
            "confirm": {"finalists": 0},
        }
        | changes
    )


def epochs_of(text: str, folder: Path, *, train: int = 10_000) -> Iterator[tuple[float, float]]:
    """Run a sweep trial by trial and give the CPU seconds and the held-out value of each epoch, in their order.

    Args:
        folder: becomes its store.
        train: images to train on.
    """
    from vae_search.search.worker.trial_runner import TrialRunner

    spec, store = parse_spec(text, base=folder), open_store(str(folder))
    lease = acquire(store, spec.name)
    coordinator = SweepCoordinator(
        SweepContext(spec=spec, lease=lease.number, comparability_key="target", versions={}),
        store=store,
        lease=lease,
        now=lambda: datetime.now(UTC),
        seconds_left=lambda: math.inf,
        slots=lambda: 1,
        on_trial_finished=lambda row, verdict: None,
    )
    config = WorkerConfig(spec=spec, store=store.location, lease=lease.number, rungs=coordinator.rungs, log_folder=None)
    task = slice_task(train=train)
    judge_task = JudgeTask(images=task.select, pixels=task.pixels)  # never asked for: nothing is confirmed
    runner = TrialRunner(config, task, judge_task, store, node_id="here")
    try:
        for report in train_trials(coordinator, runner):
            for measurement in report.measurements:
                yield measurement.cpu_s, measurement.neg_elbo
    finally:
        lease.release()


def replayed(way: str, curves: list[dict], rng: np.random.Generator) -> float | None:
    """CPU seconds of one random or one-epoch search over recorded curves in a random order."""
    order = [curves[number] for number in rng.permutation(len(curves))]
    spent_s, begun = 0.0, 0
    if way == "one-epoch":
        order = order[:ONE_EPOCH_CONFIGS]
        spent_s = sum(curve["cpu_s"] / EPOCHS for curve in order)
        order.sort(key=lambda curve: curve["neg_elbos"][0])
        begun = 1  # each is trained anew from its second epoch on: in favour of this way
    for curve in order:
        for neg_elbo in curve["neg_elbos"][begun:]:
            spent_s += curve["cpu_s"] / EPOCHS
            if neg_elbo <= TARGET:
                return spent_s
    return None


def cpu_s_to_target(way: str, seed: int) -> float | None:
    """CPU seconds of one search until the target; None if its budget ends before."""
    with tempfile.TemporaryDirectory(prefix="target-") as name:
        epochs = epochs_of(spec_of(seed, **WAYS[way]), Path(name))
        total_s = 0.0
        for cpu_s, neg_elbo in epochs:
            total_s += cpu_s
            if neg_elbo <= TARGET:
                epochs.close()
                return total_s
    return None


def interval(values: list[float]) -> tuple[float, float]:
    """95 % bootstrap interval of the median."""
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(values, (10_000, len(values))), axis=1)
    return float(np.quantile(medians, 0.025)), float(np.quantile(medians, 0.975))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "time_to_target.json")
    arguments = parser.parse_args()
    study = json.loads((HERE / "results" / "rung_study.json").read_text())
    recorded = [curve for curve in study["curves"] if curve["warmup"] == 0]
    rng = np.random.default_rng(1)
    found: dict[str, list[float | None]] = {
        way: [replayed(way, recorded[repeat % 2 :: 2], rng) for repeat in range(REPLAYS)]
        for way in ("random", "one-epoch")
    }
    jobs = [(way, 100 + repeat) for way in WAYS for repeat in range(arguments.repeats)]
    with ProcessPoolExecutor(arguments.processes, mp_context=get_context("spawn")) as pool:
        for (way, seed), cpu_s in zip(jobs, pool.map(cpu_s_to_target, *zip(*jobs, strict=True)), strict=True):
            found.setdefault(way, []).append(cpu_s)
            print(f"seed {seed}: {way:<10} " + ("not reached" if cpu_s is None else f"{cpu_s:7.1f} CPU s"), flush=True)
            write(found, arguments.output)
    for way, entry in summary(found).items():
        low, high = entry["interval"]
        print(
            f"{way:<10} median {entry['median_cpu_s']:7.1f} CPU s [{low:.1f}, {high:.1f}], "
            f"{entry['share_of_random']:.2f} of random, reached in {entry['reached']} of {len(found[way])}"
        )


def summary(found: dict[str, list[float | None]]) -> dict[str, dict]:
    """Medians with their intervals; a search that did not reach the target counts as the longest that did."""
    longest = max(value for values in found.values() for value in values if value is not None)
    filled = {way: [longest if value is None else value for value in values] for way, values in found.items()}
    return {
        way: {
            "median_cpu_s": statistics.median(values),
            "interval": interval(values),
            "share_of_random": statistics.median(values) / statistics.median(filled["random"]),
            "reached": sum(value is not None for value in found[way]),
        }
        for way, values in filled.items()
    }


def write(found: dict[str, list[float | None]], output: Path) -> None:
    """After each search: a run that is cut short has not been in vain."""
    report = {"target": TARGET, "cpu_s": found, "summary": summary(found), "machine": describe_machine()}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
