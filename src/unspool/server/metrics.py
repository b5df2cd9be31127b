"""Counts of a server in the text format of Prometheus."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping

__all__ = ["Metrics"]

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counts requests, durations, batch sizes and written units."""

    def __init__(self) -> None:
        self.units = 0
        """Units that models wrote."""
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._durations: dict[str, _Histogram] = {}
        self._batches = _Histogram(_SIZES)
        self._lock = threading.Lock()

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            method: HTTP method.
            route: Path of the route, with parameters as names.
            status: HTTP status of the answer.
            seconds: Duration.
        """
        with self._lock:
            self._requests[method, route, status] += 1
            self._durations.setdefault(route, _Histogram(_SECONDS)).add(seconds)

    def observe_batch(self, inputs: int) -> None:
        """Count a batch with its number of inputs."""
        with self._lock:
            self._batches.add(inputs)

    def text(self, gauges: Mapping[str, float]) -> str:
        """Return all counts, with the present values of gauges by name."""
        with self._lock:
            lines = ["# TYPE unspool_requests_total counter"]
            for (method, route, status), count in sorted(self._requests.items()):
                labels = f'method="{method}",route="{route}",status="{status}"'
                lines.append(f"unspool_requests_total{{{labels}}} {count}")
            lines.append("# TYPE unspool_request_seconds histogram")
            for route, histogram in sorted(self._durations.items()):
                lines += histogram.lines("unspool_request_seconds", f'route="{route}"')
            lines.append("# TYPE unspool_batch_inputs histogram")
            lines += self._batches.lines("unspool_batch_inputs")
        lines += ["# TYPE unspool_units_written_total counter", f"unspool_units_written_total {self.units}"]
        for name, value in gauges.items():
            lines += [f"# TYPE unspool_{name} gauge", f"unspool_{name} {value:g}"]
        return "\n".join([*lines, ""])


class _Histogram:
    def __init__(self, limits: tuple[float, ...]) -> None:
        self.limits, self.counts, self.total = limits, [0] * (len(limits) + 1), 0.0

    def add(self, value: float) -> None:
        place = next((place for place, limit in enumerate(self.limits) if value <= limit), len(self.limits))
        self.counts[place] += 1
        self.total += value

    def lines(self, name: str, labels: str = "") -> list[str]:
        before, lines, among = f"{labels}," if labels else "", [], f"{{{labels}}}" if labels else ""
        count = 0
        for limit, number in zip([*map(str, self.limits), "+Inf"], self.counts, strict=True):
            count += number
            lines.append(f'{name}_bucket{{{before}le="{limit}"}} {count}')
        return [*lines, f"{name}_sum{among} {self.total:.6f}", f"{name}_count{among} {count}"]
