"""CPU seconds of a search that begins with what earlier ones have found, against one that begins with nothing.

Nothing is trained: searches are replayed on surrogates, as in `surrogate_search.py` (rungs, sampler and clock are its
own), by the code of a sweep: `SweepStudy.borrow` takes trials of the same task in; configs of other tasks, one of each
of five earlier searches, are clipped into the space and tried by the rule of `FirstConfigs`.

cold           nothing is known
same data      the sampler knows the trials of an earlier search of 64 trials, with another seed
other data     the best configs of five earlier searches on the digits, brought to 28×28 pixels, are tried first
unrelated      five random configs take their place: what was best on a task that has nothing to do with this one
opposite       the same of five searches on Fashion-MNIST with every parameter turned round in its range: what is best
               there is bad here, the worst case

The task is the one of `rung_study.py`. Curves on the digits are of the same 64 configs, by `--record`, which trains
them (about three minutes of one core) and keeps them in `results/warm_start_digits.json`. The clock stops when any
trial reaches the study's target, which the best three of its 64 configs reach; a search that never gets there counts as
the longest that has.

    python benchmarks/warm_start.py --seeds 40
"""

import argparse
import json
import statistics
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import optuna
from fashion import SPACE
from machine import describe_machine
from surrogate_search import EPOCHS, FASHION_SPACE, LOG, RUNGS, TARGETS, Search, Surrogate, promoting

from vae_search.search.pruning import SuccessiveHalving
from vae_search.search.rungs.first_configs import FirstConfigs
from vae_search.search.running_trial import SweepContext
from vae_search.search.study.study import SweepStudy, TrialResult
from vae_search.services.warm_start.clipping import clipped
from vae_search.spec.sweep_spec import parse_spec
from vae_search.store.sweeps.warm_started import TakenConfig, WarmStarted

HERE = Path(__file__).parent
DIGITS = HERE / "results" / "warm_start_digits.json"
SOURCES, SOURCE_TRIALS = 5, 64
SPEC = parse_spec(
    json.dumps(
        {
            "name": "warm",
            "data": {"source": "digits"},  # never read
            "search_space": SPACE,
            "budget": {"trials": SOURCE_TRIALS, "epochs": EPOCHS},
            "pruning": {"min_epochs": RUNGS[0]},
        }
    ),
    base=HERE,
)
TARGET = "3 of 64"
GOALS = {"same data": 2 / 3, "other data": 0.85, "unrelated": 1.05, "opposite": 1.05}
RESAMPLES = 10_000


class Turned:
    """A task on which a config is as good as the one at the other ends of all ranges is on another task."""

    def __init__(self, surrogate: Surrogate) -> None:
        self._surrogate = surrogate

    def trained(self, configs: list[dict], *, seed: int) -> tuple[np.ndarray, np.ndarray]:
        return self._surrogate.trained([turned(params) for params in configs], seed=seed)


def turned(params: Mapping[str, object]) -> dict:
    """The config at the other ends of all ranges, on their own scales."""
    found = {}
    for name, entry in SPACE.items():
        value = params[name]
        if "choices" in entry:
            found[name] = entry["choices"][-1 - entry["choices"].index(value)]
        else:
            other = entry["low"] * entry["high"] / value if name in LOG else entry["low"] + entry["high"] - value
            found[name] = round(other) if entry["type"] == "int" else other
    return found


class WarmSearch(Search):
    """A search that tries configs of other ones; it remembers how its trials ended."""

    def __init__(self, study: SweepStudy, surrogate: Surrogate | Turned, seed: int, first: list[dict]) -> None:
        super().__init__(_Enqueuing(study, first), surrogate, seed)
        self.results: list[TrialResult] = []

    def end(self, trial: int) -> None:
        super().end(trial)
        self.results.append(self.study.told)

    @property
    def best(self) -> TrialResult:
        return min((each for each in self.results if each.objective is not None), key=lambda each: each.objective)


class _Enqueuing:
    """A study that is asked as a driver asks it: some of the first trials have configs of other sweeps."""

    def __init__(self, study: SweepStudy, taken: list[dict]) -> None:
        self._study = study
        self._rungs = SuccessiveHalving(SPEC)
        configs = tuple(
            TakenConfig(sweep="earlier", incarnation=None, trial=0, spec_sha256="", params=params, changed=())
            for params in taken
        )
        warm = WarmStarted(configs=configs)
        context = SweepContext(spec=SPEC, lease=1, comparability_key="", versions={}, warm_started=warm)
        self._first = FirstConfigs(context, self._rungs, completed=dict)

    def ask(self, trial: int) -> dict:
        return self._study.ask(trial, self._first.of(trial))

    def note(self, trial: int, neg_bounds: Mapping[int, float]) -> None:
        self._study.note(trial, neg_bounds)
        for epoch, value in neg_bounds.items():
            self._rungs.note(epoch, trial, value, epoch_flops=None)

    def tell(self, result: TrialResult) -> None:
        self.told = result
        self._study.tell(result)


def study_of(seed: int) -> SweepStudy:
    return SweepStudy(FASHION_SPACE, sampler="tpe", seed=seed, rungs=RUNGS)


def searched(surrogate: Surrogate | Turned, seed: int) -> WarmSearch:
    """An earlier search, to its end."""
    search = WarmSearch(study_of(seed), surrogate, seed, [])
    for _ in promoting(search):
        pass
    return search


def cpu_s_to(target: float, search: Iterator[float], spending: Search) -> float | None:
    """CPU seconds until the target; None if the search is over before."""
    for value in search:
        if value <= target:
            return spending.spent_s
    return None


def replay(
    way: str, target: float, surrogate: Surrogate, sources: Mapping[str, list[WarmSearch]], seed: int
) -> float | None:
    """One search of one way."""
    study, first = study_of(seed), []
    if way == "same data":
        lender = sources[way][seed % len(sources[way])]
        for result in lender.results:
            study.borrow(result)
    elif way == "unrelated":
        drawing = SweepStudy(FASHION_SPACE, sampler="random", seed=50_000 + seed)
        first = [drawing.ask(number) for number in range(SOURCES)]
    elif way != "cold":
        best = [dict(clipped(FASHION_SPACE, lender.best.params).params) for lender in sources[way]]
        first = [params for place, params in enumerate(best) if params not in best[:place]]
    search = WarmSearch(study, surrogate, seed, first)
    return cpu_s_to(target, promoting(search), search)


def ratio(warm: list[float], cold: list[float]) -> dict:
    """Ratio of medians with its 95 % bootstrap interval, over pairs of searches with the same seed."""
    rng, pairs = np.random.default_rng(0), np.array([warm, cold])
    drawn = pairs[:, rng.integers(0, len(warm), (RESAMPLES, len(warm)))]
    ratios = np.median(drawn[0], axis=1) / np.median(drawn[1], axis=1)
    low, high = np.quantile(ratios, (0.025, 0.975))
    return {"ratio": statistics.median(warm) / statistics.median(cold), "interval": [float(low), float(high)]}


def record(output: Path) -> None:
    """Train the study's configs on the digits, 28×28 pixels."""
    from PIL import Image
    from rung_study import CONFIGS, SEEDS, chosen_configs
    from sklearn.datasets import load_digits

    from vae_search.data.image_checks import Images
    from vae_search.data.pixel_statistics import PixelStatistics
    from vae_search.data.tasks import TrainingTask
    from vae_search.spec.hyperparameters import Config
    from vae_search.vae.training.plan import TrainingPlan
    from vae_search.vae.training.trainer import Trainer

    small = (load_digits().images * (255 / 16)).astype(np.uint8)
    grey = np.array([np.asarray(Image.fromarray(image).resize((28, 28), Image.Resampling.BICUBIC)) for image in small])
    grey = grey[..., None]
    select = (np.random.RandomState(777).random_sample(grey[1280:].shape) < grey[1280:] / 255.0).astype(np.uint8)
    pixels = PixelStatistics.of(Images(pixels=grey[:1280], scale=255.0), levels=2)
    task = TrainingTask(train=grey[:1280], select=select, scale=255.0, dynamic=True, floor=0.0, pixels=pixels)
    trainer = Trainer(task, threads=1)
    plan = TrainingPlan(
        epochs=EPOCHS,
        lr_schedule="constant",
        ema_decay=0.999,
        log_variance_clamp=(-6.0, 2.0),
        likelihood="bernoulli",
    )
    curves = []
    for number, params in enumerate(chosen_configs()):
        for seed in range(SEEDS):
            run = trainer.start(Config.from_params(params), plan, seed=1000 * number + seed)
            epochs = [run.train_epoch() for _ in range(EPOCHS)]
            cpu_s, values = sum(each.cpu_s for each in epochs), [round(each.neg_elbo, 3) for each in epochs]
            curves.append({"params": params, "neg_elbos": values, "cpu_s": cpu_s})
        print(f"{number + 1} of {CONFIGS} configs trained", flush=True)
        output.write_text(json.dumps({"curves": curves, "machine": describe_machine()}) + "\n")


def main() -> None:
    import surrogate_search

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--record", action="store_true", help="train the configs on the digits first")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "warm_start.json")
    arguments = parser.parse_args()
    if arguments.record:
        record(DIGITS)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    study = json.loads((HERE / "results" / "rung_study.json").read_text())
    fashion = Surrogate([curve for curve in study["curves"] if curve["warmup"] == 0])
    digits = Surrogate(json.loads(DIGITS.read_text())["curves"])
    drawing = SweepStudy(FASHION_SPACE, sampler="random", seed=10**6)
    configs = [drawing.ask(trial) for trial in range(2000)]
    lowest = np.concatenate([fashion.trained(configs, seed=seed)[0].min(axis=1) for seed in (0, 1)])
    target = float(np.quantile(lowest, TARGETS[TARGET]))
    surrogate_search.TRIALS = SOURCE_TRIALS
    tasks = {"same data": fashion, "other data": digits, "opposite": Turned(fashion)}
    sources = {way: [searched(task, 10_000 + seed) for seed in range(SOURCES)] for way, task in tasks.items()}
    found: dict[str, list[float | None]] = {
        way: [replay(way, target, fashion, sources, seed) for seed in range(arguments.seeds)]
        for way in ("cold", *GOALS)
    }
    longest = max(value for values in found.values() for value in values if value is not None)
    filled = {way: [longest if value is None else value for value in values] for way, values in found.items()}
    report: dict[str, object] = {"target": target, "seeds": arguments.seeds, "cpu_s": found, "ways": {}}
    print(f"target {target:.2f} nats; cold: median {statistics.median(filled['cold']):.1f} CPU s")
    for way, goal in GOALS.items():
        entry = ratio(filled[way], filled["cold"]) | {"goal": goal, "median_cpu_s": statistics.median(filled[way])}
        entry["reached"] = sum(value is not None for value in found[way])
        report["ways"][way] = entry
        low, high = entry["interval"]
        print(
            f"{way:<11} median {entry['median_cpu_s']:6.1f} CPU s, {entry['ratio']:.2f} of cold [{low:.2f}, {high:.2f}]"
            f" (goal at most {goal:.2f}), reached in {entry['reached']} of {arguments.seeds}"
        )
    arguments.output.write_text(json.dumps(report | {"machine": describe_machine()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
