"""The page in a real browser: it draws everything, complains of nothing, can be brushed, and fits a phone.

Pictures of the whole page are kept in `build/report-screenshots/`, which git ignores.
"""

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.chromium import Tab, chromium
from tests.support.paths import ROOT
from tests.support.reported_sweeps import mixed, put_confirmed, put_pareto_sweep, put_sweep
from vae_search.reports.page import plots_of
from vae_search.services import reporting
from vae_search.store.backends.local import LocalStore

pytestmark = pytest.mark.slow

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEPT = ROOT / "build" / "report-screenshots"
SCREENS = {
    "desktop": {"width": 1200, "height": 900},
    "desktop-dark": {"width": 1200, "height": 900, "dark": True},
    "phone": {"width": 390, "height": 844, "phone": True},
    "phone-dark": {"width": 390, "height": 844, "phone": True, "dark": True},
}
AXIS = """(() => {
  const axis = document.querySelectorAll("#plot-parallel .parcoords .axis-brush")[%d];
  axis.scrollIntoView({block: "center"});
  const box = axis.querySelector(".background").getBoundingClientRect();
  return {x: box.x + box.width / 2, top: box.top, height: box.height};
})()"""
CHOSEN = "document.getElementById('plot-parallel').data[0].dimensions.map(each => each.constraintrange || null)"
COLOURED = """(() => {
  const shown = document.querySelector("#plot-parallel .gl-canvas-focus");
  const copy = Object.assign(document.createElement("canvas"), {width: shown.width, height: shown.height});
  const context = copy.getContext("2d");
  context.drawImage(shown, 0, 0);
  const pixels = context.getImageData(0, 0, copy.width, copy.height).data;
  let count = 0;
  for (let place = 3; place < pixels.length; place += 4) count += pixels[place] > 0;
  return count;
})()"""
REDRAWN = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture
def page(store, tmp_path) -> Path:
    put_sweep(store, mixed())
    put_confirmed(store)
    return reporting.report(store, "digits", output=tmp_path / "report.html", now=NOW).path


@pytest.mark.parametrize("screen", SCREENS)
def test_every_picture_is_drawn_in_the_page_and_the_console_stays_silent(store, page, tmp_path, screen):
    look_at(store, page, tmp_path, screen, name=screen)


@pytest.mark.parametrize("criteria", ["neg_elbo, train_flops", "neg_elbo, instability, train_flops"])
@pytest.mark.parametrize("screen", ["desktop", "phone-dark"])
def test_the_page_of_a_pareto_sweep_is_as_good(store, tmp_path, screen, criteria):
    put_pareto_sweep(store, mixed(60), criteria)
    put_confirmed(store)
    page = reporting.report(store, "digits", output=tmp_path / "report.html", now=NOW).path

    look_at(store, page, tmp_path, screen, name=f"pareto-{criteria.count(',') + 1}-{screen}")


def look_at(store: LocalStore, page: Path, tmp_path: Path, screen: str, *, name: str) -> None:
    """Every plot of `page` is drawn, nothing is wider than the screen, nothing complains; keeps a picture `name`."""
    plots = len([plot for plot in plots_of(reporting.findings(store, "digits", now=NOW)) if plot.figure is not None])

    async def looked_at() -> tuple[str, int, int, list[str]]:
        async with chromium(tmp_path / "profile") as tab:
            await tab.open(page, **SCREENS[screen])
            await tab.screenshot(tmp_path / f"{screen}.png")
            drawn = await tab.value("document.documentElement.dataset.drawn")
            places = await tab.value("document.querySelectorAll('.plot.js-plotly-plot').length")
            overflow = await tab.value("document.documentElement.scrollWidth - window.innerWidth")
            assert overflow <= 0, f"the page is {overflow} pixels wider than the screen"
            return drawn, places, overflow, tab.said

    drawn, places, _, said = asyncio.run(looked_at())

    KEPT.mkdir(parents=True, exist_ok=True)
    shutil.copy(tmp_path / f"{screen}.png", KEPT / f"{name}.png")
    assert (drawn, places, said) == (str(plots), plots, [])


def test_dragging_along_an_axis_keeps_only_the_lines_that_pass_there(page, tmp_path):
    async def brushed() -> tuple[list[object], list[object], int, int]:
        async with chromium(tmp_path / "profile") as tab:
            await tab.open(page, **SCREENS["desktop"])
            axis = await tab.value(AXIS % 1)
            before, coloured = await tab.value(CHOSEN), await settled(tab)
            top, height = axis["top"], axis["height"]
            await tab.drag((axis["x"], top + 0.75 * height), (axis["x"], top + 0.25 * height))
            return before, await tab.value(CHOSEN), coloured, await settled(tab)

    before, after, coloured, left = asyncio.run(brushed())

    assert before == [None] * 6
    assert after[0] is None
    low, high = after[1]
    assert 0.3 < low < high < 1.51  # of log10(latent_dim), which goes from 2 to 32
    assert after[2:] == [None] * 4
    assert 0 < left < 0.9 * coloured


async def settled(tab: Tab) -> int:
    """How many pixels the chosen lines have, once the picture no longer changes."""
    counts = [-1, -2]
    while counts[-1] != counts[-2] or counts[-1] == 0:
        await tab.value(REDRAWN)
        counts.append(await tab.value(COLOURED))
    return counts[-1]
