"""Stop of a search that has nothing left to gain: what it saves, and what is lost, over replayed searches.

Searches on the surrogate of `surrogate_search.py` (TPE, rungs that promote) go to the end of their budget. After each
trial that completes, the rule of `budget.stop` is asked; where it would have stopped, the rest of the same search says
what was saved and what was lost. A stop is wrong if the rest gains more than `gain_nats`: at confidence 0.95 at most
one search in twenty may have a wrong one.

    python benchmarks/gain_stop.py --seeds 60
"""

import argparse
import json
import statistics
import warnings
from pathlib import Path

import optuna
import surrogate_search
from machine import describe_machine
from surrogate_search import Search, Surrogate, promoting, tpe

from vae_search.search.limits.gain_rule import forecast_gain
from vae_search.spec.parts.gain_stop import GainStop

HERE = Path(__file__).parent
BUDGETS = (64, 128)
GAINS_NATS = (0.05, 0.1, 0.25, 0.5, 1.0)
CONFIDENCE = 0.95


class Recorded(Search):
    """A search that keeps, for each trial that completes: trials begun, CPU seconds, number, value."""

    def __init__(self, surrogate: Surrogate, seed: int) -> None:
        super().__init__(tpe(seed), surrogate, seed)
        self.ends: list[tuple[int, float, int, float]] = []

    def end(self, trial: int) -> None:
        super().end(trial)
        self.ends.append((len(self._params), self.spent_s, trial, float(self._curves[trial][-1])))


def stopped(search: Recorded, rule: GainStop, *, trials: int) -> tuple[float, float] | None:
    """Share of the search's CPU seconds that a stop saves, and nats that it loses; None if the rule never stops it."""
    values: dict[int, float] = {}
    for begun, spent_s, trial, value in search.ends:
        values[trial] = value
        found = forecast_gain(values, tried=begun, trials=trials, rule=rule)
        if found is not None and found.left and found.is_over(rule):
            best = min(value for *_, value in search.ends)
            return 1 - spent_s / search.spent_s, min(values.values()) - best
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=60)
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results" / "gain_stop.json")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    study = json.loads((HERE / "results" / "rung_study.json").read_text())
    surrogate = Surrogate([curve for curve in study["curves"] if curve["warmup"] == 0])
    report: list[dict] = []
    for trials in BUDGETS:
        surrogate_search.TRIALS = trials
        searches = [Recorded(surrogate, seed) for seed in range(arguments.seeds)]
        for search in searches:
            for _ in promoting(search):
                pass
        for gain_nats in GAINS_NATS:
            rule = GainStop(gain_nats=gain_nats, confidence=CONFIDENCE)
            ends = [stopped(search, rule, trials=trials) for search in searches]
            saved = [0.0 if end is None else end[0] for end in ends]
            lost = [end[1] for end in ends if end is not None]
            entry = {
                "trials": trials,
                "gain_nats": gain_nats,
                "searches": len(searches),
                "stopped": len(lost),
                "wrong": sum(loss > gain_nats for loss in lost),
                "mean_saved": statistics.mean(saved),
                "mean_lost_nats": statistics.mean(lost) if lost else 0.0,
                "most_lost_nats": max(lost, default=0.0),
            }
            report.append(entry)
            print(
                f"{trials} trials, gain {gain_nats:g} nats: {entry['stopped']} of {len(searches)} stopped, "
                f"{entry['wrong']} wrongly; {entry['mean_saved']:.0%} of the time saved, "
                f"{entry['mean_lost_nats']:.3f} nats lost (most {entry['most_lost_nats']:.2f})",
                flush=True,
            )
    arguments.output.write_text(json.dumps({"rules": report, "machine": describe_machine()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
