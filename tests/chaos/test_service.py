"""The service: two servers over one store and their drivers are killed at random moments; every sweep ends, once."""

import os
import random
import signal
import time
import urllib.error
from collections import Counter

import pytest

from tests.chaos.campaign import chance, count
from tests.chaos.invariants import Seen, check_invariants, seen
from tests.chaos.sweeps import NOTHING
from tests.support.served_store import ServedStore, Server, served_store, until
from vae_search.queue.state import ItemState

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.exhaustive, pytest.mark.timeout(7200)]

TRIALS = 4
SPEC = """
name: {name}
data: {{source: digits}}
search_space:
  latent_dim: {{type: int, low: 2, high: 8}}
  learning_rate: {{type: float, low: 1e-3, high: 1e-2, log: true}}
  depth: 1
  width: 16
  batch_size: 64
budget: {{trials: {trials}, epochs: 27}}
pruning: {{min_epochs: 3, reduction_factor: 3}}
confirm: {{finalists: 0}}
checkpoint_s: 0.2
max_retries: 50
"""
OWNERS = ("ada", "bob", "cleo")
KILLS_PER_SWEEP = 3  # the next one is submitted after so many, so that there is work to be killed to the end


class Campaign:
    """Servers, submissions and kills over one store."""

    def __init__(self, served: ServedStore, chance: random.Random) -> None:
        self._served = served
        self._chance = chance
        self._tokens = {owner: self._token(owner) for owner in OWNERS}
        self._servers = [self._serve(), self._serve()]
        self.names: list[str] = []
        self.kills: Counter[str] = Counter()
        self._seen: dict[str, Seen] = {}

    def submit(self) -> None:
        """Send the next sweep in the name of the next owner, again and again until somebody has said yes."""
        name, owner = f"sweep-{len(self.names)}", OWNERS[len(self.names) % len(OWNERS)]
        self.names.append(name)
        headers = {"Authorization": f"Bearer {self._tokens[owner]}", "Idempotency-Key": name}
        while True:
            try:
                self._servers[0].ask("/api/v1/sweeps", SPEC.format(name=name, trials=TRIALS), **headers)
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
            else:
                return

    def kill(self) -> None:
        """Kill a server, a driver, or everything, at a random moment; what was a server is started again."""
        time.sleep(self._chance.uniform(0.1, 4))
        what = self._chance.choices(("server", "driver", "everything"), weights=(5, 5, 1))[0]
        drivers = self._served.drivers()
        if what == "driver" and not drivers:
            what = "server"
        servers = self._servers if what == "everything" else [self._chance.choice(self._servers)]
        victims = [server.process.pid for server in servers] if what != "driver" else []
        victims += drivers if what == "everything" else [self._chance.choice(drivers)] if what == "driver" else []
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:  # it has just ended by itself
                continue
        self.kills[what] += 1
        if what != "driver":
            for server in servers:
                server.process.wait()
                self._servers[self._servers.index(server)] = self._serve()
        states = Counter(item.state.value for item in self._served.items())
        print(f"kill {self.kills.total()}: {what}; {dict(states)}")

    def look(self) -> None:
        """Hold every row to what it was at the look before, while drivers go on writing others."""
        for name in self.names:
            now, before = seen(self._served.store, name), self._seen.get(name, NOTHING)
            lost = {path: digest for path, digest in before.rows.items() if now.rows.get(path) != digest}
            assert not lost, f"rows that were there are gone or changed: {sorted(lost)}"
            self._seen[name] = now

    def check(self) -> None:
        """Hold every sweep, all of which are over, to its invariants."""
        for name in self.names:
            before = self._seen.get(name, NOTHING)
            check_invariants(self._served.store, name, before, shown=(), trials=TRIALS, finished=True)

    @property
    def is_over(self) -> bool:
        items = self._served.items()
        return len(items) == len(self.names) and all(item.state is ItemState.DONE for item in items)

    def _serve(self) -> Server:
        return self._served.start("--tokens", str(self._served.folder / "tokens.json"), "--sweeps-at-once", "2")

    def _token(self, owner: str) -> str:
        from datetime import UTC, datetime

        from vae_search.server.tokens import Role, TokenFile

        return TokenFile(self._served.folder / "tokens.json").create(owner, Role.SUBMITTER, now=datetime.now(UTC))


@pytest.mark.parametrize("inline", [True, False], ids=["without Ray", "on Ray"])
def test_all_sweeps_end_exactly_once_although_servers_and_drivers_are_killed(inline: bool) -> None:
    sweeps = 10 if inline else count(2, 10)
    began_s = time.monotonic()
    with served_store(inline=inline) as served:
        campaign = Campaign(served, chance("service kill -9", inline))
        while campaign.kills.total() < KILLS_PER_SWEEP * sweeps or not campaign.is_over:
            if campaign.kills.total() >= KILLS_PER_SWEEP * sweeps:
                until(lambda: campaign.is_over, within_s=1200)
                break
            if len(campaign.names) * KILLS_PER_SWEEP <= campaign.kills.total():
                campaign.submit()
            campaign.kill()
            campaign.look()

        campaign.check()
        items = served.items()
        assert Counter(item.owner for item in items) == Counter(OWNERS[i % len(OWNERS)] for i in range(sweeps))
        for item in items:
            codes = [attempt.exit_code for attempt in item.attempts]
            assert codes[-1] == 0
            assert codes.count(0) == 1, (item.sweep, codes)
        until(lambda: not served.drivers(), within_s=60)
        print(
            f"{dict(campaign.kills)} kills, {sweeps} sweeps, attempts by sweep "
            f"{[len(item.attempts) for item in items]}, {time.monotonic() - began_s:.0f} s"
        )
