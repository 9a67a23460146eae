"""Figures of one run: latencies, throughput, outcomes. Exact percentiles from all samples, not from buckets."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of all values do not exceed; 0 for none (nearest rank)."""
    if not sorted_values:
        return 0.0
    return sorted_values[max(0, math.ceil(share * len(sorted_values)) - 1)]


@dataclass
class Figures:
    """Collects samples while a run goes on."""

    started: float = 0.0
    """Monotonic seconds of the first request that counts for throughput."""
    latencies: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Milliseconds per kind of request."""
    failures: Counter[str] = field(default_factory=Counter)
    first_failure: dict[str, str] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    per_second: Counter[int] = field(default_factory=Counter)
    """Baskets that ended, per second since ``started``."""
    counters: Counter[str] = field(default_factory=Counter)
    waits: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Milliseconds per purchase, by what was waited for: as the shop says it."""
    repeats: Counter[str] = field(default_factory=Counter)
    """Transactions that were repeated, by cause."""

    def contention(self, met: Mapping[str, Any]) -> None:
        """What one purchase met (outcomes.contention_of)."""
        self.waits["locks"].append(met["lock_ms"])
        self.waits["group or mutex"].append(met["queue_ms"])
        self.repeats.update(met["repeats"])

    def request(self, name: str, milliseconds: float, status: int | None, failure: str | None) -> None:
        self.latencies[name].append(milliseconds)
        self.statuses[f"{name} {status or 'no answer'}"] += 1
        if failure is not None:
            self.failures[name] += 1
            self.first_failure.setdefault(name, failure)

    def as_json(self) -> dict[str, Any]:
        return {
            "requests": {name: self._of(name) for name in sorted(self.latencies)},
            "statuses": dict(sorted(self.statuses.items())),
            "per_second": [self.per_second[second] for second in range(max(self.per_second, default=-1) + 1)],
            "counters": dict(sorted(self.counters.items())),
            "waits": {name: _percentiles(sorted(values)) for name, values in sorted(self.waits.items())},
            "repeats": dict(sorted(self.repeats.items())),
            "order_ms": [round(value, 1) for value in sorted(self.latencies.get("POST /orders", []))],
        }

    def _of(self, name: str) -> dict[str, Any]:
        values = sorted(self.latencies[name])
        return {
            "count": len(values),
            "failures": self.failures[name],
            "first_failure": self.first_failure.get(name),
            "mean_ms": round(sum(values) / len(values), 2),
            **_percentiles(values),
        }


def _percentiles(sorted_values: Sequence[float]) -> dict[str, float]:
    shares = {f"p{share}_ms": round(percentile(sorted_values, share / 100), 2) for share in (50, 95, 99)}
    return shares | {"max_ms": round(sorted_values[-1], 2)}
