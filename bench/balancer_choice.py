"""What the choice of a server costs, by algorithm, with 3 servers and with 1,000: assign and leave, as a request does.

Rounds go round all set-ups and the least of each counts: whatever else the machine does can only add to it.
"""

import timeit
from collections.abc import Callable
from random import Random
from typing import Any

from load_balancer.balancing.members import Server, ServerOptions
from load_balancer.balancing.placements import SetRules
from load_balancer.balancing.server_set import ServerSet

COUNTS = (3, 1_000)
REQUESTS = 20_000
ROUNDS = 7
HELD = 2  # requests that each server has meanwhile, so that loads differ and are followed
WEIGHTED = "roundrobin, weighted"
LIMITED = "roundrobin, maxconn"


def run() -> dict[str, Any]:
    """Nanoseconds a request, and how many times as dear 1,000 servers are as 3."""
    figures = choices()
    for name, figure in figures.items():
        print(f"{name}: {figure}")
    return {"choice_ns": figures}


def choices() -> dict[str, dict[str, float]]:
    """By algorithm: nanoseconds with each count of servers, and their ratio."""
    names = ["roundrobin", WEIGHTED, LIMITED, "leastconn", "random"]
    asked = {(name, count): _requests(name, count) for name in names for count in COUNTS}
    best = dict.fromkeys(asked, float("inf"))
    for _ in range(ROUNDS):
        for key, ask in asked.items():
            best[key] = min(best[key], timeit.timeit(ask, number=1) / REQUESTS * 1e9)
    few, many = COUNTS
    return {
        name: {
            f"of_{few}": round(best[name, few]),
            f"of_{many}": round(best[name, many]),
            "ratio": round(best[name, many] / best[name, few], 2),
        }
        for name in names
    }


def _requests(name: str, count: int) -> Callable[[], None]:
    """Asks ``REQUESTS`` times; each request stays while the next ``HELD * count`` come."""
    servers: ServerSet[Server] = ServerSet(SetRules(algorithm=name.partition(",")[0]), Random(1))
    for number in range(count):
        weight = 1 + number % 7 if name == WEIGHTED else 1
        maxconn = HELD + 1 if name == LIMITED else 0
        server = Server(f"s{number}", ServerOptions(weight=weight, maxconn=maxconn, check=False), 0.0)
        servers.add(server, 0.0)
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
