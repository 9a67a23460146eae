"""The counters in Prometheus' text format; names end in their unit."""

from typing import NamedTuple

from load_balancer.stats.counters import LATENCY_BOUNDS_SECONDS, Own, Traffic


class Page:
    """Builds a page in Prometheus' text format."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def family(self, name: str, kind: str, explanation: str) -> None:
        self._lines += [f"# HELP {name} {explanation}", f"# TYPE {name} {kind}"]

    def sample(self, name: str, value: float, **labels: str) -> None:
        inner = ",".join(f'{key}="{text}"' for key, text in labels.items())
        self._lines.append(f"{name}{{{inner}}} {value}" if inner else f"{name} {value}")

    def text(self) -> str:
        return "\n".join([*self._lines, ""])


class Line(NamedTuple):
    """One server on the page: its state's word, requests in flight, traffic."""

    word: str
    in_flight: int
    traffic: Traffic


def render(servers: dict[str, Line], own: Own, open_connections: int) -> str:
    """The page; ``servers`` by name."""
    page = Page()
    prefix = "load_balancer"
    page.family(f"{prefix}_server_up", "gauge", "1 if the server gets requests")
    for name, line in servers.items():
        page.sample(f"{prefix}_server_up", int(line.word == "UP"), server=name, state=line.word)
    page.family(f"{prefix}_requests_in_flight", "gauge", "Requests that wait for a server's answer")
    for name, line in servers.items():
        page.sample(f"{prefix}_requests_in_flight", line.in_flight, server=name)
    page.family(f"{prefix}_responses_total", "counter", "Answers of servers by class of status")
    for name, (_, _, traffic) in servers.items():
        for hundred, count in enumerate(traffic.classes):
            if hundred:
                page.sample(f"{prefix}_responses_total", count, server=name, code=f"{hundred}xx")
    page.family(f"{prefix}_server_connections_total", "counter", "Connections opened to servers")
    for name, (_, _, traffic) in servers.items():
        page.sample(f"{prefix}_server_connections_total", traffic.connections, server=name)
    page.family(f"{prefix}_server_failures_total", "counter", "Failures of servers by kind")
    for name, (_, _, traffic) in servers.items():
        for kind, count in sorted(traffic.failures.items()):
            page.sample(f"{prefix}_server_failures_total", count, server=name, kind=kind)
    _latencies(page, f"{prefix}_response_seconds", servers)
    _own(page, prefix, own, open_connections)
    return page.text()


def _latencies(page: Page, name: str, servers: dict[str, Line]) -> None:
    page.family(name, "histogram", "Time from the request's dispatch to the end of its answer")
    for server, (_, _, traffic) in servers.items():
        total = 0
        for bound, count in zip((*LATENCY_BOUNDS_SECONDS, "+Inf"), traffic.buckets, strict=True):
            total += count
            page.sample(f"{name}_bucket", total, server=server, le=str(bound))
        page.sample(f"{name}_sum", round(traffic.seconds, 6), server=server)
        page.sample(f"{name}_count", total, server=server)


def _own(page: Page, prefix: str, own: Own, open_connections: int) -> None:
    page.family(f"{prefix}_connections", "gauge", "Open connections of clients")
    page.sample(f"{prefix}_connections", open_connections)
    page.family(f"{prefix}_connections_total", "counter", "Connections of clients since the start")
    page.sample(f"{prefix}_connections_total", own.connections)
    page.family(f"{prefix}_connections_refused_total", "counter", "Connections beyond the limit")
    page.sample(f"{prefix}_connections_refused_total", own.connections_refused)
    page.family(f"{prefix}_resends_total", "counter", "GET and HEAD requests that were sent a second time")
    page.sample(f"{prefix}_resends_total", own.resends)
    page.family(f"{prefix}_truncated_total", "counter", "Answers that a server cut off after their head was passed on")
    page.sample(f"{prefix}_truncated_total", own.truncated)
    page.family(f"{prefix}_replies_total", "counter", "Answers that the balancer made itself, by status")
    for status, count in sorted(own.replies.items()):
        page.sample(f"{prefix}_replies_total", count, code=str(status))
