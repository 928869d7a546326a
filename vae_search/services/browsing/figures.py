"""Digest of a sweep for its page: the report's words, tables and plots, thinned, as templates and plotly.js take them.

Whoever reads a digest reads every row. So digests are kept, and a sweep that runs gets a new one only now and then.
"""

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from vae_search.errors import CorruptStore, NotFound
from vae_search.services.browsing.kept_answers import KeptAnswers
from vae_search.services.browsing.sweep_pages import SweepReader
from vae_search.services.payloads import Facts
from vae_search.store.backends.base import Store

if TYPE_CHECKING:
    from vae_search.reports.facts import Confirmed
    from vae_search.services.sweep_status import SweepStatus

LEAST_KEPT_S = 5.0
IDLE_KEPT_S = 60.0  # of a sweep that nobody runs: its counts say whether it has changed, but for repairs by hand
COSTS_KEPT = 20.0  # times as long as making one took, it is kept: a twentieth of one core at most
DIGESTS = 64  # kept at once
MOST_FINALISTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Title and text of one plot, whether there is anything to draw, and how wide it must be."""

    key: str
    title: str
    text: str
    is_drawn: bool
    least_width_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """Words, tables and plots of a sweep's page, beside its counts and trials."""

    at: datetime
    paragraphs: tuple[str, ...]
    drawings: tuple[Drawing, ...]
    finalists: tuple[Facts, ...]
    damaged: tuple[str, ...]
    figures: bytes
    """JSON: specifications for plotly.js by key"""
    etag: str
    """mark of `figures`"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    fresh_s: float
    digest: Digest


class DigestReader:
    """Digests of sweeps, kept; safe for threads.

    Nobody who has one that will do waits for the next.
    """

    def __init__(self, sweeps: SweepReader, *, now: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._sweeps = sweeps
        self._now = now
        self._monotonic = monotonic
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="digests")
        self._kept = KeptAnswers[_Made](
            self._make,
            fresh_s=lambda made: made.fresh_s,
            monotonic=monotonic,
            most=DIGESTS,
            aside=self._aside.submit,
        )

    def begin(self) -> None:
        """Make those of the sweeps that run before anybody asks; returns at once."""
        with suppress(RuntimeError):  # after its end it still answers, but makes nothing ahead
            self._aside.submit(self._begin)

    def end(self) -> None:
        """Begin nothing any more."""
        self._aside.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        _load_plots()
        for found in self._sweeps.facts_of(self._sweeps.names()):
            if isinstance(found, dict) and found["state"] == "running":
                with suppress(NotFound, CorruptStore):  # who asks for it is told
                    self.digest(found)

    def digest(self, facts: Facts) -> Digest:
        """The digest of a sweep, which may be some moments old.

        Args:
            facts: of the sweep, as `SweepReader` has them.

        Raises:
            NotFound: There is no such sweep.
            CorruptStore: Its record is damaged.
        """
        is_running = facts["state"] == "running"
        # One that nobody runs is as its counts say; one that runs changes all the time, and its digest follows slowly.
        counts = () if is_running else (facts["finished"], facts["confirm_runs"], facts["trials"])
        name = " ".join(map(str, (facts["sweep"], facts["state"], facts["incarnation"], *counts)))
        return self._kept.answer(name).digest

    def _make(self, name: str, before: _Made | None) -> _Made:
        sweep = name.partition(" ")[0]
        began_s = self._monotonic()
        digest = _digest(self._sweeps.store, self._sweeps.status(sweep), self._now())
        cost_s = self._monotonic() - began_s
        least_s = LEAST_KEPT_S if " running " in name else IDLE_KEPT_S
        return _Made(fresh_s=max(least_s, COSTS_KEPT * cost_s), digest=digest)


def plotly_script() -> bytes:
    """The text of plotly.js, as the installed plotly package ships it; the package itself is not loaded."""
    found = find_spec("plotly")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("plotly is not installed")
    return (Path(found.origin).parent / "package_data" / "plotly.min.js").read_bytes()


def _load_plots() -> None:
    """Load Plotly and its friends, which takes a second that nobody should wait for."""
    from vae_search.reports import plots_front  # noqa: F401
    from vae_search.services import reporting  # noqa: F401


def _digest(store: Store, status: "SweepStatus", now: datetime) -> Digest:
    from vae_search.reports import plots_front, plots_parameters, plots_quality, plots_runs, plots_search
    from vae_search.reports.facts import confirmed
    from vae_search.reports.narrative import summary
    from vae_search.reports.page import specification
    from vae_search.services.reporting import findings

    found = findings(store, status.spec.name, now=now, status=status, in_brief=True)
    drawers = [
        plots_search.history,
        plots_search.learning_curves,
        plots_parameters.parallel_coordinates,
        plots_quality.rate_distortion,
        plots_quality.pareto if found.front is None else plots_front.front,
        plots_runs.workers,
        plots_runs.finalists,
    ]
    plots = [draw(found) for draw in drawers]
    figures = json.dumps({plot.key: specification(plot) for plot in plots if plot.figure is not None}).encode()
    return Digest(
        at=now,
        paragraphs=tuple(summary(found)),
        drawings=tuple(
            Drawing(
                key=plot.key,
                title=plot.title,
                text=plot.text,
                is_drawn=plot.figure is not None,
                least_width_px=plot.least_width_px,
            )
            for plot in plots
        ),
        finalists=tuple(_finalist(each) for each in confirmed(found.confirm_rows)[:MOST_FINALISTS]),
        damaged=found.damaged,
        figures=figures,
        etag=f'"{hashlib.sha256(figures).hexdigest()[:32]}"',
    )


def _finalist(found: "Confirmed") -> Facts:
    return asdict(found) | {
        "mean": found.mean,
        "spread": found.spread,
        "interval": None if found.interval is None else (found.interval.low, found.interval.high),
    }
