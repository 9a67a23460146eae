"""All servers of a balancer: who may be chosen, who waits for whom. Events and time in, decisions out; no sockets.

G1  New requests go to servers that are UP, ready and of a weight above 0; to backup servers only where there is no
    other one, and then to the first of them only, unless ``allbackups``. Where there is none of either, to those that are
    AWAY, in turn.
G2  No server has more requests than its limit, whichever way they came to it.
G3  First in, first out: while a request waits in the line of all, no server in use has room; while one waits in a
    server's own line, that server has none. A server that gets room takes whoever came first of both lines.
G4  A request waits only for what can come: when a server goes down those in its own line are placed anew, and when
    none is left in use all in line are refused at once.
G5  A request is with one server, in one line, or nowhere. ``leave`` and ``withdraw`` may be repeated.
G6  Failures of requests never take out more than ``ejected_share_max`` of the servers, nor the last one that is in use;
    what checks find has no such limit.

Whoever calls a method that returns placements carries them out, in their order: each says where a request that waited
goes now, or that there is nowhere to go. Called by proxy/balancer.py, by what an operator asks, and by exchanges.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection
from random import Random
from typing import Final, Generic, cast

from load_balancer.balancing.algorithms import ALGORITHMS, Algorithm
from load_balancer.balancing.members import Observe, OnError, Server, ServerOptions, ServerRow, row
from load_balancer.balancing.placements import Placement, Refusal, S, SetRules
from load_balancer.balancing.servers import (
    Admin,
    CheckResult,
    Health,
    Operation,
    Sign,
    administer,
    initial,
    mark_down,
    observe,
    suspect,
)

_FINE_ABOVE_499: Final = frozenset({501, 505})  # they tell about the request, not about the server; HAProxy's choice


class ServerSet(Generic[S]):
    """The servers by name, in the order in which they were added.

    ``attentive``: whether the algorithm, a limit or what is observed must hear of each request that ends; where not, it
    is enough to take the request out of ``serving`` instead of calling ``answered`` and ``leave``.
    """

    def __init__(self, rules: SetRules, dice: Random | None = None) -> None:
        """``dice``: what algorithms draw with, seeded by whoever wants to see the same twice."""
        self.rules = rules
        self.servers: dict[str, S] = {}
        self.line: OrderedDict[object, int] = OrderedDict()
        self.line_max = 0  # the longest that ``line`` ever was
        self._dice = dice or Random()  # noqa: S311 - no secret depends on it
        self._algorithm: Algorithm = ALGORITHMS[rules.algorithm](self._dice)
        self._choose: Callable[[Collection[str]], S | None] = lambda _: None
        self.attentive = False
        self._follows_load = self._algorithm.follows_load
        self._in_use: list[S] = []
        self._rising: set[S] = set()
        self._line_limit = 0
        self._tickets = 0
        self._orders = 0
        self._by_cookie: dict[bytes, S] = {}
        self._lined_up: dict[object, S] = {}  # who waits in which server's own line

    # What an operator does.

    def add(self, server: S, now: float, *, cold: bool = True) -> list[Placement[S]]:
        """Take in a server; raises ValueError if one of its name is here. It is chosen as soon as it is UP.

        Not ``cold``: when it is UP for the first time it gets its whole share at once, as when a balancer starts.
        """
        if server.name in self.servers:
            raise ValueError(f"a server of the name {server.name!r} is there already")
        server.cold = cold
        server.order = self._orders
        self._orders += 1
        self.servers[server.name] = server
        self._read_cookies()
        return self._settle(now)

    def remove(self, name: str, now: float) -> list[Placement[S]]:
        """Forget a server; KeyError if there is none. What is with it ends there, what waits for it goes elsewhere."""
        server = self.servers.pop(name)
        server.in_use = False
        self._rising.discard(server)
        self._read_cookies()
        placements = self._settle(now, leaving=server)
        self._algorithm.forget(server)
        return placements

    def set_options(self, name: str, options: ServerOptions, now: float) -> list[Placement[S]]:
        """What its configuration says now; raises KeyError. Its state stays, unless it is checked now and was not."""
        server = self.servers[name]
        if options.check != server.options.check:
            server.health = initial(now, checked=options.check)._replace(admin=server.health.admin)
        server.options, server.weight = options, options.weight
        server.observed = options.observe is not Observe.NONE
        server.regulate(now)
        self._read_cookies()
        return self._settle(now)

    def set_state(self, name: str, admin: Admin, now: float) -> list[Placement[S]]:
        """``ready``, ``drain`` or ``maint``; raises KeyError."""
        server = self.servers[name]
        server.cold = server.cold or admin is Admin.MAINT
        return self._turn(server, administer(server.health, admin, now), now)

    def set_rules(self, rules: SetRules, now: float) -> list[Placement[S]]:
        """What holds for all from now on; another algorithm begins its turns anew."""
        if rules.algorithm != self.rules.algorithm:
            self._algorithm = ALGORITHMS[rules.algorithm](self._dice)
            self._follows_load = self._algorithm.follows_load
        self.rules = rules
        return self._settle(now)

    def adopt(self, server: S, health: Health, now: float) -> list[Placement[S]]:
        """The state that somebody else found a server in."""
        return self._turn(server, health, now)

    def snapshot(self, now: float) -> tuple[ServerRow, ...]:
        """All servers as they are now, for pages and metrics."""
        return tuple(row(server, now, self.rules.health) for server in self.servers.values())

    # What checks and requests tell.

    def checked(self, server: S, result: CheckResult, now: float) -> list[Placement[S]]:
        """The answer to an active check."""
        server.check = result
        server.hurried = False
        if result.sign is not Sign.PASSED and server.health.operation is Operation.UP:
            server.tally.failed_checks += 1
        return self.observe(server, result.sign, result.reason, now)

    def observe(self, server: S, sign: Sign, reason: str, now: float) -> list[Placement[S]]:
        """One sign of a server's health. In maintenance nothing counts."""
        if server.health.admin is Admin.MAINT:
            return []
        server.cold = server.cold or sign is not Sign.PASSED
        return self._turn(server, observe(server.health, sign, reason, self.rules.health, now), now)

    def answered(self, server: S, status: int, now: float) -> list[Placement[S]]:
        """A request to a server that is observed was answered (``Observe.LAYER7`` looks at the status)."""
        if server.options.observe is Observe.LAYER7 and status >= 500 and status not in _FINE_ABOVE_499:
            return self._hold_against(server, f"status {status}", now)
        server.errors_in_row = 0
        return []

    def failed(self, server: S, reason: str, now: float, *, connected: bool) -> list[Placement[S]]:
        """A request found no connection, or (``connected``) no usable answer: counted; G6 says what else."""
        if connected:
            server.tally.response_errors += 1
        else:
            server.tally.connect_errors += 1
        if server.options.observe is Observe.NONE or (connected and server.options.observe is Observe.LAYER4):
            return []
        return self._hold_against(server, reason, now)

    def advance(self, now: float) -> list[Placement[S]]:
        """Slow starts go on; called a few times a second."""
        if not any(server.regulate(now) for server in self._rising):
            return []
        return self._settle(now)

    @property
    def rising(self) -> int:
        """How many servers are in their slow start."""
        return len(self._rising)

    # Requests.

    def assign(self, ticket: object, avoid: Collection[str] = ()) -> S | None:
        """The server whose turn it is, with the request on it; one of ``avoid`` only where there is no other.

        None: there is no room (``enter`` says what becomes of the request).
        """
        server = self._choose(avoid)
        if server is None:
            return None
        serving = server.serving
        serving.add(ticket)
        count = len(serving)
        if count > server.serving_max:  # noqa: PLR1730 - max() takes longer, and this is every request's path
            server.serving_max = count
        if self.attentive:
            self._loaded(server)
        return server

    def bound(self, cookie: bytes, avoid: Collection[str] = ()) -> S | None:
        """The server that a client's cookie stands for, if it may still be served there."""
        server = self._by_cookie.get(cookie)
        if server is None or not server.keeps_clients or server.name in avoid:
            return None
        return server

    def assign_bound(self, ticket: object, server: S) -> bool:
        """Give a request to the server that its client is bound to; False if that is full."""
        if server.full:
            return False
        self._put(ticket, server)
        return True

    def enter(self, ticket: object, bound: S | None = None) -> Refusal | None:
        """Stand in line: that of the server it is ``bound`` to, or that of all. None: it waits; else why it does not."""
        if bound is not None:
            if bound.options.maxqueue and len(bound.queue) >= bound.options.maxqueue:
                return Refusal.QUEUE_FULL
            bound.queue[ticket] = self._next_ticket()
            bound.tally.queued_max = max(bound.tally.queued_max, len(bound.queue))
            self._lined_up[ticket] = bound
            return None
        if not self._in_use:
            return Refusal.NO_SERVER
        if self._line_limit and len(self.line) >= self._line_limit:
            return Refusal.QUEUE_FULL
        self.line[ticket] = self._next_ticket()
        self.line_max = max(self.line_max, len(self.line))
        return None

    def withdraw(self, ticket: object) -> None:
        """It waits no longer: its client is gone, or its time is over."""
        self.line.pop(ticket, None)
        server = self._lined_up.pop(ticket, None)
        if server is not None:
            server.queue.pop(ticket, None)

    def leave(self, server: S, ticket: object) -> list[Placement[S]]:
        """A request is no longer with the server: who takes its room (G3)."""
        server.serving.discard(ticket)
        if not self.attentive:
            return []
        if self.line or server.queue:
            return self._fill(server)
        self._loaded(server)
        return []

    # Within.

    def _read_cookies(self) -> None:
        self._by_cookie = {server.cookie.encode("utf-8"): server for server in self.servers.values()}

    def _next_ticket(self) -> int:
        self._tickets += 1
        return self._tickets

    def _put(self, ticket: object, server: S) -> None:
        server.serving.add(ticket)
        server.serving_max = max(server.serving_max, len(server.serving))
        if self.attentive:
            self._loaded(server)

    def _loaded(self, server: Server) -> None:
        """Its number of requests has changed."""
        if not server.in_use:
            return
        full = 0 < server.limit <= len(server.serving)
        if full is not server.parked:
            server.parked = full
            if full:
                self._algorithm.park(server)
            else:
                self._algorithm.unpark(server)
        elif self._follows_load and not full:
            self._algorithm.loaded(server)

    def _fill(self, server: S) -> list[Placement[S]]:
        """Whoever may come in now (G3)."""
        placements: list[Placement[S]] = []
        while not server.full:
            ticket = self._first_of(server)
            if ticket is None:
                break
            self.withdraw(ticket)
            server.serving.add(ticket)
            placements.append(Placement(ticket, server))
        server.serving_max = max(server.serving_max, len(server.serving))
        self._loaded(server)
        return placements

    def _first_of(self, server: S) -> object | None:
        """Who came first of a server's own line and that of all; from the latter only if the server is in use."""
        own = next(iter(server.queue), None) if server.keeps_clients else None
        anyone = next(iter(self.line), None) if server.in_use else None
        if own is None or anyone is None:
            return own if anyone is None else anyone
        return own if server.queue[own] < self.line[anyone] else anyone

    def _turn(self, server: S, health: Health, now: float) -> list[Placement[S]]:
        """A server's state after an event; all that follows if it is another one."""
        before, server.health = server.health, health
        if (before.operation, before.admin) == (health.operation, health.admin):
            return []
        server.errors_in_row = 0  # of another state: one that is AWAY answers 503 by its own word
        was_up, is_up = before.operation is Operation.UP, health.operation is Operation.UP
        if was_up and not is_up:
            server.tally.downs += 1
        elif is_up and not was_up:
            if server.tally.downs:
                server.tally.down_seconds += now - before.operation_since
            if server.options.slowstart_seconds and server.cold:
                server.rising_since = now
                self._rising.add(server)
        return self._settle(now)

    def _hold_against(self, server: S, reason: str, now: float) -> list[Placement[S]]:
        """One more failure in a row; enough of them do what the server's ``on_error`` says (G6)."""
        server.errors_in_row += 1
        if server.errors_in_row < server.options.error_limit or server.health.operation is not Operation.UP:
            return []
        server.errors_in_row = 0
        server.hurried = True
        action, health, rules = server.options.on_error, server.health, self.rules.health
        why = f"{server.options.error_limit} requests failed in a row: {reason}"
        if action is OnError.FAIL_CHECK:
            health = observe(health, Sign.FAILED, why, rules, now)
        elif action is OnError.SUDDEN_DEATH:
            health = suspect(health, rules)
        elif action is OnError.MARK_DOWN:
            health = mark_down(health, why, now)
        if health.operation is Operation.UP:
            server.health = health
            return []
        if not self._may_eject(server):
            server.tally.ejections_denied += 1
            return []
        server.tally.ejections += 1
        return self._turn(server, health, now)

    def _may_eject(self, server: S) -> bool:
        """G6: counted together with those that are down for whatever reason."""
        wanted = [other for other in self.servers.values() if other.health.admin is not Admin.MAINT]
        down = sum(other.health.operation is not Operation.UP for other in wanted)
        others = any(other is not server for other in self._in_use)
        return (others or not server.in_use) and down + 1 <= self.rules.ejected_share_max * len(wanted)

    def _settle(self, now: float, leaving: S | None = None) -> list[Placement[S]]:
        """Who may be chosen now, with which weight and limit; then whoever waits goes where there is room (G1 to G4)."""
        servers = list(self.servers.values())
        for server in self._rising:
            server.regulate(now)
        self._rising = {server for server in self._rising if server.rising_since is not None}
        usable = [server for server in servers if server.usable]
        active = [server for server in usable if not server.options.backup]
        backups = usable if self.rules.allbackups else usable[:1]
        self._in_use = active or backups or [server for server in servers if server.usable_at_last]
        for server in servers:
            server.in_use = False
        for server in self._in_use:
            server.in_use = True
            server.parked = server.full
        limits = [server.options.maxqueue for server in self._in_use]
        self._line_limit = sum(limits) if all(limits) else 0
        self._algorithm.rebuild(self._in_use)
        self._choose = cast("Callable[[Collection[str]], S | None]", self._algorithm.choose)  # one of ``_in_use``
        told = any(server.options.maxconn or server.observed for server in servers)
        self.attentive = told or self._follows_load
        return self._place_waiting(leaving)

    def _place_waiting(self, leaving: S | None) -> list[Placement[S]]:
        """G3, G4: those in the line of a server that no longer serves them stand where they would stand in that of all."""
        for server in [*self.servers.values(), *([] if leaving is None else [leaving])]:
            if server.queue and (server is leaving or not server.keeps_clients):
                self._merge_line(server)
        placements: list[Placement[S]] = []
        if self.line and not self._in_use:
            placements = [Placement(ticket, None) for ticket in self.line]
            self.line.clear()
        for server in self.servers.values() if self.line or self._lined_up else ():
            placements += self._fill(server)
        return placements

    def _merge_line(self, server: S) -> None:
        """By the time they came, for they have waited already; no limit turns them away now."""
        for ticket in server.queue:
            del self._lined_up[ticket]
        merged = sorted([*self.line.items(), *server.queue.items()], key=_came)
        server.queue.clear()
        self.line = OrderedDict(merged)


def _came(entry: tuple[object, int]) -> int:
    return entry[1]
