"""False promotions with everything that selects (finalists, repeated challenges, added seeds), and what power is left.

Simulated, with the package's own `champion_test` for every decision. `before` is the rule of the version before this
one: finalists are chosen by the judge bound of their first seed, that seed testifies, and every contest has the level
2.5 %. `now`: chosen by the select score of a run of its own, which does not testify, and at levels that the contests of
one champion share.

A config has a quality, and on each judge image an effect of its own; each of its seeds has a quality about that and
effects of its own; scores on select images have effects that are independent of those on judge images. The spread of
seeds is what `false_champions.json` has measured, the effects of images are from Fashion-MNIST's 5,000 judge images: 5
nats of standard deviation between two configs and 3 between two seeds of one. IMAGES images with effects that are
smaller by √(5,000 / IMAGES) stand for the 5,000: the errors are the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vae_search.core.image_bounds import ImageBounds
from vae_search.registry.promotion.champion_test import ContestResult, champion_test
from vae_search.registry.promotion.evidence import Evidence
from vae_search.registry.state import Turn

JUDGE_IMAGES, IMAGES = 5_000, 50
CONFIG_NATS, SEED_NATS = 5 / np.sqrt(2), 3 / np.sqrt(2)  # effects on one image, standard deviations
FINALISTS = (1, 3, 10, 100)
SWEEPS = (20, 50)
LOOKS_UP_TO = (5, 8, 20)
GAINS_NATS = (0.25, 0.5)
STEPS = (1, 2, 3, 5, 10, 20)
DEFAULT_FINALISTS, DEFAULT_SEEDS, RESERVE = 3, 5, 3
PROGRESS_EVERY, PROGRESS_NATS = 5, 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How finalists are chosen, which level a contest has, and whether it costs a step of its champion's budget."""

    chosen_on_judge: bool
    levels_are_shared: bool
    every_contest_costs: bool = False

    def contest(self, candidate: Evidence, champion: Evidence, *, step: int) -> ContestResult:
        return champion_test(candidate, champion, turn=Turn(step=step if self.levels_are_shared else 1))

    def costs(self, result: ContestResult) -> bool:
        """True if the next contest of the champion comes a step later."""
        return self.every_contest_costs or result.over_seeds.estimate > 0


RULES = {
    "before": Rules(chosen_on_judge=True, levels_are_shared=False),
    "now": Rules(chosen_on_judge=False, levels_are_shared=True),
}
BONFERRONI = Rules(chosen_on_judge=False, levels_are_shared=True, every_contest_costs=True)


class World:
    """Draws configs and their seeds.

    Args:
        unequal: by which factor the spreads of two configs' seeds may differ; log-uniform about `seed_sd`.
    """

    def __init__(self, rng: np.random.Generator, *, seed_sd: float, unequal: float = 1.0) -> None:
        self._rng = rng
        self._seed_sd = seed_sd
        self._half_range = np.log(unequal) / 2
        self._error = 1 / np.sqrt(JUDGE_IMAGES)  # of a mean over images, for an effect of one nat

    def config(self, *, seeds: int, level: float = 0.0) -> Evidence:
        """The seeds of one config that nobody chose; a lower `level` is better."""
        return self._evidence(self._effect(), self._qualities(level, self._spreads(1), seeds), first=None)

    def winner(self, rules: Rules, *, finalists: int, seeds: int, level: float = 0.0) -> Evidence:
        """The one of equally good finalists that the rules choose, with `seeds` seeds that testify."""
        effects = CONFIG_NATS * self._error * self._rng.standard_normal(finalists)
        spreads = self._spreads(finalists)
        qualities = self._qualities(level, spreads, finalists)
        own = SEED_NATS * self._error * self._rng.standard_normal(finalists)
        if rules.chosen_on_judge:  # and the seed that it was chosen by testifies
            best = int((qualities + effects + own).argmin())
            others = self._qualities(level, spreads[best], seeds - 1)
            first = (float(qualities[best]), float(own[best]))
            return self._evidence(effects[best], others, first=first)
        on_select = CONFIG_NATS * self._error * self._rng.standard_normal(finalists)
        best = int((qualities + on_select + own).argmin())
        return self._evidence(effects[best], self._qualities(level, spreads[best], seeds), first=None)

    def worse(self, mean: float) -> float:
        """By how much a challenger is worse, nats: exponential, so that many are hardly worse and a few by far."""
        return float(self._rng.exponential(mean)) if mean else 0.0

    def _effect(self) -> float:
        """Mean over the judge images of a config's effects on them."""
        return float(CONFIG_NATS * self._error * self._rng.standard_normal())

    def _spreads(self, count: int) -> np.ndarray:
        if not self._half_range:
            return np.full(count, self._seed_sd)
        return self._seed_sd * np.exp(self._rng.uniform(-self._half_range, self._half_range, count))

    def _qualities(self, level: float, spread: np.ndarray, count: int) -> np.ndarray:
        return level + spread * self._rng.standard_normal(count)

    def _evidence(self, effect: float, qualities: np.ndarray, *, first: tuple[float, float] | None) -> Evidence:
        means = qualities + SEED_NATS * self._error * self._rng.standard_normal(len(qualities))
        if first is not None:
            qualities, means = np.append(first[0], qualities), np.append(sum(first), means)
        scale = np.sqrt(IMAGES / JUDGE_IMAGES)
        per_image = effect + scale * CONFIG_NATS * self._centred(1) + means[:, None]
        per_image = per_image + scale * SEED_NATS * self._centred(len(means))
        on_select = qualities + SEED_NATS * self._error * self._rng.standard_normal(len(qualities))
        nothing = np.zeros(IMAGES)
        return Evidence(
            comparability_key="same",
            bounds={
                seed: ImageBounds(distortion=nothing, rate=nothing, iwae=-of, baseline=nothing, iwae_k=500)
                for seed, of in enumerate(per_image)
            },
            artifact_seed=int(on_select.argmin()),
        )

    def _centred(self, count: int) -> np.ndarray:
        drawn = self._rng.standard_normal((count, IMAGES))
        return (drawn - drawn.mean(axis=1, keepdims=True)) * np.sqrt(IMAGES / (IMAGES - 1))


def mean_of(evidence: Evidence) -> float:
    return float(np.mean([of.neg_iwae.mean() for of in evidence.testimony.values()]))


def part_of(evidence: Evidence, seeds: Sequence[int]) -> Evidence:
    """Evidence of some of the seeds."""
    artifact = evidence.artifact_seed if evidence.artifact_seed in seeds else seeds[0]
    bounds = {seed: evidence.bounds[seed] for seed in seeds}
    return Evidence(comparability_key="same", bounds=bounds, artifact_seed=artifact)


def single_contests(world: World, rules: Rules, *, finalists: int, contests: int) -> dict[str, float]:
    """Equals, the first contest of a champion that nobody chose: promotions, and by how much the gain is flattered."""
    won, gains = 0, []
    for _ in range(contests):
        candidate = world.winner(rules, finalists=finalists, seeds=DEFAULT_SEEDS)
        result = rules.contest(candidate, world.config(seeds=DEFAULT_SEEDS), step=1)
        won += result.won
        gains.append(result.over_seeds.estimate)
    return {"promoted": won / contests, "gain_bias_nats": round(float(np.mean(gains)), 4)}


def lives(world: World, rules: Rules, *, count: int) -> dict[str, dict[str, float]]:
    """Models that one sweep of equals after the other challenges; after so many: what has happened to them."""
    replaced = dict.fromkeys(SWEEPS, 0)
    flattered: dict[int, list[float]] = {sweeps: [] for sweeps in SWEEPS}
    power = {sweeps: dict.fromkeys(GAINS_NATS, 0) for sweeps in SWEEPS}
    for _ in range(count):
        champion = world.winner(rules, finalists=DEFAULT_FINALISTS, seeds=DEFAULT_SEEDS)
        step, ever = 1, False
        for sweep in range(1, max(SWEEPS) + 1):
            candidate = world.winner(rules, finalists=DEFAULT_FINALISTS, seeds=DEFAULT_SEEDS)
            result = rules.contest(candidate, champion, step=step)
            if result.won:
                champion, step, ever = candidate, 1, True
            else:
                step += rules.costs(result)
            if sweep in SWEEPS:
                replaced[sweep] += ever
                flattered[sweep].append(-mean_of(champion))
                for gain in GAINS_NATS:
                    better = world.winner(rules, finalists=DEFAULT_FINALISTS, seeds=DEFAULT_SEEDS, level=-gain)
                    power[sweep][gain] += rules.contest(better, champion, step=step).won
    return {
        str(sweeps): {
            "models_with_a_false_promotion": replaced[sweeps] / count,
            "record_bias_nats": round(float(np.mean(flattered[sweeps])), 4),
            **{f"power_at_{gain:g}": wins / count for gain, wins in power[sweeps].items()},
        }
        for sweeps in SWEEPS
    }


def lives_with_progress(world: World, rules: Rules, *, others: float, count: int) -> dict[str, float]:
    """Models of which every fifth challenger is truly better by half a nat: promotions, and the share of false ones.

    Args:
        others: nats that the other challengers are worse than the champion by, on average.
    """
    promoted = false = with_false = 0
    for _ in range(count):
        champion, at, step, any_false = world.config(seeds=DEFAULT_SEEDS), 0.0, 1, False
        for sweep in range(1, 21):
            worse = world.worse(others)
            level = at - PROGRESS_NATS if sweep % PROGRESS_EVERY == 0 else at + worse
            candidate = world.winner(rules, finalists=DEFAULT_FINALISTS, seeds=DEFAULT_SEEDS, level=level)
            result = rules.contest(candidate, champion, step=step)
            if result.won:
                promoted, false, any_false = promoted + 1, false + (level >= at), any_false or level >= at
                champion, at, step = candidate, level, 1
            else:
                step += rules.costs(result)
        with_false += any_false
    return {
        "true_promotions_of_4": (promoted - false) / count,
        "false_share_of_promotions": false / max(1, promoted),
        "models_with_a_false_promotion": with_false / count,
    }


def added_seeds(world: World, rules: Rules, *, count: int) -> dict[str, float]:
    """One equal config that asks with three seeds and again with each added one: promoted at any look up to so many."""
    won = dict.fromkeys(LOOKS_UP_TO, 0)
    for _ in range(count):
        everything = world.config(seeds=max(LOOKS_UP_TO))
        champion = world.config(seeds=DEFAULT_SEEDS)
        step = 1
        for seeds in range(3, max(LOOKS_UP_TO) + 1):
            result = rules.contest(part_of(everything, range(seeds)), champion, step=step)
            step += rules.costs(result)
            if result.won:
                for most in LOOKS_UP_TO:
                    won[most] += most >= seeds
                break
    return {str(most): wins / count for most, wins in won.items()}


def power_by_step(world: World, rules: Rules, *, seeds: int, count: int) -> dict[str, dict[str, float]]:
    """Promotions of a config that is better by so much, at the k-th step of a champion's budget."""
    won: dict[int, dict[float, int]] = {step: dict.fromkeys(GAINS_NATS, 0) for step in STEPS}
    for _ in range(count):
        champion = world.config(seeds=seeds)
        for gain in GAINS_NATS:
            better = world.winner(rules, finalists=DEFAULT_FINALISTS, seeds=seeds, level=-gain)
            for step in STEPS:
                won[step][gain] += rules.contest(better, champion, step=step).won
    return {str(k): {f"{gain:g}": wins / count for gain, wins in of.items()} for k, of in won.items()}


def defences(world: World, *, count: int) -> dict[str, dict[str, dict[str, float]]]:
    """What the record of a promoted config is worth in its next contest, with eight seeds in all, by its true gain.

    all testify    eight in its own contest and in its defence
    reserve        five in its own contest, the other three alone in its defence
    five           five seeds in all, in both
    """
    rules = RULES["now"]
    seeds = {"five": (5, 5, 0), "all testify": (8, 8, 0), "reserve": (8, 5, 5)}
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, (trained, testify, defends_from) in seeds.items():
        found[name] = {}
        for gain in GAINS_NATS:
            biases, power = [], dict.fromkeys(GAINS_NATS, 0)
            for _ in range(count):
                everything = world.config(seeds=trained, level=-gain)
                against = world.config(seeds=RESERVE if name == "reserve" else testify)
                if rules.contest(part_of(everything, range(testify)), against, step=1).won:
                    champion = part_of(everything, range(defends_from, trained))
                    biases.append(-gain - mean_of(champion))
                    for more in GAINS_NATS:
                        better = world.config(seeds=testify, level=-gain - more)
                        power[more] += rules.contest(better, champion, step=1).won
            found[name][f"{gain:g}"] = {
                "promoted": len(biases) / count,
                "record_bias_nats": round(float(np.mean(biases)), 4),
                **{f"next_power_at_{more:g}": wins / len(biases) for more, wins in power.items()},
            }
    return found


def studies_of(seed_sd: float, draws: Callable[[int], int]) -> dict[str, Callable[[], object]]:
    """All studies by name; each has random numbers of its own, so it can be made without the others."""

    def world(number: int, *, unequal: float = 1.0) -> World:
        return World(np.random.default_rng([17, number]), seed_sd=seed_sd, unequal=unequal)

    def compared(study: Callable[[Rules], object], **more: Rules) -> Callable[[], object]:
        return lambda: {name: study(rules) for name, rules in (RULES | more).items()}

    def finalists(count: int) -> Callable[[Rules], object]:
        return lambda rules: single_contests(world(1), rules, finalists=count, contests=draws(20_000))

    def progress(number: int, others: float) -> Callable[[], object]:
        return compared(
            lambda rules: lives_with_progress(world(number), rules, others=others, count=draws(2_000)),
            every_contest_costs=BONFERRONI,
        )

    return {
        "single_contest_by_finalists": lambda: {str(count): compared(finalists(count))() for count in FINALISTS},
        "lives_by_sweeps": compared(lambda rules: lives(world(2), rules, count=draws(6_000))),
        "lives_by_sweeps_spreads_unequal_tenfold": compared(
            lambda rules: lives(world(9, unequal=10.0), rules, count=draws(2_000))
        ),
        "lives_with_progress_others_equal": progress(3, 0.0),
        "lives_with_progress_others_worse": progress(8, 0.3),
        "added_seeds_up_to": compared(lambda rules: added_seeds(world(4), rules, count=draws(5_000))),
        "power_by_step_5_seeds": compared(lambda rules: power_by_step(world(5), rules, seeds=5, count=draws(4_000))),
        "power_by_step_8_seeds": compared(lambda rules: power_by_step(world(6), rules, seeds=8, count=draws(2_000))),
        "defences_by_gain": lambda: defences(world(7), count=draws(5_000)),
    }


def simulate(*, seed_sd: float, scale: float = 1.0, only: Sequence[str] = ()) -> dict[str, object]:
    """The studies, or `only` some of them; with `scale` below 1 fewer draws of each."""
    report: dict[str, object] = {"seed_sd_nats": seed_sd, "judge_images": JUDGE_IMAGES}
    for name, study in studies_of(seed_sd, lambda count: max(1, int(scale * count))).items():
        if not only or name in only:
            report[name] = study()
            print(f"{name}: {report[name]}", flush=True)
    return report
