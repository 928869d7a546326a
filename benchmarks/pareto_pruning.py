"""CPU seconds until a Pareto sweep with pruning has a front as good as the same sweep without it.

Both search the same space for a low neg_elbo and a low train_flops, with the same seed, on 5,000 images of
Fashion-MNIST for at most 27 epochs, one trial at a time. How good a front is says its hypervolume: the area between
COMPLETE trials and a reference point, in nats × decades, as cost counts by its logarithm to base 10: ten times the
price is the same step wherever it is taken. The reference point is fixed by task and space before anything is trained:
the bound of the latent-free model (the mean image), and the cost of the space's largest network for all epochs.

The clock is CPU time of training and scoring, from the rows. Without pruning it stops when that sweep reaches its own
final hypervolume, which is before its end; with pruning when it reaches the same one. The sweep with pruning has the
same budget of trials; it then goes on to three times as many, to see what it does in about the same CPU seconds.

    python benchmarks/pareto_pruning.py --repeats 5
"""

import argparse
import json
import math
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import accumulate
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from fashion import SPACE, slice_task
from machine import describe_machine
from time_to_target import epochs_of, spec_of

from vae_search.core.trial_state import State
from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.spec.hyperparameters import Config
from vae_search.store.backends.uri import open_store
from vae_search.store.ledger.trials import Ledger
from vae_search.store.queries.pareto import running_hypervolume

HERE = Path(__file__).parent
EPOCHS, TRIALS, FURTHER, TRAIN = 27, 40, 3, 5_000
WIDTHS = [16, 32, 64, 128, 256]
WAYS: dict[str, dict[str, object]] = {"pruned": {}, "whole": {"pruning": "off"}}

Trial = tuple[float, float | None, float | None]
"""CPU seconds; of a COMPLETE trial neg_elbo in nats and log10 of its FLOPs"""


def reference_point(task: TrainingTask, *, epochs: int) -> tuple[float, float]:
    """Reference point: a model without latents at the cost of the space's largest network: nats, log10 FLOPs."""
    from vae_search.vae.inference.scoring import latent_free_baseline
    from vae_search.vae.networks.network import build
    from vae_search.vae.networks.network_spec import NetworkSpec
    from vae_search.vae.objective.likelihoods import likelihood_of

    largest = Config(latent_dim=SPACE["latent_dim"]["high"], depth=SPACE["depth"]["high"], width=max(WIDTHS))
    network = build(NetworkSpec.of(largest, task.image_shape, likelihood="bernoulli"))
    flops = 3.0 * network.forward_flops * len(task.train) * epochs
    held_out = JudgeTask(images=task.select, pixels=task.pixels)
    baseline = latent_free_baseline(held_out, likelihood_of("bernoulli", task.pixels.levels))
    return float(baseline.mean()), math.log10(flops)


def trials_of(way: str, seed: int, *, trials: int, epochs: int, train: int) -> list[Trial]:
    """Run one sweep; its trials in the order in which they ended."""
    text = spec_of(
        seed,
        search_space=SPACE | {"width": {"type": "categorical", "choices": WIDTHS}},
        objective={"pareto": ["neg_elbo", "train_flops"]},
        budget={"trials": trials * (FURTHER if way == "pruned" else 1), "epochs": epochs},
        **WAYS[way],
    )
    with tempfile.TemporaryDirectory(prefix="pareto-") as name:
        for _ in epochs_of(text, Path(name), train=train):
            pass
        rows = Ledger(open_store(name), "target").trials()
    found: list[Trial] = []
    for row in sorted(rows, key=lambda row: (row.finished_at, row.trial)):
        has_point = row.state is State.COMPLETE and row.neg_elbo is not None and row.train_flops
        point = (row.neg_elbo, math.log10(row.train_flops)) if has_point else (None, None)
        found.append((row.cpu_s or 0.0, *point))
    return found


def curve_of(trials: list[Trial], reference: tuple[float, float]) -> tuple[list[float], list[float]]:
    """CPU seconds so far and hypervolume, after each trial."""
    points = [None if neg_elbo is None or cost is None else (neg_elbo, cost) for _, neg_elbo, cost in trials]
    return list(accumulate(cpu_s for cpu_s, _, _ in trials)), running_hypervolume(points, reference)


def reached_s(curve: tuple[list[float], list[float]], volume: float) -> float:
    """CPU seconds until `volume` is reached; infinite if it never is."""
    return next((cpu_s for cpu_s, found in zip(*curve, strict=True) if found >= volume), math.inf)


def compared(run: dict[str, list[Trial]], reference: tuple[float, float], *, trials: int) -> dict[str, float]:
    """One repeat: what pruning needs to reach the final hypervolume of the sweep without."""
    whole = curve_of(run["whole"], reference)
    longer = curve_of(run["pruned"], reference)
    same = (longer[0][:trials], longer[1][:trials])
    target = whole[1][-1]
    whole_s = reached_s(whole, target)
    meanwhile = [found for cpu_s, found in zip(*whole, strict=True) if cpu_s <= same[0][-1]]
    return {
        "target": target,
        "whole_cpu_s": whole_s,
        "ratio": reached_s(same, target) / whole_s,
        "ratio_further": reached_s(longer, target) / whole_s,
        "cpu_share": same[0][-1] / whole[0][-1],
        "cpu_share_further": longer[0][-1] / whole[0][-1],
        "volume_share": same[1][-1] / target,
        "volume_share_further": longer[1][-1] / target,
        "volume_share_whole_meanwhile": (meanwhile[-1] if meanwhile else 0.0) / target,
    }


def median_and_interval(values: list[float]) -> tuple[float, float, float]:
    """The median and its 95 % bootstrap interval; values may be infinite."""
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(values, (10_000, len(values))), axis=1)
    low, high = np.quantile(medians, 0.025, method="lower"), np.quantile(medians, 0.975, method="higher")
    return float(np.median(values)), float(low), float(high)


def summary(repeats: list[dict[str, float]]) -> dict[str, object]:
    """Over all repeats; None stands for what is never reached."""
    found: dict[str, object] = {}
    for name in repeats[0]:
        middle, low, high = median_and_interval([each[name] for each in repeats])
        found[name] = {"median": finite(middle), "low": finite(low), "high": finite(high)}
    for name in ("ratio", "ratio_further"):
        found[name] |= {"reached": sum(math.isfinite(each[name]) for each in repeats), "of": len(repeats)}
    return found


def finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def report(
    runs: dict[int, dict[str, list[Trial]]], reference: tuple[float, float], *, trials: int
) -> dict[str, object]:
    """Results to write: the trials themselves and the figures derived from them."""
    repeats = [compared(run, reference, trials=trials) for run in runs.values()]
    return {
        "trials": trials,
        "reference": {"neg_elbo": reference[0], "log10_flops": reference[1]},
        "repeats": [{name: finite(value) for name, value in each.items()} for each in repeats],
        "summary": summary(repeats),
        "runs": [{"seed": seed} | run for seed, run in runs.items()],
        "machine": describe_machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--train", type=int, default=TRAIN, help="images to train on")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "pareto_pruning.json")
    arguments = parser.parse_args()
    reference = reference_point(slice_task(train=arguments.train), epochs=arguments.epochs)
    print(f"reference point: {reference[0]:.2f} nats, 10^{reference[1]:.2f} FLOPs", flush=True)
    jobs = [(way, 200 + repeat) for repeat in range(arguments.repeats) for way in WAYS]
    work = partial(trials_of, trials=arguments.trials, epochs=arguments.epochs, train=arguments.train)
    runs: dict[int, dict[str, list[Trial]]] = {}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(arguments.processes, mp_context=get_context("spawn")) as pool:
        for (way, seed), trials in zip(jobs, pool.map(work, *zip(*jobs, strict=True)), strict=True):
            runs.setdefault(seed, {})[way] = trials
            spent_s, volumes = curve_of(trials, reference)
            print(f"seed {seed}: {way:<7} {volumes[-1]:8.3f} nats × decades, {spent_s[-1]:7.1f} CPU s", flush=True)
            both = {seed: run for seed, run in runs.items() if len(run) == len(WAYS)}
            if both:  # after each repeat: a run that is cut short has not been in vain
                text = json.dumps(report(both, reference, trials=arguments.trials), indent=1)
                arguments.output.write_text(text + "\n")
    for name, entry in report(runs, reference, trials=arguments.trials)["summary"].items():
        cells = ["never" if entry[part] is None else f"{entry[part]:.3f}" for part in ("median", "low", "high")]
        often = f", reached in {entry['reached']} of {entry['of']}" if "reached" in entry else ""
        print(f"{name:<28} {cells[0]} [{cells[1]}, {cells[2]}]{often}")


if __name__ == "__main__":
    main()
