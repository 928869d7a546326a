"""Rule that stops a search which has nothing left to gain: a pure function of the values so far.

The trials of the later half are taken for draws of what the sampler suggests now, and the lower tail of their values
for exponential: with a tail that ends, as that of a loss does, the true chances are smaller. The mean excess a of the k
least values below the next one estimates its scale (Hill 1975 for heavy tails; mean excess in Embrechts, Klüppelberg
and Mikosch 1997, "Modelling Extremal Events", section 6.5); since k · a is a sum of k exponential values, 2 k â / a has
a chi-square distribution of 2 k degrees of freedom, and its lower quantile gives an upper bound on a.

The chance U of one further draw to be less than the least of m has a Beta(1, m) distribution (Rényi 1962), and one that
is lower by g nats the chance U exp(-g / a). So the chance that none of `left` draws gains g is about
m / (m + left exp(-g / a)). A search stops once this reaches the confidence that its spec asks for.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

from vae_search.spec.parts.gain_stop import GainStop

LEAST_VALUES = 6  # completed trials of the later half; of fewer no tail is known
TAIL_SHARE = 0.5  # of the completed trials of the later half: those whose excess is averaged


@dataclass(frozen=True, slots=True, kw_only=True)
class GainForecast:
    """Forecast of what the rest of a search may gain."""

    chance: float
    """that one of the trials left is better than the best by more than `gain_nats`"""
    scale_nats: float
    """upper bound on the mean distance between neighbours at the lower end of the values"""
    tried: int
    left: int

    def is_over(self, rule: GainStop) -> bool:
        """True if going on is not worth it."""
        return self.chance <= 1 - rule.confidence


def forecast_gain(values: Mapping[int, float], *, tried: int, trials: int, rule: GainStop) -> GainForecast | None:
    """Forecast the rest of a search; None while too few trials have completed.

    Args:
        values: objective of each completed trial, nats, by trial.
        tried: trials that have ended, or wait at a rung behind better ones.
        trials: budget of trials.
    """
    late = sorted(value for trial, value in values.items() if trial >= tried // 2)
    if len(late) < LEAST_VALUES:
        return None
    tail = max(2, round(TAIL_SHARE * len(late)))
    excess = sum(late[tail] - value for value in late[:tail]) / tail
    scale = excess * 2 * tail / _chi_square_quantile(1 - rule.confidence, 2 * tail)
    behind = late[0] - min(values.values())  # what the later half lacks to the best of all
    left, draws = max(0, trials - tried), tried - tried // 2
    share = math.exp(-(rule.gain_nats + behind) / scale) if scale > 0 else 0.0
    return GainForecast(chance=left * share / (draws + left * share), scale_nats=scale, tried=tried, left=left)


def _chi_square_quantile(probability: float, degrees: int) -> float:
    """Quantile of the chi-square distribution (Wilson and Hilferty 1931), within 1 % from 6 degrees on."""
    spread = 2 / (9 * degrees)
    return float(degrees * max(1e-3, 1 - spread + NormalDist().inv_cdf(probability) * math.sqrt(spread)) ** 3)
