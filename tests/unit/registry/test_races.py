"""Eight processes promote into one model at once: one order, nothing lost, nothing twice, the best one on top."""

import subprocess
import sys
from collections import Counter

import pytest

from tests.support.candidates import NOW, put_sweep
from tests.support.paths import ROOT
from vae_search.registry.log import Action
from vae_search.registry.model_integrity import inspect_model
from vae_search.registry.registry import Registry
from vae_search.store import paths as store_paths
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger import artifacts

PROCESSES, EACH = 8, 50
PROMOTE_FIFTY = """
import os, random, sys
os.fsync = lambda _: None
from tests.support.candidates import NOW, FakeBackend, candidate
from tests.unit.registry.test_races import EACH, is_healthy, level_of
from vae_search.registry.promotion.pipeline import evaluate_candidate
from vae_search.registry.registry import Registry
from vae_search.registry.promotion.decision import PromotionPolicy
from vae_search.store.backends.uri import open_store

store, me = open_store(sys.argv[1]), int(sys.argv[2])
registry, rules, backend = Registry(store, "fashion", now=lambda: NOW), PromotionPolicy(), FakeBackend()
mine = [me * EACH + number for number in range(EACH)]
random.Random(me).shuffle(mine)
print("ready", flush=True)
sys.stdin.readline()
for number in mine:
    unhealthy = {} if is_healthy(number) else {"active_units": 0}
    levels = [level_of(number) + seed / 100 for seed in range(3)]
    it = candidate(levels, trial=number, **unhealthy)
    decision = evaluate_candidate(store, registry, it, rules=rules, backend=backend, now=lambda: NOW)
    print(number, decision.outcome, flush=True)
"""


def level_of(number: int) -> float:
    """Nats; every candidate is a level of its own, far enough from the next to be told apart."""
    return 205.0 + 0.3 * (number * 147 % (PROCESSES * EACH))


def is_healthy(number: int) -> bool:
    """One in four is not, the best of all among them."""
    return number * 147 % 4 != 0


@pytest.mark.slow
def test_of_four_hundred_candidates_the_best_healthy_one_ends_as_champion(store: LocalStore):
    put_sweep(store)
    for number in range(PROCESSES * EACH):
        artifacts.keep(store, "digits", store_paths.confirm_key(number, 1), {artifacts.WEIGHTS_FILE: b"%d" % number})
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", PROMOTE_FIFTY, store.location, str(me)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for me in range(PROCESSES)
    ]
    for racer in racers:
        racer.stdout.readline()
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    told = [line.split() for racer in racers for line in racer.communicate()[0].splitlines()]

    assert [racer.returncode for racer in racers] == [0] * PROCESSES
    state = Registry(store, "fashion", now=lambda: NOW).state()  # reads the chain from its first entry on
    verdicts = [entry for entry in state.entries if entry.action in (Action.PROMOTE, Action.REJECT)]
    in_log = {entry.candidate: f"{entry.action}{'d' if entry.action is Action.PROMOTE else 'ed'}" for entry in verdicts}
    champions = [int(state.versions[version].candidate.split("/")[1]) for version in state.champions]
    best = min(filter(is_healthy, range(PROCESSES * EACH)), key=level_of)
    assert Counter(entry.candidate for entry in verdicts) == Counter(f"digits/{n}" for n in range(PROCESSES * EACH))
    assert {f"digits/{number}": outcome for number, outcome in told} == in_log
    assert champions[-1] == best
    assert sorted(champions, key=level_of, reverse=True) == champions
    assert all(map(is_healthy, champions))
    assert inspect_model(store, "fashion").damaged == ()
