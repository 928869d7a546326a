"""Counts and latencies of requests, and gauges, in the text format of Prometheus (version 0.0.4)."""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Requests that this process has answered since it began; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._latencies: dict[str, list[int]] = {}  # requests by bucket, not cumulated; the last holds the slower ones
        self._sums_s: Counter[str] = Counter()

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Take one answered request in.

        Args:
            route: its path as declared, so that names in addresses make no new series; "" for none of ours.
            status: 0 if the client left before there was one.
        """
        known = method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"
        with self._lock:
            self._requests[known, route, status] += 1
            self._latencies.setdefault(route, [0] * (len(BUCKETS_S) + 1))[bisect_left(BUCKETS_S, seconds)] += 1
            self._sums_s[route] += seconds  # type: ignore[assignment]  # a Counter of floats

    def text(self, gauges: Mapping[str, tuple[str, Mapping[str, float]]]) -> str:
        """Everything, as Prometheus reads it.

        Args:
            gauges: help and values by name; each value stands under its label `state`, "" for none.
        """
        with self._lock:
            return "\n".join([*_gauge_lines(gauges), *self._request_lines(), *self._latency_lines()]) + "\n"

    def _request_lines(self) -> Iterator[str]:
        name = "vae_search_http_requests_total"
        yield f"# HELP {name} Requests that were answered."
        yield f"# TYPE {name} counter"
        for (method, route, status), count in sorted(self._requests.items()):
            yield f'{name}{{method="{method}",route="{escaped(route)}",status="{status}"}} {count}'

    def _latency_lines(self) -> Iterator[str]:
        name = "vae_search_http_request_duration_seconds"
        yield f"# HELP {name} Time from a request's headers to the end of its answer."
        yield f"# TYPE {name} histogram"
        for route, counts in sorted(self._latencies.items()):
            label, total = f'route="{escaped(route)}"', 0
            for limit, count in zip((*map(str, BUCKETS_S), "+Inf"), counts, strict=True):
                total += count
                yield f'{name}_bucket{{{label},le="{limit}"}} {total}'
            yield f"{name}_sum{{{label}}} {self._sums_s[route]:.6f}"
            yield f"{name}_count{{{label}}} {total}"


def _gauge_lines(gauges: Mapping[str, tuple[str, Mapping[str, float]]]) -> Iterator[str]:
    for name, (meaning, values) in gauges.items():
        yield f"# HELP {name} {meaning}"
        yield f"# TYPE {name} gauge"
        for state, value in values.items():
            label = f'{{state="{escaped(state)}"}}' if state else ""
            yield f"{name}{label} {value:g}"


def escaped(value: str) -> str:
    """A label's value, as the format wants it."""
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
