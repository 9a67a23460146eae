"""From a request to buy, of a program or a page, to what is asked of the distributor: key, lines, fingerprint."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import Response

from customers import metrics
from customers.errors import MalformedRequest
from customers.languages import gettext as _
from customers.rate_limits import Standing
from distributor.errors import DistributorError
from distributor.sales import Answer, Contention, Line, Sales, Unsettled

DECIDED = "cds.decided"
"""In the environ of a purchase: what order_desk.py knows of it already."""
KEY_PATTERN = "[!-~]{1,200}"
_KEY = re.compile(KEY_PATTERN)


@dataclass(frozen=True)
class Wanted:
    """``lines`` None is the cart; ``expected`` and ``seen_prices`` are what a page showed of it.

    ``left_out``: lines that stay in the cart; they are not among the expected ones.
    """

    key: str
    lines: Sequence[Line] | None
    expected: Sequence[Line] | None = None
    seen_prices: Mapping[int, int] | None = None
    left_out: frozenset[int] = frozenset()

    def fingerprint(self) -> str:
        """The same for every spelling of the same request: spaces and the order of keys do not make another one."""
        parts: list[object] = [_pairs(self.lines), _pairs(self.expected), sorted((self.seen_prices or {}).items())]
        if self.left_out:
            parts.append(sorted(self.left_out))
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Decided:
    """``standing``: with the quota, on which the purchase was counted."""

    told: Answer | DistributorError | Unsettled
    standing: Standing | None


def is_key(text: str) -> bool:
    return _KEY.fullmatch(text) is not None


def checked_key(key: str | None) -> str:
    """The idempotency key, verbatim; raises MalformedRequest."""
    if key is None:
        message = _("The header Idempotency-Key is missing: choose a new one for every purchase that you mean.")
        raise MalformedRequest(message)
    if not is_key(key):
        message = _("The header Idempotency-Key has 1 to 200 visible ASCII characters.")
        raise MalformedRequest(message)
    return key


def place(sales: Sales, customer_id: int, wanted: Wanted, decided: Decided | None = None) -> Answer:
    """Ask the distributor, unless it is ``decided``; counts what became of it. Raises what `Sales.place` raises."""
    try:
        answer = _told(sales, customer_id, wanted, decided.told if decided else None)
    except DistributorError as error:
        metrics.order_asked(type(error).__name__)
        raise
    outcome = "placed" if answer.status == 201 else str(answer.body.get("reason", "refused"))
    metrics.order_asked("replayed" if answer.replayed else outcome)
    return answer


def _told(sales: Sales, customer_id: int, wanted: Wanted, told: Answer | DistributorError | Unsettled | None) -> Answer:
    if isinstance(told, Answer):
        return told
    if isinstance(told, DistributorError):
        raise told
    return sales.place(
        customer_id,
        wanted.key,
        wanted.lines,
        wanted.fingerprint(),
        wanted.seen_prices,
        expected=wanted.expected,
        left_out=wanted.left_out,
        unsettled=told,
    )


def tell(response: Response, contention: Contention | None) -> None:
    if contention is not None:
        response.headers["Server-Timing"] = timing(contention)


def timing(contention: Contention) -> str:
    """For the header Server-Timing: how long the purchase waited, with whom it was sold, why it was repeated."""
    parts = [
        f'strategy;desc="{contention.strategy}"',
        f"queue;dur={1_000 * contention.queued_seconds:.2f}",
        f"lock;dur={1_000 * contention.lock_seconds:.2f}",
        f'group;desc="{contention.together}"',
    ]
    if contention.repeats:
        parts.append(f'repeats;desc="{" ".join(contention.repeats)}"')
    return ", ".join(parts)


def _pairs(lines: Sequence[Line] | None) -> list[tuple[int, int]] | None:
    return None if lines is None else [(line.stock_id, line.quantity) for line in lines]
