"""Draw the pictures of benchmarks/README.md from benchmarks/results/*.json.

python benchmarks/plots.py
"""

import json
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from pareto_pruning import curve_of
from PIL import Image

RESULTS = Path(__file__).parent / "results"
COLOURS = {"ours": "#0b6e4f", "bare": "#7a7a7a", "tune": "#c44536", "tune-reuse": "#e09f3e"} | {
    "random": "#7a7a7a",
    "tpe": "#e09f3e",
    "one-epoch": "#c44536",
    "early": "#3d9970",
    "without": "#0b6e4f",
    "with": "#c44536",
    "pruned": "#0b6e4f",
    "whole": "#7a7a7a",
}
plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 130})


def read(name: str) -> dict | None:
    path = RESULTS / name
    return json.loads(path.read_text()) if path.exists() else None


def draw_speed() -> None:
    runs = {trials: found for trials in (12, 48, 96) if (found := read(f"sweep_speed_{trials}.json"))}
    figure, panels = plt.subplots(1, len(runs), figsize=(2.6 * len(runs) + 1, 2.8), squeeze=False)
    for panel, (trials, found) in zip(panels[0], runs.items(), strict=True):
        for position, (kind, seconds) in enumerate(found["seconds"].items()):
            panel.bar(position, found["medians_s"][kind], color=COLOURS[kind], width=0.7)
            panel.plot([position] * len(seconds), seconds, "k.", markersize=4)
            panel.text(position, max(seconds), f"{found['medians_s'][kind]:.0f} s", ha="center", va="bottom")
        panel.set_xticks(range(len(found["seconds"])), list(found["seconds"]), rotation=20)
        panel.set_title(f"{trials} trials")
    panels[0][0].set_ylabel("seconds, start to end")
    save(figure, "sweep_speed.png")


def draw_rungs() -> None:
    found = read("rung_study.json")
    if found is None:
        return
    figure, panels = plt.subplots(1, 3, figsize=(9, 2.8))
    titles = {
        "tau": "Kendall's tau, better half",
        "recall": "recall of the best third",
        "regret": "regret, nats",
    }
    for panel, (measure, title) in zip(panels, titles.items(), strict=True):
        for arm, rungs in found["arms"].items():
            epochs = [entry["epoch"] for entry in rungs]
            middle, low, high = (
                np.array([entry[measure][part] for entry in rungs]) for part in ("value", "low", "high")
            )
            panel.plot(epochs, middle, ".-", color=COLOURS[arm], label=f"{arm} warm-up")
            panel.fill_between(epochs, low, high, color=COLOURS[arm], alpha=0.15, linewidth=0)
        panel.set_title(title)
        panel.set_xlabel(f"epoch of the rung, of {found['epochs']}")
        panel.set_ylim(bottom=min(0.0, panel.get_ylim()[0]))
    panels[0].legend(frameon=False)
    save(figure, "rung_study.png")


def draw_target() -> None:
    found = read("time_to_target.json")
    if found is None:
        return
    figure, panel = plt.subplots(figsize=(6, 2.4))
    for position, (way, values) in enumerate(reversed(found["cpu_s"].items())):
        reached = [value for value in values if value is not None]
        panel.plot(reached, [position] * len(reached), "o", color=COLOURS[way], alpha=0.6 if len(values) < 20 else 0.1)
        panel.plot(found["summary"][way]["median_cpu_s"], position, "|", color="black", markersize=18)
        missed = len(values) - len(reached)
        if missed:
            panel.text(max(reached, default=0), position + 0.2, f"{missed} of {len(values)} not reached", fontsize=8)
    panel.set_yticks(range(len(found["cpu_s"])), list(reversed(found["cpu_s"])))
    panel.set_xlabel(f"CPU seconds to {found['target']:.1f} nats on held-out images; bar: median")
    panel.set_xlim(left=0)
    save(figure, "time_to_target.png")


def draw_quality() -> None:
    found = read("fashion_quality.json")
    if found is None:
        return
    figure, (search, final) = plt.subplots(1, 2, figsize=(8, 2.8), sharey=True)
    for curve in found["search"]["curves"]:
        search.plot(range(1, len(curve) + 1), curve, color="#0b6e4f", alpha=0.5, linewidth=1)
    for curve in found["final"]["curves"]:
        final.plot(range(1, len(curve) + 1), curve, color="#0b6e4f", linewidth=1)
    search.set_title(f"search, {found['search']['minutes']:.0f} minutes")
    final.set_title("the best config, two seeds")
    lowest = min(min(curve) for curve in found["final"]["curves"])
    search.set_ylim(lowest - 1, lowest + 25)
    search.set_ylabel("-ELBO on select images, nats")
    for panel in (search, final):
        panel.set_xlabel("epoch")
    save(figure, "fashion_quality.png")


def draw_pareto() -> None:
    found = read("pareto_pruning.json")
    if found is None:
        return
    figure, panel = plt.subplots(figsize=(6, 3))
    reference = (found["reference"]["neg_elbo"], found["reference"]["log10_flops"])
    for way, label in (("whole", "to the end"), ("pruned", "with pruning")):
        curves = [curve_of(run[way], reference) for run in found["runs"]]
        end_s = min(cpu_s[-1] for cpu_s, _ in curves)  # until then every repeat has a value
        at_s = np.linspace(0, end_s, 400)
        values = [np.array([0.0, *volumes])[np.searchsorted(cpu_s, at_s, side="right")] for cpu_s, volumes in curves]
        panel.plot(at_s, np.median(values, axis=0), color=COLOURS[way], label=f"{label}, median")
        panel.fill_between(
            at_s, *np.quantile(values, (0.25, 0.75), axis=0), color=COLOURS[way], alpha=0.15, linewidth=0
        )
        if way == "pruned":
            same_s = np.median([cpu_s[found["trials"] - 1] for cpu_s, _ in curves])
            panel.axvline(same_s, color=COLOURS[way], linestyle=":", linewidth=1)
            panel.text(same_s, 0, f" {found['trials']} trials", fontsize=8, va="bottom")
    final = found["summary"]["target"]["median"]
    panel.axhline(final, color="black", linewidth=0.7, linestyle="--", label="to the end, its final value")
    panel.set_xlabel("CPU seconds; shaded: the middle half of the repeats")
    panel.set_ylabel("hypervolume, nats × decades")
    panel.set_xlim(left=0)
    panel.set_ylim(bottom=0)
    panel.legend(frameon=False, loc="lower right")
    save(figure, "pareto_pruning.png")


def draw_stability() -> None:
    found = read("stability_corpus.json")
    if found is None:
        return
    curves, columns = found["curves"], 9
    rows = -(-len(curves) // columns)
    figure, panels = plt.subplots(rows, columns, figsize=(1.95 * columns, 1.5 * rows), dpi=80)
    for panel in panels.flat[len(curves) :]:
        panel.axis("off")
    colours = {0: "#0b6e4f", 1: "#8a6d00", 2: "#c05000", 3: "#b00020"}
    for panel, curve in zip(panels.flat, curves, strict=False):
        held_out, training = (np.array(curve["curve"][name]) for name in ("neg_elbo", "train_neg_elbo"))
        epochs = np.arange(1, len(held_out) + 1)
        panel.plot(epochs, training, color="#9aa7b4", linewidth=0.8)
        panel.plot(epochs, held_out, color="black", linewidth=1.0)
        panel.axhline(curve["baseline"], color="#4078c0", linewidth=0.6, linestyle=":")
        low = min(held_out.min(), training.min())
        # What blows up leaves the picture above; the first epoch of training may be anywhere.
        gained = abs(curve["baseline"] - low)
        high = min(max(held_out.max(), training[1:].max()), curve["baseline"] + 0.6 * gained + 0.3)
        high = max(high, held_out[0])
        panel.set_ylim(low - 0.05 * (high - low), high + 0.1 * (high - low))
        panel.set_title(f"{curve['label']}  {curve['name']}", fontsize=6.5, color=colours[curve["label"]], pad=2)
        panel.tick_params(labelsize=5, length=2, pad=1)
    figure.tight_layout(pad=0.4)
    save(figure, "stability_corpus.png")
    picture = RESULTS / "stability_corpus.png"
    Image.open(picture).convert("RGB").quantize(16).save(picture, optimize=True)  # a third of the bytes


def save(figure: plt.Figure, name: str) -> None:
    figure.tight_layout()
    figure.savefig(RESULTS / name)
    print(RESULTS / name)


def main() -> None:
    for draw in (draw_speed, draw_rungs, draw_target, draw_quality, draw_pareto, draw_stability):
        draw()


if __name__ == "__main__":
    main()
