"""Customers who buy as fast as they are answered: one connection each, in one process, next to no work of their own.

Run as ``python -m bench.purchase.clients`` with a `Load` as JSON on standard input; prints what became of it as JSON.
A client that computes much takes the shop's time on the same two cores: it is a bare loop over sockets that are ready, and
all bodies that there can be are put together before the first is sent (asyncio's transports cost twice as much).
"""

import json
import random
import re
import select
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
WARM_UP_SECONDS = 0.5
PATIENCE_SECONDS = 30.0
RECEIVED_BYTES = 65_536
CUT_OFF = "cut off"
DRAWN = 2_000  # baskets of several lines


@dataclass(frozen=True)
class Load:
    """``tokens``: one customer each. ``stock_ids``: what they choose from, ``lines`` different ones a basket.

    ``baskets``: stock ids; where there are any, one of them is chosen instead.
    """

    host: str
    port: int
    tokens: Sequence[str]
    stock_ids: Sequence[int]
    lines: int
    seconds: float
    seed: int
    baskets: Sequence[Sequence[int]] = ()


@dataclass
class Outcome:
    """Counted after the warm-up; latencies of the orders that were placed, in milliseconds."""

    statuses: dict[str, int] = field(default_factory=dict)
    milliseconds: list[float] = field(default_factory=list)
    placed_in_all: int = 0
    """With warm-up and afterglow: what the books must show."""
    cpu_seconds: float = 0.0
    """Of the whole load, without what came before it."""

    def note(self, status: str, times: int = 1) -> None:
        self.statuses[status] = self.statuses.get(status, 0) + times


class Customer:
    """One connection. Sends the next order when the last one is answered."""

    def __init__(self, load: Load, number: int) -> None:
        self._rng = random.Random(load.seed * 1_000 + number)
        self._key = 0
        self._received = b""
        self._head = (
            f"POST /api/v1/orders HTTP/1.1\r\nHost: {load.host}:{load.port}\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {load.tokens[number]}\r\nIdempotency-Key: {load.seed}-{number}-"
        ).encode()
        self.sent_at = 0.0
        self.socket = socket.create_connection((load.host, load.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, endings: Sequence[bytes]) -> None:
        """The next order: one of ``endings``, by chance."""
        self._key += 1
        ending = endings[int(self._rng.random() * len(endings))]
        self.sent_at = time.perf_counter()
        self.socket.sendall(b"%b%d%b" % (self._head, self._key, ending))

    def receive(self) -> str | None:
        """What is there of an answer: None as long as it is not whole, else its status, or that we were cut off."""
        try:
            data = self.socket.recv(RECEIVED_BYTES)
        except ConnectionError:
            data = b""
        if not data:
            return CUT_OFF
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        if not found or length is None or len(body) < int(length[1]):
            return None
        self._received = b""
        return head[9:12].decode("latin-1") if head.startswith(b"HTTP/1.1 ") else "malformed"


def endings_of(load: Load) -> list[bytes]:
    """All that can follow an order's key: with the baskets that were given, or with baskets drawn here."""
    rng = random.Random(load.seed)
    if load.baskets:
        baskets: Sequence[Sequence[int]] = load.baskets
    elif load.lines == 1:
        baskets = [[stock_id] for stock_id in load.stock_ids]
    else:
        baskets = [rng.sample(load.stock_ids, load.lines) for _basket in range(DRAWN)]
    return [_ending(basket) for basket in baskets]


def _ending(basket: Sequence[int]) -> bytes:
    body = json.dumps({"lines": [{"stock_id": stock_id, "quantity": 1} for stock_id in basket]}, separators=(",", ":"))
    return f"\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def buy(load: Load) -> Outcome:
    """All customers at once for ``load.seconds`` after a warm-up."""
    outcome = Outcome()
    endings = endings_of(load)
    ready = select.epoll()
    buying = {}
    for number in range(len(load.tokens)):
        customer = Customer(load, number)
        buying[customer.socket.fileno()] = customer
        ready.register(customer.socket, select.EPOLLIN)
    counting_from = time.perf_counter() + WARM_UP_SECONDS
    until = counting_from + load.seconds
    cpu_before = time.process_time()
    for customer in buying.values():
        customer.send(endings)
    while buying:
        events = ready.poll(PATIENCE_SECONDS)
        if not events:
            outcome.note("no answer", len(buying))
            break
        for descriptor, _event in events:
            customer = buying[descriptor]
            status = customer.receive()
            if status is None:
                continue
            now = time.perf_counter()
            outcome.placed_in_all += status == "201"
            if counting_from <= now <= until or status == CUT_OFF:
                outcome.note(status)
                if status == "201":
                    outcome.milliseconds.append(1_000 * (now - customer.sent_at))
            if now < until and status != CUT_OFF:
                customer.send(endings)
            else:
                del buying[descriptor]
                customer.socket.close()
    outcome.cpu_seconds = time.process_time() - cpu_before
    return outcome


if __name__ == "__main__":
    print(json.dumps(asdict(buy(Load(**json.load(sys.stdin))))))
