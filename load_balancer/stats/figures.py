"""All figures of one balancer at one moment: what the page, the CSV and the metrics are made of. Values only."""

from typing import NamedTuple

from load_balancer.balancing.members import ServerRow
from load_balancer.stats.counters import Own, Traffic
from load_balancer.stats.events import Event
from load_balancer.stats.rates import MeanTime, Rate


class ServerRates:
    """Of one server; ``look`` several times a second."""

    __slots__ = ("requests", "time")

    def __init__(self, at: float) -> None:
        self.requests = Rate(at)
        self.time = MeanTime(at)

    def look(self, at: float, traffic: Traffic) -> None:
        self.requests.look(at, traffic.requests)
        self.time.look(at, sum(traffic.classes), traffic.seconds)


class ServerFigures(NamedTuple):
    """One server; ``idle``: connections to it that wait for a request."""

    row: ServerRow
    address: str
    traffic: Traffic
    rates: ServerRates
    idle: int


class AccessLogFigures(NamedTuple):
    """Lines of the access log since the start."""

    written: int
    dropped: int


class WorkerFigures(NamedTuple):
    """One of several processes that serve. ``answers``: it told its figures in time; else they are as it last told them."""

    number: int
    pid: int
    answers: bool
    connections: int
    requests: int


class Figures(NamedTuple):
    """``workers``: none where one process does everything.

    ``at``: seconds since 1970; ``waiting``: requests in the line for any server; ``requests``: all, our own answers too."""

    at: float
    uptime_seconds: float
    draining: bool
    algorithm: str
    servers: tuple[ServerFigures, ...]
    own: Own
    connections: int
    tunnels: int
    connections_limit: int
    waiting: int
    waiting_max: int
    requests: int
    connection_rate: Rate
    request_rate: Rate
    check_rise: int
    check_fall: int
    access_log: AccessLogFigures | None
    events: tuple[Event, ...]
    transitions: dict[tuple[str, str], int]
    workers: tuple[WorkerFigures, ...] = ()

    @property
    def ready(self) -> int:
        """Servers that are UP and ready."""
        return sum(server.row.word == "UP" for server in self.servers)

    def answers(self, hundred: int) -> int:
        """All answers to clients with such a status, ours and the servers'."""
        ours = sum(count for status, count in self.own.replies.items() if status // 100 == hundred)
        return ours + sum(server.traffic.classes[hundred] for server in self.servers)
