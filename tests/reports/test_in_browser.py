"""The page in a real browser: it draws everything, complains of nothing and asks nobody."""

import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.reports.examples import mixed, put_confirmed, put_sweep
from vae_search import reporting
from vae_search.reports.page import plots_of

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NOISE = "GL Driver Message"  # of software rendering, which has no graphics card to be fast with


def opened(page: Path, profile: Path, *options: str) -> tuple[str, list[str]]:
    """The document after its scripts have run, and what they wrote to the console."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"needs a browser: none of {', '.join(BROWSERS)} is installed")
    command = [browser, "--headless=new", "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader"]
    command += ["--enable-unsafe-swiftshader", f"--user-data-dir={profile}", "--virtual-time-budget=20000"]
    command += ["--enable-logging=stderr", "--dump-dom", *options, page.as_uri()]
    done = subprocess.run(command, text=True, capture_output=True, timeout=120, check=True)
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line and NOISE not in line]
    return done.stdout, said


@pytest.mark.parametrize("size", ["1200,900", "500,900"], ids=["desktop", "phone"])
def test_every_picture_is_drawn_and_the_console_stays_silent(store, tmp_path, size):
    put_sweep(store, mixed())
    put_confirmed(store)
    now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    written = reporting.report(store, "digits", output=tmp_path / "report.html", now=now)

    document, said = opened(written.path, tmp_path / "profile", f"--window-size={size}")

    plots = len([plot for plot in plots_of(reporting.findings(store, "digits", now=now)) if plot.figure is not None])
    assert said == []
    assert re.search(r'data-drawn="(\d+)"', document)[1] == str(plots)
    assert document.count("plot js-plotly-plot") == plots
