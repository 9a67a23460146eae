"""Figures of one distributor process, for Prometheus; read when asked, so that they cost nothing in between."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from distributor.months.decisions import Begin, Close, Open, Settle, Step
from distributor.months.leader import Leader
from distributor.outbox.relay import Relay
from distributor.retention import Pruner


class Metrics:
    """``pending`` (events in the outbox) is looked up by whoever asks, for it costs a query."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._steps = Counter(
            "distributor_month_steps", "Transitions of months done by this process", ["step"], registry=self._registry
        )
        for step in (Begin, Open, Close, Settle):
            self._steps.labels(step.__name__.lower())

    def count_step(self, step: Step) -> None:
        self._steps.labels(type(step).__name__.lower()).inc()

    def watch(self, leader: Leader, relay: Relay, pruner: Pruner) -> None:
        self._registry.register(_Threads(leader, relay, pruner))

    def text(self, pending: int | None) -> bytes:
        """``pending`` None: the database does not answer."""
        lines = generate_latest(self._registry)
        if pending is None:
            return lines
        return (
            lines
            + (
                "# HELP distributor_outbox_pending Events that still have to reach the broker\n"
                "# TYPE distributor_outbox_pending gauge\n"
                f"distributor_outbox_pending {pending}\n"
            ).encode()
        )


class _Threads(Collector):
    def __init__(self, leader: Leader, relay: Relay, pruner: Pruner) -> None:
        self._leader = leader
        self._relay = relay
        self._pruner = pruner

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("distributor_leading", "1 if this process moves the months", int(self._leader.leading))
        yield CounterMetricFamily(
            "distributor_events_published", "Events that the broker confirmed", self._relay.published
        )
        yield CounterMetricFamily(
            "distributor_events_unconfirmed", "Attempts that the broker did not confirm", self._relay.unconfirmed
        )
        pruned = CounterMetricFamily("distributor_rows_pruned", "Rows that were old enough to go", labels=["kind"])
        for kind, rows in self._pruner.rows.items():
            pruned.add_metric([kind], rows)
        yield pruned
