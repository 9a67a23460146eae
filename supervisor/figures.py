"""What the supervisor counts, in Prometheus's text format: `main.py status --metrics`, for a textfile collector."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class _Rows(Collector):
    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._rows = list(rows)

    def collect(self) -> Iterator[Metric]:
        restarts = CounterMetricFamily(
            "supervisor_restarts", "Processes started again, and why", labels=["process", "reason"]
        )
        ready = GaugeMetricFamily("supervisor_ready", "1 where the process is ready", labels=["process"])
        silence = GaugeMetricFamily(
            "supervisor_silence_seconds", "For how long the process has given no sign of life", labels=["process"]
        )
        for row in self._rows:
            for reason, count in row["restarts_by_reason"].items():
                restarts.add_metric([row["name"], reason], count)
            ready.add_metric([row["name"]], row["state"] == "ready")
            silence.add_metric([row["name"]], row["silent_seconds"])
        yield from (restarts, ready, silence)


def as_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """``rows`` as `status --json` has them."""
    registry = CollectorRegistry()
    registry.register(_Rows(rows))
    return generate_latest(registry).decode()
