"""The figures of several processes as those of one. Pure.

F1  What is counted is the sum over all processes, also over those that have ended: a counter never goes back.
F2  What is at a moment (requests under way, open connections, rates) is the sum over those that live.
F3  How a server is, and what happened to it, is the first one's word: it makes the checks, and hears what requests found.
Highest values are sums of each process' highest: no process knows when the others had theirs, so it may be less.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from load_balancer.balancing.members import ServerRow
from load_balancer.stats.counters import Own, Traffic
from load_balancer.stats.figures import AccessLogFigures, Figures, ServerFigures, ServerRates
from load_balancer.stats.rates import MeanTime, Rate

_COUNTED: Final = (
    "connect_errors", "response_errors", "retries", "redispatches", "ejections", "ejections_denied",
    "serving_max", "queued_max",
)  # fmt: skip
_IDLE_WEIGHT: Final = 1e-6  # of a process without requests at the moment: its last mean counts where there is no other
_OF_NOW: Final = ("serving", "queued")


def merged(first: Figures, others: Sequence[Figures]) -> Figures:
    """F1 to F3."""
    every = [first, *others]
    logs = [figures.access_log for figures in every if figures.access_log is not None]
    return first._replace(
        servers=tuple(_server(server, others) for server in first.servers),
        own=_own([figures.own for figures in every]),
        connections=sum(figures.connections for figures in every),
        tunnels=sum(figures.tunnels for figures in every),
        connections_limit=sum(figures.connections_limit for figures in others) or first.connections_limit,
        waiting=sum(figures.waiting for figures in every),
        waiting_max=sum(figures.waiting_max for figures in every),
        requests=sum(figures.requests for figures in every),
        connection_rate=_rate([figures.connection_rate for figures in every]),
        request_rate=_rate([figures.request_rate for figures in every]),
        access_log=_access_log(logs) if logs else None,
    )


def ended(figures: Figures) -> Figures:
    """What is left of a process that has ended: its counters (F1)."""
    servers = tuple(
        server._replace(row=server.row._replace(serving=0, queued=0), rates=_rates([], server), idle=0)
        for server in figures.servers
    )
    return figures._replace(
        servers=servers,
        connections=0,
        tunnels=0,
        connections_limit=0,
        waiting=0,
        connection_rate=Rate(0.0),
        request_rate=Rate(0.0),
    )


def _server(server: ServerFigures, others: Sequence[Figures]) -> ServerFigures:
    same = [one for figures in others for one in figures.servers if one.row.name == server.row.name]
    every = [server, *same]
    numbers: dict[str, Any] = {
        name: sum(int(getattr(one.row, name)) for one in every) for name in (*_COUNTED, *_OF_NOW)
    }
    row: ServerRow = server.row._replace(**numbers)
    return server._replace(
        row=row,
        traffic=_traffic([one.traffic for one in every]),
        rates=_rates(same, server),
        idle=sum(one.idle for one in every),
    )


def _traffic(parts: Sequence[Traffic]) -> Traffic:
    found = Traffic()
    for part in parts:
        found.requests += part.requests
        found.connections += part.connections
        found.bytes_in += part.bytes_in
        found.bytes_out += part.bytes_out
        found.seconds += part.seconds
        found.classes = _added(found.classes, part.classes)
        found.buckets = _added(found.buckets, part.buckets)
        found.failures += part.failures
    return found


def _added(one: list[int], other: list[int]) -> list[int]:
    return [mine + theirs for mine, theirs in zip(one, other, strict=True)]


def _own(parts: Sequence[Own]) -> Own:
    found = Own()
    for name in Own.__slots__:
        if name == "replies":
            found.replies = sum((part.replies for part in parts), Counter())
        else:
            setattr(found, name, sum(getattr(part, name) for part in parts))
    return found


def _rate(parts: Sequence[Rate]) -> Rate:
    found = Rate(0.0)
    found.now = sum(part.now for part in parts)
    found.most = sum(part.most for part in parts)
    return found


def _rates(parts: Sequence[ServerFigures], first: ServerFigures) -> ServerRates:
    """Times are means by how many requests each process had of late."""
    found = ServerRates(0.0)
    every = [one.rates for one in (first, *parts)] if parts else []
    found.requests = _rate([one.requests for one in every])
    found.time = MeanTime(0.0)
    known = [(one.time.seconds, one.requests.now or _IDLE_WEIGHT) for one in every if one.time.seconds]
    if known:
        found.time.seconds = sum(seconds * weight for seconds, weight in known) / sum(weight for _, weight in known)
    found.time.longest = max((one.time.longest for one in every), default=0.0)
    return found


def _access_log(parts: Sequence[AccessLogFigures]) -> AccessLogFigures:
    return AccessLogFigures(sum(part.written for part in parts), sum(part.dropped for part in parts))
