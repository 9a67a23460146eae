"""What is wanted of a balancer that runs: orders as values, and which of them follow from two readings of the settings.

O1  Only what changed between the two readings is ordered: what an operator changed by hand stays, unless the file says
    something new of that very thing.
O2  What cannot change in a running process is named, with what makes it hold; none of it is ordered.
No I/O. Carried out by operator.py.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from load_balancer.balancing.members import ServerOptions
from load_balancer.balancing.servers import Admin
from load_balancer.options import Options, ServerAddress
from settings import Settings

SECTION: Final = "load_balancer"
# Keys of the section that hold at once. All others (also ones that are yet to come) need a new process.
LIVE: Final = frozenset({
    "algorithm", "allbackups", "default_server", "servers", "ejected_percent_max",
    "connect_timeout_ms", "server_timeout_ms", "client_timeout_ms", "http_request_timeout_ms", "keep_alive_timeout_ms",
    "queue_timeout_ms", "tunnel_timeout_ms", "client_fin_timeout_ms", "drain_seconds", "handover_seconds",
    "retries", "retry_budget_percent", "retry_budget_per_second_min",
    "check_inter_ms", "check_fastinter_ms", "check_downinter_ms", "check_timeout_ms", "check_fall", "check_rise",
})  # fmt: skip
_ENGINE: Final = f"{SECTION}.engine"  # decides how the process is watched
_FOLLOWED_ELSEWHERE: Final = frozenset({"customers.simulated"})  # by whoever started the system


@dataclass(frozen=True)
class PutServer:
    """There is to be this server: it is added, or gets this address and these options; ``state`` is for a new one."""

    server: ServerAddress


@dataclass(frozen=True)
class RemoveServer:
    """No new request goes to it; what is with it is answered."""

    name: str


@dataclass(frozen=True)
class SetState:
    """An operator's word: ready, drain or maint."""

    name: str
    state: Admin


@dataclass(frozen=True)
class Configure:
    """Checks, times, repeats and the way of choosing are to be as these options have them."""

    options: Options


@dataclass(frozen=True)
class ReadCertificate:
    """The files of the TLS certificate may have changed: they are read again, for connections from now on."""


Order = PutServer | RemoveServer | SetState | Configure | ReadCertificate


@dataclass(frozen=True)
class Difference:
    """Keys that differ: those that hold at once, that need a new balancer process, that need a new start of the system."""

    live: tuple[str, ...] = ()
    balancer: tuple[str, ...] = ()
    system: tuple[str, ...] = ()


def difference(before: Settings, after: Settings) -> Difference:
    """O2."""
    old, new = dict(_leaves(before.model_dump(), "")), dict(_leaves(after.model_dump(), ""))
    changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    live = tuple(key for key in changed if _is_live(key))
    balancer = tuple(key for key in changed if key.startswith(f"{SECTION}.") and not _is_live(key) and key != _ENGINE)
    system = tuple(key for key in changed if key not in {*live, *balancer, *_FOLLOWED_ELSEWHERE})
    return Difference(live, balancer, system)


def with_live(before: Settings, after: Settings) -> Settings:
    """``before``, but what may change at once as ``after`` has it; raises ValueError where that does not go together."""
    wanted = after.load_balancer
    section = before.load_balancer.model_copy(update={key: getattr(wanted, key) for key in LIVE})
    return before.with_load_balancer_of(before.model_copy(update={SECTION: section}))


@dataclass(frozen=True)
class Plan:
    """``left_out``: servers that the file says something new of, but that were removed by hand."""

    orders: tuple[Order, ...]
    left_out: tuple[str, ...] = ()


def plan(before: Options, after: Options, current: Mapping[str, ServerAddress]) -> Plan:
    """O1. ``current``: the servers that there are, by name, with what was changed by hand."""
    known = {server.name: server for server in before.servers}
    orders: list[Order] = []
    left_out: list[str] = []
    for server in after.servers:
        old, mine = known.pop(server.name, None), current.get(server.name)
        if old == server:
            continue
        if old is None:
            orders.append(PutServer(server))
        elif mine is None:
            left_out.append(server.name)
        else:
            address = mine.address if server.address == old.address else server.address
            options = _with_changes(mine.options, old.options, server.options)
            orders.append(PutServer(dataclasses.replace(mine, address=address, options=options)))
    orders += [RemoveServer(name) for name in known if name in current]
    if dataclasses.replace(before, servers=()) != dataclasses.replace(after, servers=()):
        orders.append(Configure(after))
    return Plan(tuple(orders), tuple(left_out))


def towards(wanted: Sequence[ServerAddress], current: Sequence[ServerAddress]) -> tuple[Order, ...]:
    """What makes the current servers those that are wanted, with their states."""
    known = {server.name: server for server in current}
    orders: list[Order] = []
    for server in wanted:
        mine = known.pop(server.name, None)
        if mine is None or dataclasses.replace(mine, state=server.state) != server:
            orders.append(PutServer(server))
        if mine is not None and mine.state is not server.state:
            orders.append(SetState(server.name, server.state))
    return (*orders, *(RemoveServer(name) for name in known))


def carried_out(orders: tuple[Order, ...], servers: Mapping[str, ServerAddress]) -> dict[str, ServerAddress]:
    """The servers that there are after the orders, where no process runs yet."""
    found = dict(servers)
    for order in orders:
        if isinstance(order, PutServer):
            found[order.server.name] = order.server
        elif isinstance(order, RemoveServer):
            found.pop(order.name, None)
    return found


def _with_changes(mine: ServerOptions, old: ServerOptions, new: ServerOptions) -> ServerOptions:
    names = [field.name for field in dataclasses.fields(new)]
    changed = {name: getattr(new, name) for name in names if getattr(new, name) != getattr(old, name)}
    return dataclasses.replace(mine, **changed)


def _is_live(key: str) -> bool:
    section, _, rest = key.partition(".")
    return section == SECTION and rest.partition(".")[0] in LIVE


def _leaves(value: object, key: str) -> Iterator[tuple[str, object]]:
    """Values by their dotted keys; what is empty, or None, says nothing."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, f"{key}.{name}" if key else str(name))
    elif value is not None:
        yield key, value
