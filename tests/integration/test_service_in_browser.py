"""The way of one person through the service in a real browser, over real drivers: from a mistake to a rollback."""

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.chromium import Tab, chromium
from tests.support.served_store import ServedStore, served_store
from tests.support.web_service import token_file
from tests.unit.server.pages.test_in_browser import SCREENS, log_in
from vae_search.core.trial_state import Reason
from vae_search.server.tokens import Role
from vae_search.services.models.champions import model_state
from vae_search.store.ledger.trials import Ledger
from vae_search.store.sweeps import sweep_record

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(not os.environ.get("VAE_SEARCH_E2E"), reason="takes minutes: make e2e"),
    pytest.mark.timeout(900),
]

STEERED = """\
name: steered
data: {source: digits}
search_space: {latent_dim: {type: int, low: 2, high: 8}, depth: 1, width: 16, batch_size: 64}
budget: {trials: 3, epochs: 1500}
resources: {concurrency: 1}
pruning: off
checkpoint_s: 0.5
confirm: {finalists: 0}
"""
PROMOTED = """\
name: NAME
data: {source: digits}
search_space: {latent_dim: LATENTS, learning_rate: 0.005, depth: 1, width: 64, batch_size: 32}
budget: {trials: 1, epochs: 27}
pruning: off
confirm: {finalists: 1, seeds: 3}
promote: {model: by-hand, approval: required}
"""
LOADED = "document.readyState === 'complete'"
PATIENCE_S = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A person at the browser: looks for what is on the page, fills fields and presses buttons."""

    tab: Tab
    site: str

    async def go(self, path: str) -> None:
        await self.tab.go(f"{self.site}{path}", until=LOADED)

    async def until(self, script: str, *, path: str | None = None) -> None:
        """Wait until something is to be seen; with a path, by opening it again and again."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if path is not None:
                    await self.go(path)
                if await self.tab.value(script):
                    return
                await asyncio.sleep(0.5)

    async def fill(self, selector: str, text: str) -> None:
        field = f"document.querySelector({json.dumps(selector)})"
        await self.tab.value(f"{field}.value = {json.dumps(text)}")
        await self.tab.value(f"{field}.dispatchEvent(new Event('input', {{bubbles: true}}))")

    async def press(self, selector: str, *, until: str) -> None:
        await self.tab.value("window.confirm = () => true")
        await self.tab.value("window.isOld = true")
        await self.tab.value(f"document.querySelector({json.dumps(selector)}).click()")
        await self.tab.wait(f"!window.isOld && {LOADED} && ({until})")

    async def submit(self, spec: str) -> None:
        await self.go("/new")
        await self.fill("#spec", spec)
        await self.press("button[value=submit]", until="location.pathname.startsWith('/queue/')")


def shows(text: str) -> str:
    return f"document.body.textContent.includes({json.dumps(text)})"


async def mend_and_submit(reader: Reader) -> None:
    await reader.go("/new")
    await reader.fill("#spec", STEERED.replace("epochs: 1500", "epochs: 0"))
    await reader.until("document.querySelectorAll('#spec-errors li').length === 1")
    assert await reader.tab.value("document.querySelector('.gutter .wrong').textContent") == "4"
    await reader.fill("#spec", STEERED)
    await reader.until("document.querySelector('#spec-errors').textContent === 'The spec is valid.'")
    await reader.press("button[value=submit]", until="location.pathname.startsWith('/queue/')")


async def steer(reader: Reader) -> None:
    await reader.until("Boolean(document.querySelector('#run-000000'))", path="/sweeps/steered")
    await reader.until("document.querySelectorAll('#live .chart circle').length === 1")  # its curve comes by itself
    await reader.fill("[name='param.latent_dim']", "5")
    await reader.press("form[action$='/enqueue'] button", until="location.pathname === '/sweeps/steered'")
    await reader.until("Boolean(document.querySelector('form[action$=\"/trials/0/stop\"] button'))")
    await reader.press("form[action$='/trials/0/stop'] button", until="location.pathname === '/sweeps/steered'")
    # From here on the page is not loaded again: what happens comes to it.
    await reader.tab.value("window.mark = 'same page'")
    await reader.until("/stopped/.test(document.querySelector('#trial-0')?.textContent ?? '')")
    await reader.until(shows("3 of 3"))
    assert await reader.tab.value("window.mark") == "same page"


async def fork(reader: Reader) -> None:
    """Fork the steered sweep with a budget of one trial; how many trials fit is said before."""
    await reader.go("/sweeps/steered/fork")
    await reader.until("document.querySelector('#spec-errors').textContent.includes('completed trials of steered')")
    spec = await reader.tab.value("document.querySelector('#spec').value")
    await reader.fill("#spec", spec.replace("epochs: 1500", "epochs: 2000"))
    await reader.until("document.querySelector('#spec-errors').textContent.includes('not comparable')")
    await reader.fill("#spec", spec.replace("trials: 3", "trials: 1"))
    await reader.until("document.querySelector('#spec-errors').textContent.includes('completed trials of steered')")
    await reader.press("button[value=submit]", until="location.pathname.startsWith('/queue/')")
    await reader.until(shows("1 of 1"), path="/sweeps/steered-fork")


async def ask_again(reader: Reader, sweep: str) -> None:
    """Let a sweep ask whose finalist was judged before: the same answer comes by the stream, and changes nothing."""
    await reader.go(f"/promote?sweep={sweep}&model=by-hand")
    assert await reader.tab.value(shows("What will happen"))
    await reader.press("main form[method=post] button.primary", until="location.pathname === '/promote'")
    await reader.until("document.querySelector('#live .state')?.textContent === 'decided'")


async def promote(reader: Reader, name: str, latents: str) -> None:
    await reader.submit(PROMOTED.replace("NAME", name).replace("LATENTS", latents))
    await reader.until("Boolean(document.querySelector('a[href$=\"/decide\"]'))", path="/models/by-hand")
    await reader.press("a[href$='/decide']", until="Boolean(document.querySelector('button[value=approve]'))")
    await reader.fill("#why", f"{name} looks right")
    await reader.press("button[value=approve]", until="location.pathname === '/models/by-hand'")


async def walk(served: ServedStore, site: str, token: str, profile: Path) -> list[str]:
    """The whole way; what the pages wrote to the console."""
    async with chromium(profile) as tab:
        await tab.begin(**SCREENS["desktop"])
        await log_in(tab, site, token)
        tab.said.clear()
        reader = Reader(tab=tab, site=site)
        await mend_and_submit(reader)
        await steer(reader)
        await fork(reader)
        tab.said[:] = [line for line in tab.said if "404" not in line]  # of pages that were not there yet
        await promote(reader, "first", "2")
        await promote(reader, "second", "8")
        await ask_again(reader, "second")
        assert model_state(served.store, "by-hand").champion == 2
        await reader.go("/models/by-hand")
        await reader.press("a[href*='/rollback']", until="Boolean(document.querySelector('#why'))")
        await reader.fill("#why", "a second thought")
        await reader.press("main form button.primary", until="location.pathname === '/models/by-hand'")
        return [line for line in tab.said if "404" not in line]


def test_a_person_submits_steers_approves_and_rolls_back_and_the_console_stays_silent(tmp_path):
    file, tokens = token_file(tmp_path)
    with served_store() as served:
        server = served.start("--tokens", str(file.path))

        said = asyncio.run(walk(served, f"http://127.0.0.1:{server.port}", tokens[Role.APPROVER], tmp_path / "profile"))

        rows = {row.trial: row for row in Ledger(served.store, "steered").read().rows}
        state = model_state(served.store, "by-hand")
        forked = sweep_record.read(served.store, "steered-fork").borrowing
    assert said == []
    assert rows[0].reason is Reason.STOPPED
    assert [row.params["latent_dim"] for row in rows.values() if row.command is not None] == [5]
    assert sorted(rows) == [0, 1, 2]
    assert (forked.sweep, forked.trials) == ("steered", 2)
    assert state.champion == 1
    assert {entry.actor for entry in state.entries if entry.actor is not None} == {"approver"}
