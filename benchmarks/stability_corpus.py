"""Real learning curves, healthy and sick, each with a class given by hand: what `instability` must put in order.

Trainings of the digits and of 5,000 images of Fashion-MNIST, by the product's own trainer. Some are sick by their
config (learning rate, beta, number of images), some because a setting was changed on the way: a rate that rises late, a
KL weight that makes the code collapse after all. Nothing is simulated: all curves are measured.

The classes were given from the picture of each curve, held-out and training bound together, before the measure was
run on them, as an answer to: how unsteady is this training, and has it learned at all?

0  healthy: it learns steadily, however fast or slowly; overfitting is no unsteadiness, `generalisation_gap` tells of it
1  restless: small jitter, or one short disturbance, and a good end
2  unsteady: jumps that one sees at once, or an end that is clearly worse than the middle
3  sick: nothing learned, all lost again, or jumps as high as what there is to learn

    python benchmarks/stability_corpus.py          # about two minutes of one core
    python benchmarks/stability_corpus.py --again  # judges the stored curves, with the classes of the table below
"""

import argparse
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from fashion import slice_task
from machine import describe_machine

from vae_search.data.tasks import JudgeTask, TrainingTask
from vae_search.spec.hyperparameters import Config

HERE = Path(__file__).parent
RECORDED = (
    *("neg_elbo", "rate", "train_neg_elbo", "spike_excess", "learning_rate", "beta"),
    *("grad_norm_median", "grad_norm_max", "clip_share"),
)
DIGITS = Config(latent_dim=8, learning_rate=2e-3, depth=2, width=64, batch_size=32, activation="elu")
FASHION = Config(latent_dim=16, learning_rate=1e-3, depth=2, width=64, batch_size=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One training of the corpus."""

    task: str
    config: Config
    epochs: int
    schedule: str = "constant"
    ema_decay: float = 0.999
    changes: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    """scalars that are set anew before an epoch"""


def digits(*, epochs: int = 40, images: str = "digits", **settings: object) -> Training:
    """A training of the digits; settings are the training's or the config's."""
    return _training(DIGITS, images, epochs, settings)


def fashion(*, epochs: int = 25, images: str = "fashion", **settings: object) -> Training:
    """A training of a slice of Fashion-MNIST."""
    return _training(FASHION, images, epochs, settings)


def _training(base: Config, task: str, epochs: int, settings: dict) -> Training:
    own = {name: settings.pop(name) for name in ("schedule", "ema_decay", "changes") if name in settings}
    return Training(task=task, config=replace(base, **settings), epochs=epochs, **own)


def rates(*pairs: tuple[int, float]) -> dict[int, dict[str, float]]:
    """Changes of the learning rate before epochs."""
    return {epoch: {"learning_rate": rate} for epoch, rate in pairs}


TRAININGS: Mapping[str, Training] = {
    "digits slow": digits(learning_rate=5e-4),
    "digits usual": digits(),
    "digits fast": digits(learning_rate=5e-3),
    "digits fast, cosine": digits(learning_rate=8e-3, schedule="cosine"),
    "digits cosine": digits(learning_rate=3e-3, schedule="cosine"),
    "digits narrow": digits(width=16),
    "digits wide": digits(width=256, learning_rate=1e-3, schedule="cosine"),
    "digits beta 0.5": digits(beta=0.5),
    "digits beta 2": digits(beta=2.0),
    "digits warm-up": digits(kl_warmup_epochs=10),
    "digits two latents": digits(latent_dim=2),
    "digits 15 epochs": digits(epochs=15),
    "digits 80 epochs": digits(epochs=80, learning_rate=1e-3),
    "digits conv": digits(architecture="conv", width=8, epochs=25),
    "fashion slow": fashion(learning_rate=3e-4),
    "fashion usual": fashion(),
    "fashion fast": fashion(learning_rate=3e-3),
    "fashion cosine": fashion(learning_rate=3e-3, schedule="cosine"),
    "fashion warm-up": fashion(kl_warmup_epochs=5),
    "fashion beta 0.5": fashion(beta=0.5),
    "fashion deep": fashion(depth=3, width=128, schedule="cosine"),
    "digits overfits": digits(images="50 digits", width=256, batch_size=10, learning_rate=2e-3, epochs=120),
    "digits overfits, wide": digits(images="50 digits", width=512, batch_size=10, learning_rate=4e-3, epochs=120),
    "fashion overfits": fashion(images="200 of fashion", width=256, batch_size=20, learning_rate=2e-3, epochs=60),
    "digits rate 0.01": digits(learning_rate=1e-2),
    "digits rate 0.02": digits(learning_rate=2e-2),
    "digits rate 0.04": digits(learning_rate=4e-2),
    "digits rate 0.08": digits(learning_rate=8e-2),
    "digits no average": digits(learning_rate=5e-3, ema_decay=0.0),
    "digits rate 0.02, no average": digits(learning_rate=2e-2, ema_decay=0.0),
    "digits batch 4": digits(learning_rate=1e-2, batch_size=4, epochs=25),
    "digits deep, rate 0.02": digits(depth=6, learning_rate=2e-2),
    "digits nearly diverged": digits(changes=rates((15, 5e-2), (16, 2e-3))),
    "digits blown up": digits(changes=rates((15, 0.3), (16, 2e-3))),
    "digits shocks": digits(changes=rates(*((e, r) for at in (10, 18, 26) for e, r in ((at, 4e-2), (at + 1, 2e-3))))),
    "digits cycles": digits(changes=rates(*((e, 3e-2 if e // 4 % 2 else 1e-3) for e in range(8, 41, 4)))),
    "digits late rate": digits(changes=rates((32, 3e-2))),
    "digits late shift": digits(changes=rates((36, 6e-2))),
    "digits collapsed": digits(beta=60.0),
    "digits late collapse": digits(changes={25: {"beta": 100.0}}),
    "digits frozen": digits(learning_rate=1e-7),
    "digits clipped to a stop": digits(learning_rate=5e-3, batch_size=16, grad_clip=0.5),
    "fashion rate 0.01": fashion(learning_rate=1e-2),
    "fashion rate 0.03": fashion(learning_rate=3e-2),
    "fashion no average": fashion(learning_rate=3e-3, ema_decay=0.0),
    "fashion rate 0.01, no average": fashion(learning_rate=1e-2, ema_decay=0.0),
    "fashion nearly diverged": fashion(changes=rates((12, 4e-2), (13, 1e-3))),
    "fashion cycles": fashion(changes=rates(*((e, 1e-2 if e // 3 % 2 else 1e-3) for e in range(6, 26, 3)))),
    "fashion late rate": fashion(changes=rates((20, 1e-2))),
    "fashion late shift": fashion(changes=rates((22, 2e-2))),
    "fashion collapsed": fashion(beta=100.0),
    "fashion late collapse": fashion(changes={16: {"beta": 100.0}}),
    "fashion frozen": fashion(learning_rate=1e-7),
}

LABELS: Mapping[str, int] = {
    **dict.fromkeys(TRAININGS, 0),
    **dict.fromkeys(
        (
            "digits overfits",
            "digits rate 0.02",
            "digits no average",
            "digits batch 4",
            "fashion rate 0.01, no average",
            "fashion cycles",
        ),
        1,
    ),
    **dict.fromkeys(
        (
            "digits overfits, wide",
            "digits rate 0.04",
            "digits rate 0.02, no average",
            "digits cycles",
            "digits late rate",
            "digits clipped to a stop",
            "fashion late rate",
        ),
        2,
    ),
    **dict.fromkeys(
        (
            "digits rate 0.08",
            "digits deep, rate 0.02",
            "digits nearly diverged",
            "digits blown up",
            "digits shocks",
            "digits late shift",
            "digits collapsed",
            "digits late collapse",
            "digits frozen",
            "fashion rate 0.03",
            "fashion nearly diverged",
            "fashion late shift",
            "fashion collapsed",
            "fashion late collapse",
            "fashion frozen",
        ),
        3,
    ),
}
"""class by training; "clipped to a stop" lies flat in the picture, but its record says that every step was clipped"""


def task_of(name: str) -> TrainingTask:
    """Images of a training, by name."""
    from vae_search.data.dataset import load_dataset
    from vae_search.spec.sections import DataSpec

    if "fashion" in name:
        return slice_task(train=5_000 if name == "fashion" else 200, select=1_000)
    whole = TrainingTask.of(load_dataset(DataSpec(source="digits"), cache=Path("none")))
    return replace(whole, train=whole.train[:50]) if name == "50 digits" else whole


def trained(trainings: Mapping[str, Training]) -> Iterator[dict[str, object]]:
    """Curves of the trainings, each as it is stored."""
    from vae_search.core.measurements import Diverged
    from vae_search.vae.inference.scoring import latent_free_baseline
    from vae_search.vae.objective.likelihoods import likelihood_of
    from vae_search.vae.training.plan import TrainingPlan
    from vae_search.vae.training.trainer import Trainer

    trainers: dict[str, tuple[Trainer, float]] = {}
    for number, (name, training) in enumerate(trainings.items()):
        if training.task not in trainers:
            task = task_of(training.task)
            trainer = Trainer(task, threads=1)
            held_out = JudgeTask(images=task.select, pixels=task.pixels)
            baseline = latent_free_baseline(held_out, likelihood_of("bernoulli", task.pixels.levels)).mean()
            trainers[training.task] = (trainer, float(baseline))
        trainer, baseline = trainers[training.task]
        plan = TrainingPlan(
            epochs=training.epochs,
            lr_schedule=training.schedule,
            ema_decay=training.ema_decay,
            log_variance_clamp=(-6.0, 2.0),
            likelihood="bernoulli",
        )
        run = trainer.start(training.config, plan, seed=100 + number)
        for epoch in range(1, training.epochs + 1):
            for scalar, value in training.changes.get(epoch, {}).items():
                run._graph._scalars[scalar].assign(value)  # a setting that goes wrong on the way: no config does this
            try:
                run.train_epoch()
            except Diverged as error:
                print(f"{name}: {error}", flush=True)
                break
        ended = run.measurements[-1]
        print(f"{name:32s} {ended.neg_elbo:8.2f}, rate {ended.rate:6.2f}", flush=True)
        yield {
            "name": name,
            "task": training.task,
            "warmup": training.config.kl_warmup_epochs,
            "baseline": round(baseline, 3),
            "floor": round(trainer.task.floor, 3),
            "curve": {
                column: [float(f"{getattr(each, column):.7g}") for each in run.measurements] for column in RECORDED
            },
        }


def instability_of(curve: dict) -> float:
    """Instability as the product has it, nats."""
    from vae_search.vae.training.diagnostics import instability

    values = curve["curve"]
    return instability(
        *(values[name] for name in ("neg_elbo", "train_neg_elbo", "spike_excess")),
        warmup_epochs=curve["warmup"],
        rate=values["rate"][-1],
        baseline=curve["baseline"],
        floor=curve["floor"],
    ).total


def instability_before(curve: dict) -> float:
    """Definition until metric version 1: the last three above the least before, second differences, spikes."""
    values = np.array(curve["curve"]["neg_elbo"][curve["warmup"] :])
    regression = max(0.0, float(np.median(values[-3:]) - values[:-3].min()))
    roughness = 1.4826 * float(np.median(np.abs(np.diff(values[len(values) // 2 :], n=2)))) / 6**0.5
    return regression + roughness + float(np.mean(curve["curve"]["spike_excess"]))


def ordered_rightly(curves: list[dict], totals: list[float], *, healthy_against_others: bool = False) -> float:
    """Share of pairs of other classes, of the same images, that a measure orders as the hand did; ties count half."""
    known = []
    for curve, total in zip(curves, totals, strict=True):
        label = min(curve["label"], 1) if healthy_against_others else curve["label"]
        known.append((label, "fashion" in curve["task"], total))
    pairs = [(a, b) for a in known for b in known if a[0] < b[0] and a[1] == b[1]]
    return float(np.mean([1.0 if low[2] < high[2] else 0.5 if low[2] == high[2] else 0.0 for low, high in pairs]))


def order_of(curves: list[dict]) -> dict[str, dict[str, float]]:
    """How well the measure of today and the one before it order the corpus."""
    found = {}
    for name, measure in (("today", instability_of), ("before", instability_before)):
        totals = [measure(curve) for curve in curves]
        healthy = [total for curve, total in zip(curves, totals, strict=True) if curve["label"] == 0]
        found[name] = {
            "pairs": round(ordered_rightly(curves, totals), 4),
            "healthy_against_others": round(ordered_rightly(curves, totals, healthy_against_others=True), 4),
            "highest_healthy_nats": round(max(healthy), 4),
        }
        print(f"{name}: {found[name]}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "stability_corpus.json")
    parser.add_argument("--again", action="store_true", help="judge the stored curves instead of training")
    arguments = parser.parse_args()
    if arguments.again:
        report = json.loads(arguments.output.read_text())
    else:
        report = {"curves": list(trained(TRAININGS)), "machine": describe_machine()}
    for curve in report["curves"]:
        curve["label"] = LABELS.get(curve["name"])
    report["order"] = order_of(report["curves"])
    arguments.output.write_text(json.dumps(report, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
