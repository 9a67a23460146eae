"""The figures in Prometheus' text format; names end in their unit."""

from collections.abc import Callable
from typing import Final

from load_balancer.stats.counters import LATENCY_BOUNDS_SECONDS
from load_balancer.stats.figures import Figures, ServerFigures, WorkerFigures

PREFIX: Final = "load_balancer"


class Page:
    """Builds a page in Prometheus' text format."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def family(self, name: str, kind: str, explanation: str) -> None:
        self._lines += [f"# HELP {name} {explanation}", f"# TYPE {name} {kind}"]

    def sample(self, name: str, value: float, **labels: str) -> None:
        inner = ",".join(f'{key}="{text}"' for key, text in labels.items())
        self._lines.append(f"{name}{{{inner}}} {value}" if inner else f"{name} {value}")

    def one(self, name: str, kind: str, explanation: str, value: float) -> None:
        """A family of one sample without labels."""
        self.family(name, kind, explanation)
        self.sample(name, value)

    def text(self) -> str:
        return "\n".join([*self._lines, ""])


# Of every server: name behind PREFIX_server_, kind, explanation, value.
_OF_SERVERS: Final[tuple[tuple[str, str, str, Callable[[ServerFigures], float]], ...]] = (
    ("weight", "gauge", "Its weight, as an operator set it", lambda server: server.row.weight),
    ("effective_weight", "gauge", "Its weight now: less in a slow start", lambda server: server.row.effective_weight),
    ("requests_limit", "gauge", "Requests that it may have at a time, 0 for no limit", lambda server: server.row.limit),
    ("queued_requests", "gauge", "Requests that wait for this server", lambda server: server.row.queued),
    ("idle_connections", "gauge", "Connections to it that wait for a request", lambda server: server.idle),
    ("state_seconds", "gauge", "Seconds since its state changed", lambda server: round(server.row.since_seconds, 3)),
    ("requests_total", "counter", "Requests sent to it", lambda server: server.traffic.requests),
    ("connections_total", "counter", "Connections opened to servers", lambda server: server.traffic.connections),
    ("sent_bytes_total", "counter", "Bytes of requests that it was sent", lambda server: server.traffic.bytes_in),
    ("received_bytes_total", "counter", "Bytes of its answers that clients were sent", lambda server: server.traffic.bytes_out),
    ("connect_errors_total", "counter", "Connections that were not made", lambda server: server.row.connect_errors),
    ("response_errors_total", "counter", "Answers that did not come, or not well", lambda server: server.row.response_errors),
    ("retries_total", "counter", "Requests sent to it once more after it had failed", lambda server: server.row.retries),
    ("redispatches_total", "counter", "Requests that went elsewhere after it had failed", lambda server: server.row.redispatches),
    ("failed_checks_total", "counter", "Checks that it did not pass", lambda server: server.row.failed_checks),
    ("downs_total", "counter", "How often it went down", lambda server: server.row.downs),
    ("down_seconds_total", "counter", "How long it was down", lambda server: round(server.row.down_seconds, 3)),
    ("ejections_total", "counter", "How often failures of requests took it out", lambda server: server.row.ejections),
)  # fmt: skip
# Of every worker, where there are several.
_OF_WORKERS: Final[tuple[tuple[str, str, Callable[[WorkerFigures], float]], ...]] = (
    ("up", "1 if it answers", lambda worker: int(worker.answers)),
    ("connections", "Open connections of clients", lambda worker: worker.connections),
)


def render(figures: Figures) -> str:
    """The page."""
    page, servers = Page(), figures.servers
    page.family(f"{PREFIX}_server_up", "gauge", "1 if the server gets requests")
    for server in servers:
        up = int(server.row.word == "UP")
        page.sample(f"{PREFIX}_server_up", up, server=server.row.name, state=server.row.word)
    page.family(f"{PREFIX}_requests_in_flight", "gauge", "Requests that wait for a server's answer")
    for server in servers:
        page.sample(f"{PREFIX}_requests_in_flight", server.row.serving, server=server.row.name)
    for name, kind, explanation, value in _OF_SERVERS:
        page.family(f"{PREFIX}_server_{name}", kind, explanation)
        for server in servers:
            page.sample(f"{PREFIX}_server_{name}", value(server), server=server.row.name)
    _by_kind(page, servers)
    page.family(f"{PREFIX}_server_transitions_total", "counter", "Changes of a server's state, by the state it came to")
    for (name, state), count in sorted(figures.transitions.items()):
        page.sample(f"{PREFIX}_server_transitions_total", count, server=name, state=state)
    _latencies(page, f"{PREFIX}_response_seconds", servers)
    _own(page, figures)
    return page.text()


def _by_kind(page: Page, servers: tuple[ServerFigures, ...]) -> None:
    page.family(f"{PREFIX}_responses_total", "counter", "Answers of servers by class of status")
    for server in servers:
        for hundred, count in enumerate(server.traffic.classes):
            if hundred:
                page.sample(f"{PREFIX}_responses_total", count, server=server.row.name, code=f"{hundred}xx")
    page.family(f"{PREFIX}_server_failures_total", "counter", "Failures of servers by kind")
    for server in servers:
        for what, count in sorted(server.traffic.failures.items()):
            page.sample(f"{PREFIX}_server_failures_total", count, server=server.row.name, kind=what)


def _latencies(page: Page, name: str, servers: tuple[ServerFigures, ...]) -> None:
    page.family(name, "histogram", "Time from the request's dispatch to the end of its answer")
    for server in servers:
        traffic, total = server.traffic, 0
        for bound, count in zip((*LATENCY_BOUNDS_SECONDS, "+Inf"), traffic.buckets, strict=True):
            total += count
            page.sample(f"{name}_bucket", total, server=server.row.name, le=str(bound))
        page.sample(f"{name}_sum", round(traffic.seconds, 6), server=server.row.name)
        page.sample(f"{name}_count", total, server=server.row.name)


def _own(page: Page, figures: Figures) -> None:
    own = figures.own
    page.one(f"{PREFIX}_uptime_seconds", "gauge", "Seconds since the start", round(figures.uptime_seconds, 3))
    page.one(f"{PREFIX}_connections", "gauge", "Open connections of clients", figures.connections)
    page.one(
        f"{PREFIX}_connections_limit", "gauge", "Connections of clients that may be open", figures.connections_limit
    )
    page.one(f"{PREFIX}_connections_total", "counter", "Connections of clients since the start", own.connections)
    page.one(f"{PREFIX}_connections_refused_total", "counter", "Connections beyond the limit", own.connections_refused)
    page.one(
        f"{PREFIX}_handshakes_failed_total", "counter", "TLS handshakes that were not completed", own.handshakes_failed
    )
    page.one(f"{PREFIX}_tunnels", "gauge", "Connections of clients that have switched protocols", figures.tunnels)
    page.one(f"{PREFIX}_tunnels_total", "counter", "Switches of protocols since the start", own.tunnels)
    page.one(f"{PREFIX}_waiting_requests", "gauge", "Requests that wait for any server", figures.waiting)
    page.one(f"{PREFIX}_resends_total", "counter", "GET and HEAD requests that were sent a second time", own.resends)
    page.one(
        f"{PREFIX}_truncated_total",
        "counter",
        "Answers that a server cut off after their head was passed on",
        own.truncated,
    )
    page.family(f"{PREFIX}_replies_total", "counter", "Answers that the balancer made itself, by status")
    for status, count in sorted(own.replies.items()):
        page.sample(f"{PREFIX}_replies_total", count, code=str(status))
    for what, explanation, value in _OF_WORKERS if figures.workers else ():
        page.family(f"{PREFIX}_worker_{what}", "gauge", explanation)
        for worker in figures.workers:
            page.sample(f"{PREFIX}_worker_{what}", value(worker), worker=str(worker.number))
    if figures.access_log is not None:
        written, dropped = figures.access_log
        page.one(f"{PREFIX}_access_log_lines_total", "counter", "Lines of the access log", written)
        page.one(f"{PREFIX}_access_log_dropped_total", "counter", "Lines that the disk was too slow for", dropped)
