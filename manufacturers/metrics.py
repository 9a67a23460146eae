"""Prometheus figures of a process. Gauges are read from the plants when somebody asks; watching costs nothing else."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from manufacturers.line import Status
from manufacturers.plant import Plant


class PlantFigures(Collector):
    """What the plants of this process know of themselves."""

    def __init__(self, plants: Mapping[str, Plant]) -> None:
        self._plants = plants

    def collect(self) -> Iterator[Metric]:
        produced = CounterMetricFamily("manufacturer_units_produced", "Units booked as produced", labels=["code"])
        offers = CounterMetricFamily("manufacturer_offers_made", "Offers frozen since the start", labels=["code"])
        stock = GaugeMetricFamily("manufacturer_units_in_stock", "Units that lie in stock", labels=["code"])
        lines = GaugeMetricFamily("manufacturer_lines", "Production lines by state", labels=["code", "state"])
        for code, plant in self._plants.items():
            produced.add_metric([code], plant.units_produced)
            offers.add_metric([code], plant.offers_made)
            stock.add_metric([code], plant.units_in_stock)
            for status in Status:
                lines.add_metric([code, status.value], plant.statuses.count(status))
        yield from (produced, offers, stock, lines)


def make_registry(plants: Mapping[str, Plant]) -> tuple[CollectorRegistry, Counter]:
    """A registry of our own, and the counter of events by what became of them (any thread may count)."""
    registry = CollectorRegistry()
    registry.register(PlantFigures(plants))
    events = Counter(
        "manufacturer_events",
        "Messages taken in: applied, duplicate, or poison",
        ["type", "outcome"],
        registry=registry,
    )
    return registry, events
