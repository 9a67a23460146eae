"""What the choice of a server costs, by algorithm, with 3 servers and with 1,000: assign and leave, as a request does.

Rounds go round all set-ups, each a few times in a row, and the least time of each counts: whatever else the machine does can
only add to it, and a time is as short as one pass over all requests that are held, so that some are not disturbed. Loads and
weights are mixed alike however many servers there are. The rows "no choice" note requests with servers that a list
names, in turn: what they cost more with 1,000 servers is memory that the processor's cache does not hold.
"""

import time
import timeit
from collections.abc import Callable
from random import Random
from typing import Any, Final, NamedTuple, Protocol

from load_balancer.balancing.members import Server, ServerOptions
from load_balancer.balancing.placements import Placement, SetRules
from load_balancer.balancing.server_set import ServerSet
from load_balancer.balancing.servers import Admin

COUNTS: Final = (3, 1_000)
REQUESTS: Final = 2_000
ROUNDS: Final = 12
IN_A_ROW: Final = 8
HELD: Final = 2  # requests that each server has meanwhile, so that loads differ and are followed
CHANGES: Final = 20


class Choice(NamedTuple):
    """One way to choose. ``weights``: how many different ones; ``room``: each server's limit above ``HELD``."""

    algorithm: str = "roundrobin"
    weights: int = 1
    room: int | None = None


CHOICES: Final = {
    "roundrobin": Choice(),
    "roundrobin, weighted": Choice(weights=3),
    "roundrobin, maxconn": Choice(room=1),
    "roundrobin, all full but one": Choice(room=0),
    "roundrobin, weighted, all full but one": Choice(weights=3, room=0),
    "leastconn": Choice("leastconn"),
    "leastconn, weighted": Choice("leastconn", weights=3),
    "random": Choice("random"),
    "no choice": Choice(),
    "no choice, weighted": Choice(weights=3),
}
CHANGED: Final = ("roundrobin", "roundrobin, weighted", "leastconn", "random")


class Assigning(Protocol):
    """The part of a server set that this measures."""

    def assign(self, ticket: object) -> Server | None: ...

    def leave(self, server: Server, ticket: object) -> list[Placement[Server]]: ...


class Noting:
    """Notes each request with the next server of a list, as ``ServerSet.assign`` does with the one that it chose."""

    def __init__(self, turns: list[Server]) -> None:
        self._turns = turns
        self._place = 0

    def assign(self, ticket: object) -> Server | None:
        place = self._place
        server = self._turns[place]
        place += 1
        self._place = place if place < len(self._turns) else 0
        serving = server.serving
        serving.add(ticket)
        count = len(serving)
        if count > server.serving_max:  # noqa: PLR1730 - as there
            server.serving_max = count
        return server

    def leave(self, server: Server, ticket: object) -> list[Placement[Server]]:
        server.serving.discard(ticket)
        return []


def run() -> dict[str, Any]:
    """Nanoseconds a request, how many times as dear 1,000 servers are as 3, and what a change among 1,000 takes."""
    figures = choices()
    for name, figure in figures.items():
        print(f"{name}: {figure}")
    return {"choice_ns": figures, "change_ms": {name: changes(CHOICES[name]) for name in CHANGED}}


def choices() -> dict[str, dict[str, float]]:
    """By algorithm: nanoseconds with each count of servers, and their ratio."""
    asked = {(name, count): _requests(name, count) for name in CHOICES for count in COUNTS}
    best = dict.fromkeys(asked, float("inf"))
    for _ in range(ROUNDS):
        for key, ask in asked.items():
            best[key] = min(best[key], min(timeit.repeat(ask, number=1, repeat=IN_A_ROW)) / REQUESTS * 1e9)
    few, many = COUNTS
    return {
        name: {
            f"of_{few}": round(best[name, few]),
            f"of_{many}": round(best[name, many]),
            "ratio": round(best[name, many] / best[name, few], 2),
        }
        for name in CHOICES
    }


def changes(choice: Choice) -> float:
    """Milliseconds of processor time until another state of one server of the greater count holds; the least of all."""
    servers = _servers(choice, COUNTS[-1])
    took = []
    for number in range(CHANGES):
        began = time.process_time()
        servers.set_state("s1", Admin.READY if number % 2 else Admin.DRAIN, 1.0)
        took.append(time.process_time() - began)
    return round(min(took) * 1e3, 2)


def _servers(choice: Choice, count: int) -> ServerSet[Server]:
    servers: ServerSet[Server] = ServerSet(SetRules(algorithm=choice.algorithm), Random(1))
    maxconn = 0 if choice.room is None else HELD + choice.room
    for number in range(count):
        options = ServerOptions(weight=1 + number % choice.weights, maxconn=maxconn, check=False)
        servers.add(Server(f"s{number}", options, 0.0), 0.0)
    return servers


def _requests(name: str, count: int) -> Callable[[], None]:
    """Asks ``REQUESTS`` times; each request stays while the next ``HELD * count`` come."""
    choice = CHOICES[name]
    chosen = _servers(choice, count)
    servers: Assigning = chosen
    if name.startswith("no choice"):
        ticket = object()
        turns = [chosen.assign(ticket) for _ in range(sum(server.weight for server in chosen.servers.values()))]
        for server in chosen.servers.values():
            chosen.leave(server, ticket)
        servers = Noting([server for server in turns if server is not None])
    tickets = [object() for _ in range(HELD * count)]
    held = [(servers.assign(ticket), ticket) for ticket in tickets]

    def ask() -> None:
        place = 0
        for _ in range(REQUESTS):
            server, ticket = held[place]
            assert server is not None  # noqa: S101 - there is room for more than are held
            servers.leave(server, ticket)
            held[place] = (servers.assign(ticket), ticket)
            place = place + 1 if place + 1 < len(held) else 0

    return ask
