"""The pages in a real browser: nothing complains, nothing is wider than the screen, and axe-core finds no fault.

The long form keeps pictures of all pages in `build/page-screenshots/`, which git ignores.
"""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest

from tests.support.chromium import Tab, chromium
from tests.support.paged_store import checkpoint, fill, running
from tests.support.paths import ROOT
from tests.support.reported_sweeps import complete
from tests.support.rows import epoch_rows
from tests.support.web_service import app_of, serving, token_file
from vae_search.search.pending_trials import PendingTrials
from vae_search.server.tokens import Role
from vae_search.store.backends.local import LocalStore
from vae_search.store.ledger.trials import Ledger

pytestmark = pytest.mark.slow

AXE = ROOT / "tests" / "fixtures" / "axe-core"
KEPT = ROOT / "build" / "page-screenshots"
SCREENS = {
    "desktop": {"width": 1280, "height": 900},
    "phone-dark": {"width": 390, "height": 844, "phone": True, "dark": True},
    "desktop-dark": {"width": 1280, "height": 900, "dark": True},
    "phone": {"width": 390, "height": 844, "phone": True},
}
PAGES = {
    "home": "/",
    "sweep": "/sweeps/digits",
    "live-sweep": "/sweeps/live",
    "front": "/sweeps/front",
    "trial": "/sweeps/digits/trials/0",
    "failed-trial": "/sweeps/digits/trials/30",
    "running-trial": "/sweeps/live/trials/9",
    "fork": "/sweeps/digits/fork",
    "promote": "/promote?sweep=digits",
    "compare": "/compare?sweep=digits&sweep=live",
    "logs": "/sweeps/digits/logs",
    "not-found": "/sweeps/none",
}
QUICK_SCREENS = ("desktop", "phone-dark")
QUICK_PAGES = ("home", "live-sweep", "running-trial", "fork", "compare")
WHOLE = """document.readyState === "complete" &&
  (!document.querySelector("[data-figures]") || Boolean(document.documentElement.dataset.drawn))"""
AXIS = """(() => {
  const hold = document.querySelectorAll("[data-figure=parallel] .hold")[1];
  hold.scrollIntoView({block: "center"});
  const box = hold.getBoundingClientRect();
  return {x: box.x + box.width / 2, top: box.top, height: box.height};
})()"""
PASSING = "document.querySelectorAll('[data-figure=parallel] polyline:not(.out)').length"
FAULTS = """axe.run(document, {resultTypes: ["violations"]}).then(found => found.violations.map(each =>
  [each.id, each.impact, each.nodes.slice(0, 3).map(node => node.html + " " + (node.failureSummary ?? ""))]))"""


@pytest.fixture
def service(tmp_path: Path):
    """Port of a service with sweeps, one of which runs, its store, and an approver's token."""
    store = LocalStore(tmp_path / "store")
    fill(store)
    file, tokens = token_file(tmp_path)
    with running(store), serving(app_of(store, tokens=file)) as port:
        yield port, store, tokens[Role.APPROVER]


async def log_in(tab: Tab, site: str, token: str) -> None:
    await tab.go(f"{site}/", until="document.readyState === 'complete' && Boolean(document.querySelector('#token'))")
    await tab.value(f"document.querySelector('#token').value = {json.dumps(token)}")
    await tab.value("document.querySelector('form button.primary').click()")
    await tab.wait(
        "location.pathname === '/' && !document.querySelector('#token') && document.readyState === 'complete'"
    )


async def excess_px(tab: Tab, screen: str) -> int:
    """Pixels by which the page is wider than the screen; a phone's browser makes its window as wide as the page."""
    return await tab.value("document.documentElement.scrollWidth") - SCREENS[screen]["width"]


async def faults(tab: Tab) -> list[object]:
    await tab.value((AXE / "axe.min.js").read_text() + "; true")
    return [f"{name} ({impact}): {nodes}" for name, impact, nodes in await tab.value(FAULTS)]


def test_the_accessibility_checker_is_the_one_that_its_version_file_names():
    version = (AXE / "VERSION").read_text()

    assert hashlib.sha256((AXE / "axe.min.js").read_bytes()).hexdigest() in version
    assert "axe-core 4.14.1" in version
    assert "Mozilla Public License" in (AXE / "LICENSE").read_text()


def test_pages_are_accessible_fit_the_screen_and_say_nothing_to_the_console(service, tmp_path, quick):
    port, _, token = service
    site = f"http://127.0.0.1:{port}"
    wide: dict[str, int] = {}
    found: dict[str, list[object]] = {}

    async def look() -> list[str]:
        async with chromium(tmp_path / "profile") as tab:
            for screen in QUICK_SCREENS if quick else SCREENS:
                await tab.begin(**SCREENS[screen])
                if screen == "desktop":
                    await tab.go(f"{site}/login", until="document.readyState === 'complete'")
                    found["login"] = await faults(tab)
                    tab.said.clear()
                    await log_in(tab, site, token)
                    tab.said = [each for each in tab.said if "401" not in each]  # the form came with it, as it should
                for name in QUICK_PAGES if quick else PAGES:
                    await tab.go(site + PAGES[name], until=WHOLE)
                    wide[f"{name}, {screen}"] = await excess_px(tab, screen)
                    if screen in QUICK_SCREENS:  # each width and each scheme once
                        found[f"{name}, {screen}"] = await faults(tab)
                    if not quick:
                        await tab.screenshot(KEPT / f"{name}-{screen}.png")
            return [each for each in tab.said if "/sweeps/none" not in each]

    KEPT.mkdir(parents=True, exist_ok=True)
    said = asyncio.run(look())

    assert {name: faults for name, faults in found.items() if faults} == {}
    assert {name: pixels for name, pixels in wide.items() if pixels > 0} == {}
    assert said == []


def test_dragging_along_an_axis_keeps_only_the_lines_that_pass_there(service, tmp_path):
    port, _, token = service
    site = f"http://127.0.0.1:{port}"

    async def brush() -> list[int]:
        async with chromium(tmp_path / "profile") as tab:
            await tab.begin(**SCREENS["desktop"])
            await log_in(tab, site, token)
            await tab.go(f"{site}/sweeps/digits", until=WHOLE)
            axis = await tab.value(AXIS)
            counts = [await tab.value(PASSING)]
            await tab.drag((axis["x"], axis["top"] + 20), (axis["x"], axis["top"] + axis["height"] / 2))
            counts.append(await tab.value(PASSING))
            await tab.drag((axis["x"], axis["top"] + 20), (axis["x"], axis["top"] + 20))
            return [*counts, await tab.value(PASSING)]

    everything, chosen, again = asyncio.run(brush())

    assert 0 < chosen < everything == again


def test_a_page_follows_its_sweep_without_being_loaded_anew(service, tmp_path):
    port, store, token = service
    site = f"http://127.0.0.1:{port}"

    async def follow() -> tuple[str, list[str]]:
        async with chromium(tmp_path / "profile") as tab:
            await tab.begin(**SCREENS["desktop"])
            await log_in(tab, site, token)
            tab.said.clear()
            await tab.go(
                f"{site}/sweeps/live", until=WHOLE + " && document.querySelector('#live-state').textContent === 'Live.'"
            )
            await tab.value("window.mark = 'same page'")
            checkpoint(store, trial=10, epochs=4)
            await tab.wait("document.querySelector('#run-000010').textContent.includes('4 of 27')")
            await tab.wait("document.querySelectorAll('#live .chart circle').length === 2")
            curve = epoch_rows(9, "live", epochs=3)
            Ledger(store, "live").commit(complete(9, sweep="live"), curve)
            PendingTrials(store, "live").forget("000009", lease=1)
            await tab.wait("document.querySelector('#live').textContent.includes('10 of 60')")
            await tab.wait("Boolean(document.querySelector('#live-trials #trial-9'))")
            return await tab.value("window.mark"), tab.said

    assert asyncio.run(follow()) == ("same page", [])


@pytest.mark.exhaustive
def test_a_fork_tells_what_fits_as_its_spec_is_typed_and_is_queued(service, tmp_path):
    port, _, token = service
    site = f"http://127.0.0.1:{port}"
    said = "document.querySelector('#spec-errors').textContent"
    spec = "document.querySelector('#spec')"

    async def use() -> tuple[str, str, list[str]]:
        async with chromium(tmp_path / "profile") as tab:
            await tab.begin(**SCREENS["desktop"])
            await log_in(tab, site, token)
            tab.said.clear()
            await tab.go(f"{site}/sweeps/digits/fork", until=WHOLE)

            async def change(old: str, new: str) -> None:
                await tab.value(f"{spec}.value = {spec}.value.replace({json.dumps(old)}, {json.dumps(new)})")
                await tab.value(f"{spec}.dispatchEvent(new Event('input', {{bubbles: true}}))")

            await change("epochs: 27", "epochs: 81")
            await tab.wait(f"{said}.includes('27 → 81')")
            marked = await tab.value("document.querySelector('.gutter .wrong').textContent")
            line = (await tab.value(f"{spec}.value")).splitlines()[int(marked) - 1]
            await change("epochs: 81", "epochs: 27")
            await tab.wait(f"{said}.includes('18 of 18 completed trials of digits fit')")
            await change("high: 32", "high: 16")
            await tab.wait(f"{said}.includes('latent_dim:')")
            await tab.value("document.querySelector('button[value=submit]').click()")
            await tab.wait("location.pathname.startsWith('/queue/') && document.readyState === 'complete'")
            return line, await tab.value("document.querySelector('h1').textContent"), tab.said

    line, heading, console = asyncio.run(use())

    assert line.strip() == "epochs: 81"
    assert "digits-fork" in heading
    assert console == []
