"""Replay of sweeps with the first rung after 1/27 and after 1/9 of the epochs, on recorded learning curves.

Nothing is trained here, and the sampler does not learn. A sweep takes its trials in random order, each a recorded
training with either of its two seeds, on two workers; a trial waits at its rung as in a sweep (the rule `at-once` of
`rung_rules.py`), and in the end each rung has three places at least, as with the default number of finalists. One
in three goes on. Both choices of the first rung see the same trials in the same order.

fashion       64 configs of `rung_study.py`, 27 epochs of 39 or 78 steps
digits        36 configs of `rung_study.py --data digits`, 81 epochs of 10 to 38 steps
digits-27     the same curves, of which the sweep trains the first 27 epochs
digits-large  64 configs of `warm_start.py --record`: digits of 28×28 pixels, the space of fashion, 27 epochs of 5
              or 10 steps
…-warm        the configs of the first two with KL warm-ups of up to a third of the epochs

regret     nats by which the best trial that completed ends above the best of the sweep, were all trained to the end
learned    share of the trainings that end in the best third which at the first rung are better than the mean image
CPU s      of training, in all, and until a trial has completed that is among the sweep's best three

A sweep with more trials than there are configs takes their trainings with both seeds, and then some of them
several times, which favours whoever cuts early. Intervals (95 %) are from resampled sweeps. All of these draw on the
same configs, which the intervals do not doubt.

    python benchmarks/first_rung.py
"""

import argparse
import json
from pathlib import Path

import numpy as np
from rung_rules import Pool, measured, replay

HERE = Path(__file__).parent
SIZES = (24, 64, 200)
WORKERS, FINALISTS, ETA, RESAMPLES = 2, 3, 3, 2000
MEAN_IMAGE = {"fashion": 384.66, "digits": 27.04, "digits-large": 341.75}
"""-log-likelihood of the held-out images by the mean of the training images, nats: what a model without latents has"""
SHARES = {"early": 27, "late": 9}  # of the epochs, one in so many before the first rung
HEADER = (
    "trials   regret (95 %): early    late              added by early             CPU s, of late's"
    "           to the target, of late's   reached"
)


def pool_in(name: str, *, warm: bool = False, epochs: int | None = None) -> Pool:
    """Recorded trainings without KL warm-up, or with one, cut to their first epochs: (configs · seeds, epochs)."""
    curves = json.loads((HERE / "results" / name).read_text())["curves"]
    chosen = [curve for curve in curves if (curve.get("warmup", 0) > 0) == warm]
    values = np.array([curve["neg_elbos"] for curve in chosen])
    epoch_s = np.array([curve["cpu_s"] for curve in chosen]) / values.shape[1]
    return Pool(values=values[:, :epochs], epoch_s=epoch_s, diverges=np.zeros(len(values), int))


def pools() -> dict[str, Pool]:
    return {
        "fashion": pool_in("rung_study.json"),
        "digits": pool_in("rung_study_digits.json"),
        "digits-27": pool_in("rung_study_digits.json", epochs=27),
        "digits-large": pool_in("warm_start_digits.json"),
        "fashion-warm": pool_in("rung_study.json", warm=True),
        "digits-warm": pool_in("rung_study_digits.json", warm=True),
    }


def rungs_from(first: int, epochs: int) -> tuple[int, ...]:
    """Rungs at first · 3^k, below the last epoch."""
    found, rung = [], first
    while rung < epochs:
        found.append(rung)
        rung *= ETA
    return tuple(found)


def drawn(pool: Pool, size: int, rng: np.random.Generator) -> Pool:
    """The trials of one sweep, in their order; the two trainings of a config stand next to each other in `pool`."""
    trainings = len(pool.values)
    if size <= trainings // 2:
        chosen = 2 * rng.permutation(trainings // 2)[:size] + rng.integers(0, 2, size)
    else:
        rounds = [rng.permutation(trainings) for _ in range(-(-size // trainings))]
        chosen = rng.permutation(np.concatenate(rounds)[:size])
    return Pool(values=pool.values[chosen], epoch_s=pool.epoch_s[chosen], diverges=pool.diverges[chosen])


def learned(pool: Pool, mean_image: float) -> dict[str, float]:
    """Share of the trainings in the final best third that are better than the mean image at each first rung."""
    epochs = pool.values.shape[1]
    best = np.argsort(pool.values[:, -1])[: len(pool.values) // ETA]
    return {
        name: float((pool.values[best, max(1, epochs // share) - 1] < mean_image).mean())
        for name, share in SHARES.items()
    }


def interval(part: np.ndarray, whole: np.ndarray | None = None) -> list[float]:
    """95 % bootstrap interval of a mean, or of the ratio of two means, over pairs."""
    rows = np.random.default_rng(0).integers(0, len(part), (RESAMPLES, len(part)))
    means = part[rows].mean(axis=1) / (1.0 if whole is None else whole[rows].mean(axis=1))
    return [float(quantile) for quantile in np.quantile(means, (0.025, 0.975))]


def swept(pool: Pool, size: int, share: int, *, repeats: int) -> dict[str, np.ndarray]:
    """Regret and costs of each sweep with the first rung after a share of the epochs."""
    epochs = pool.values.shape[1]
    rungs, found = rungs_from(max(1, epochs // share), epochs), []
    for repeat in range(repeats):
        trials = drawn(pool, size, np.random.default_rng([size, repeat]))
        order = list(range(size))
        ended = replay(trials, order, "at-once", WORKERS, rung_epochs=rungs, least_in_the_end=FINALISTS)
        found.append(measured(trials, ended))
    return {name: np.array([one[name] for one in found]) for name in found[0]}


def compared(pool: Pool, size: int, *, repeats: int) -> dict:
    """Means over the same sweeps for both first rungs, and what the early one changes."""
    early, late = (swept(pool, size, share, repeats=repeats) for share in SHARES.values())
    added = early["regret"] - late["regret"]
    ratios = {
        name: {"value": float(early[name].mean() / late[name].mean()), "interval": interval(early[name], late[name])}
        for name in ("cpu_s", "cpu_s_to_target")
    }
    return {
        share: {name: float(values.mean()) for name, values in of.items()}
        | {"regret_95": float(np.quantile(of["regret"], 0.95))}
        for share, of in (("early", early), ("late", late))
    } | {"regret_added": {"value": float(added.mean()), "interval": interval(added)}, "ratios": ratios}


def line(size: int, found: dict) -> str:
    """One line of the printed table."""
    cells = [f"{size:6d}"]
    cells += [f"{found[share]['regret']:8.3f} ({found[share]['regret_95']:5.2f})" for share in SHARES]
    for entry in (found["regret_added"], *found["ratios"].values()):
        low, high = entry["interval"]
        cells.append(f"{entry['value']:6.3f} [{low:6.3f}, {high:6.3f}]")
    return "   ".join([*cells, *(f"{found[share]['reached']:.2f}" for share in SHARES)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=200, help="sweeps for each figure")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "first_rung.json")
    arguments = parser.parse_args()
    results = []
    for name, pool in pools().items():
        mean_image = MEAN_IMAGE[name.removesuffix("-27").removesuffix("-warm")]
        begun = learned(pool, mean_image)
        print(f"\n{name}: learned {begun['early']:.2f}, {begun['late']:.2f}\n{HEADER}")
        for size in SIZES:
            found = compared(pool, size, repeats=arguments.repeats)
            results.append({"curves": name, "trials": size, "learned": begun} | found)
            print(line(size, found), flush=True)
    report = {"repeats": arguments.repeats, "workers": WORKERS, "least_in_the_end": FINALISTS, "results": results}
    arguments.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
