"""Customers who buy as fast as they are answered: one connection each, in one process, next to no work of their own.

Run as ``python -m bench.purchase.clients`` with a `Load` as JSON on standard input; prints what became of it as JSON.
A client that computes much would be measured instead of the shop: requests are put together before the first is sent.
"""

import asyncio
import json
import random
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import cast

import uvloop

_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
WARM_UP_SECONDS = 0.5


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


class Customer(asyncio.Protocol):
    """Sends the next order when the last one is answered, until the time is over."""

    def __init__(self, load: Load, number: int, outcome: Outcome, counting_from: float, until: float) -> None:
        self._rng = random.Random(load.seed * 1_000 + number)
        self._load = load
        self._outcome = outcome
        self._counting_from, self._until = counting_from, until
        self._received = b""
        self._sent_at = 0.0
        self._key = 0
        self._head = (
            f"POST /api/v1/orders HTTP/1.1\r\nHost: {load.host}:{load.port}\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {load.tokens[number]}\r\nIdempotency-Key: {load.seed}-{number}-"
        )
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        if self._load.baskets:
            chosen: Sequence[int] = self._rng.choice(self._load.baskets)
        elif len(self._load.stock_ids) == 1:
            chosen = self._load.stock_ids
        else:
            chosen = self._rng.sample(self._load.stock_ids, self._load.lines)
        lines = ",".join(f'{{"stock_id":{stock_id},"quantity":1}}' for stock_id in chosen)
        body = f'{{"lines":[{lines}]}}'
        self._key += 1
        self._sent_at = time.perf_counter()
        self._transport.write(f"{self._head}{self._key}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head + b"\r\n")
        if not found or length is None or len(body) < int(length[1]):
            return
        self._received = b""
        now = time.perf_counter()
        status = _STATUS.match(head)
        self._note(status[1].decode() if status else "malformed", now)
        if now < self._until:
            self._send()
        else:
            self._end()

    def _note(self, status: str, now: float) -> None:
        self._outcome.placed_in_all += status == "201"
        if not self._counting_from <= now <= self._until:
            return
        self._outcome.statuses[status] = self._outcome.statuses.get(status, 0) + 1
        if status == "201":
            self._outcome.milliseconds.append(1_000 * (now - self._sent_at))

    def _end(self) -> None:
        self._transport.close()
        if not self.ended.done():
            self.ended.set_result(None)

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.ended.done():
            self._outcome.statuses["cut off"] = self._outcome.statuses.get("cut off", 0) + 1
            self.ended.set_result(None)


async def buy(load: Load) -> Outcome:
    """All customers at once for ``load.seconds`` after a warm-up."""
    outcome = Outcome()
    counting_from = time.perf_counter() + WARM_UP_SECONDS
    until = counting_from + load.seconds
    loop = asyncio.get_running_loop()
    customers = [Customer(load, number, outcome, counting_from, until) for number in range(len(load.tokens))]
    for customer in customers:
        await loop.create_connection(lambda customer=customer: customer, load.host, load.port)  # type: ignore[misc]
    await asyncio.gather(*(customer.ended for customer in customers))
    return outcome


if __name__ == "__main__":
    uvloop.install()
    print(json.dumps(asdict(asyncio.run(buy(Load(**json.load(sys.stdin)))))))
