"""Buying one basket until the outcome is certain or patience ends; every attempt is recorded before it is sent.

Y1  The key is made and recorded before the request that carries it.
Y2  A new key only after a certain refusal; see outcomes.next_step for the rules.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gevent

from scenarios.history import Held, Process
from scenarios.outcomes import (
    AskAgain,
    AskForLess,
    End,
    Known,
    Next,
    Patience,
    Reply,
    SignIn,
    Stop,
    classify,
    contention_of,
    next_step,
)
from scenarios.shop import Account, Shop


@dataclass
class Bought:
    """What became of one basket."""

    end: End
    order_id: int | None = None
    month: int | None = None
    total_minor: int = 0
    lines: dict[int, int] = field(default_factory=dict)
    """What was bought."""
    keys: int = 0
    requests: int = 0
    unknowns: int = 0
    """Attempts without a certain answer."""
    met: list[dict[str, Any]] = field(default_factory=list)
    """What each attempt met, where the shop said it (outcomes.contention_of)."""
    seconds: float = 0.0
    problem: str = ""


@dataclass
class Buyer:
    """Buys baskets for one logical client. ``over`` says that the month is closed for good; ``refill`` makes the shop's
    cart agree with the lines before an order of the cart, None where orders name their lines."""

    shop: Shop
    process: Process
    patience: Patience
    over: Callable[[], bool]

    def buy(
        self,
        account: Account,
        wanted: Mapping[int, int],
        keys: Callable[[int], str],
        refill: Callable[[dict[int, int]], dict[int, int]] | None = None,
        held: Callable[[], Held] = dict,
    ) -> Bought:
        """Buy ``wanted`` (stock id -> units); ``keys(n)`` is the n-th idempotency key of this basket, from 1.

        ``held``: what the shop said last to hold of the cart.
        """
        begun = time.monotonic()
        bought = Bought(End.GAVE_UP, keys=1)
        lines = dict(wanted)
        asked = begun
        sign_ins = 0
        while True:
            key = keys(bought.keys)
            index = self.process.invoke(account.email, account.customer_id, key, lines, held())
            reply = self.shop.order(account, key, lines if refill is None else None)
            known = classify(reply)
            self.process.end(index, key, known, reply)
            bought.requests += 1
            bought.unknowns += known is Known.INFO
            if met := contention_of(reply):
                bought.met.append(met)
            if known is Known.OK:
                return _settled(bought, reply, lines, dict(wanted), begun)
            step = self._next(reply, known, lines, bought.keys, time.monotonic() - asked)
            match step:
                case AskAgain(seconds):
                    gevent.sleep(seconds)
                case SignIn():
                    sign_ins += 1
                    if sign_ins > self.patience.sign_ins_max:
                        return _ended(bought, End.REFUSED, reply, begun)
                    self.shop.sign_in(account)
                case AskForLess(less):
                    lines = refill(less) if refill else less
                    if not lines:
                        return _ended(bought, End.SOLD_OUT, reply, begun)
                    bought.keys += 1
                    asked = time.monotonic()
                case Stop(end):
                    return _ended(bought, end, reply, begun)

    def _next(self, reply: Reply, known: Known, lines: dict[int, int], keys_used: int, waited: float) -> Next:
        """The rules' answer, but nobody waits for a shop that will not open again."""
        step = next_step(reply, lines, keys_used, waited, self.patience)
        closed = reply.problem == "shop-closed" or known is Known.FAIL
        if isinstance(step, AskAgain) and closed and self.over():
            return Stop(End.CLOSED)
        return step


def _settled(bought: Bought, reply: Reply, lines: dict[int, int], wanted: dict[int, int], begun: float) -> Bought:
    month = reply.body.get("month")
    bought.end = End.BOUGHT if lines == wanted else End.PARTLY
    bought.order_id = reply.body["id"]
    bought.month = month if isinstance(month, int) else None
    bought.total_minor = reply.body["total"]["amount"]
    bought.lines = lines
    bought.seconds = time.monotonic() - begun
    return bought


def _ended(bought: Bought, end: End, reply: Reply, begun: float) -> Bought:
    bought.end = end
    bought.problem = reply.problem or reply.error or ""
    bought.seconds = time.monotonic() - begun
    return bought
