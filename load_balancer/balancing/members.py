"""One server as the balancing sees it: what is configured, how it is, what is with it, what was counted.

M1  ``serving`` holds each request that is with the server, once; its length is what HAProxy calls current sessions.
M2  ``effective_weight`` is in hundredths of the configured weight: whole numbers, so that shares stay exact.
M3  A server whose slow start lasts never has less than a hundredth of its weight, nor a limit below one request.
"""

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from load_balancer.balancing.servers import Admin, CheckResult, Health, Operation, Rules, initial

WEIGHT_MAX: Final = 256  # HAProxy's
FULL_PERCENT: Final = 100


class Observe(Enum):
    """Which failures of requests are held against a server."""

    NONE = "none"  # none: only checks and refused connections count
    LAYER4 = "layer4"  # connections that were not made
    LAYER7 = "layer7"  # also no answer, a broken or late one, and statuses of 500 and above but 501 and 505


class OnError(Enum):
    """What ``error_limit`` failures in a row do."""

    FASTINTER = "fastinter"  # the next check comes soon
    FAIL_CHECK = "fail-check"  # counts as a failed check
    SUDDEN_DEATH = "sudden-death"  # the next failed check takes it down
    MARK_DOWN = "mark-down"  # takes it down at once


@dataclass(frozen=True)
class ServerOptions:
    """What stands behind a server's address in HAProxy's configuration; 0 means no limit, and no slow start.

    ``cookie``: the value that stands for the server in the cookie of a sticky balancer, its name if empty.
    """

    weight: int = 1
    maxconn: int = 0
    maxqueue: int = 0
    slowstart_seconds: float = 0.0
    backup: bool = False
    check: bool = True
    cookie: str = ""
    observe: Observe = Observe.NONE
    error_limit: int = 10
    on_error: OnError = OnError.FAIL_CHECK


class Tally:
    """What was counted of a server since it was added."""

    __slots__ = (
        "connect_errors",
        "down_seconds",
        "downs",
        "ejections",
        "ejections_denied",
        "failed_checks",
        "queued_max",
        "redispatches",
        "response_errors",
        "retries",
    )

    def __init__(self) -> None:
        self.queued_max = 0
        self.connect_errors = 0
        self.response_errors = 0
        self.retries = 0
        self.redispatches = 0
        self.failed_checks = 0
        self.downs = 0
        self.down_seconds = 0.0
        self.ejections = 0
        self.ejections_denied = 0


class Server:
    """``weight`` is what an operator wants, ``effective_weight`` and ``limit`` what holds now (0: no limit).

    ``in_use``: the algorithm may choose it (server_set.py); ``hurried``: its next check comes soon; ``cold``: it was
    seen failing or is new, so that it starts slowly; ``observed``: how its requests end has to be told. ``parked``: the
    algorithm knows that it is full; ``place`` and ``bucket`` are the algorithm's: here, because what is looked up for
    each request anywhere else is one more thing that the processor's cache has to hold for each of 1,000 servers.
    """

    __slots__ = (
        "bucket",
        "check",
        "cold",
        "effective_weight",
        "errors_in_row",
        "health",
        "hurried",
        "in_use",
        "limit",
        "name",
        "observed",
        "options",
        "order",
        "parked",
        "place",
        "queue",
        "rising_since",
        "serving",
        "serving_max",
        "tally",
        "weight",
    )

    def __init__(self, name: str, options: ServerOptions, now: float, order: int = 0) -> None:
        self.name = name
        self.order = order
        self.options = options
        self.weight = options.weight
        self.health: Health = initial(now, checked=options.check)
        self.effective_weight = options.weight * FULL_PERCENT
        self.limit = options.maxconn
        self.serving: set[object] = set()
        self.serving_max = 0
        self.queue: OrderedDict[object, int] = OrderedDict()
        self.rising_since: float | None = None
        self.errors_in_row = 0
        self.hurried = False
        self.in_use = False
        self.parked = False
        self.place = 0
        self.bucket: OrderedDict[Server, None] | None = None
        self.cold = False
        self.observed = options.observe is not Observe.NONE
        self.check: CheckResult | None = None
        self.tally = Tally()

    @property
    def cookie(self) -> str:
        return self.options.cookie or self.name

    @property
    def full(self) -> bool:
        return 0 < self.limit <= len(self.serving)

    @property
    def usable(self) -> bool:
        """Whether new requests may be given to it."""
        return self.weight > 0 and self.health.eligible

    @property
    def usable_at_last(self) -> bool:
        """Whether new requests may be given to it where no server is usable."""
        return self.weight > 0 and self.health.eligible_at_last

    @property
    def keeps_clients(self) -> bool:
        """Whether it still gets those who are bound to it: HAProxy's drain and weight 0 turn away only new ones."""
        return self.health.operation is Operation.UP and self.health.admin is not Admin.MAINT

    def percent(self, now: float) -> int:
        """How far its slow start is (M3); 100 where there is none."""
        seconds = self.options.slowstart_seconds
        if self.rising_since is None or not seconds:  # new options may have ended it
            return FULL_PERCENT
        elapsed = (now - self.rising_since) * FULL_PERCENT / seconds
        return min(FULL_PERCENT, max(1, int(elapsed)))

    def regulate(self, now: float) -> bool:
        """Bring weight and limit to what holds now; True if either changed."""
        percent = self.percent(now)
        if percent == FULL_PERCENT:
            self.rising_since = None
        maxconn = self.options.maxconn
        weight, limit = self.weight * percent, max(1, maxconn * percent // FULL_PERCENT) if maxconn else 0
        changed = (weight, limit) != (self.effective_weight, self.limit)
        self.effective_weight, self.limit = weight, limit
        return changed


class ServerRow(NamedTuple):
    """One server at one moment, for pages and metrics. Times in seconds; ``*_max``: since the server was added."""

    name: str
    word: str
    operation: Operation
    admin: Admin
    reason: str
    since_seconds: float
    backup: bool
    in_use: bool
    weight: int
    effective_weight: float
    throttle_percent: int | None
    serving: int
    serving_max: int
    maxconn: int
    limit: int
    queued: int
    queued_max: int
    maxqueue: int
    connect_errors: int
    response_errors: int
    retries: int
    redispatches: int
    failed_checks: int
    downs: int
    down_seconds: float
    ejections: int
    ejections_denied: int
    check: CheckResult | None
    check_health: int
    cookie: str


def row(server: Server, now: float, rules: Rules) -> ServerRow:
    """How a server is now."""
    health, options, tally = server.health, server.options, server.tally
    percent = server.percent(now)
    up = health.operation is Operation.UP
    down_now = 0.0 if up or tally.downs == 0 else now - health.operation_since
    if up:
        check_health = rules.rise + rules.fall - 1 - min(health.failures, rules.fall - 1)
    else:
        check_health = min(health.successes, rules.rise - 1)
    return ServerRow(
        name=server.name,
        word=health.word,
        operation=health.operation,
        admin=health.admin,
        reason=health.reason,
        since_seconds=now - health.since,
        backup=options.backup,
        in_use=server.in_use,
        weight=server.weight,
        effective_weight=server.effective_weight / FULL_PERCENT,
        throttle_percent=None if percent == FULL_PERCENT else percent,
        serving=len(server.serving),
        serving_max=server.serving_max,
        maxconn=options.maxconn,
        limit=server.limit,
        queued=len(server.queue),
        queued_max=tally.queued_max,
        maxqueue=options.maxqueue,
        connect_errors=tally.connect_errors,
        response_errors=tally.response_errors,
        retries=tally.retries,
        redispatches=tally.redispatches,
        failed_checks=tally.failed_checks,
        downs=tally.downs,
        down_seconds=tally.down_seconds + down_now,
        ejections=tally.ejections,
        ejections_denied=tally.ejections_denied,
        check=server.check,
        check_health=check_health,
        cookie=server.cookie,
    )
