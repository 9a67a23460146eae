"""What a client knows after one answer, and what it does next: pure rules, no network, no clock.

O1  OK and FAIL are certain; everything that may have been executed is INFO ("when in doubt, unknown is always safe").
O2  After INFO the same key is asked again, never a new one, until the answer is certain or patience ends.
O3  A refusal for lack of stock is an expected outcome, not an error: what is left is asked for, with a new key.
O4  Patience is bounded: attempts with new keys by count, waiting with the same key by time.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

PROBLEM = "urn:cds:problem:"
WAIT_SECONDS_DEFAULT = 0.25  # when an answer names no Retry-After; chosen: a few round trips
WAIT_SECONDS_MAX = 5.0
_TIMED = re.compile(r'([a-z]+);(?:dur=|desc=")([^",]*)')
WITH_BODY = frozenset({200, 201})  # the shop's answers that always carry a document
# Definite refusals: the shop answered that it did not do it (B1 of Jepsen's practice: 4xx that end a request).
REFUSALS = frozenset({400, 401, 402, 403, 404, 405, 409, 413, 415, 421, 422, 429})


class Failure(StrEnum):
    """Why there is no answer."""

    REFUSED = "connection refused"
    """No byte was sent: certainly not executed."""
    BROKEN = "connection broken or timed out"
    """Bytes may have been sent: not known."""


class Known(StrEnum):
    """What the client knows; the values are the words of the history."""

    OK = "ok"
    FAIL = "fail"
    INFO = "info"


@dataclass(frozen=True)
class Reply:
    """One answer. ``status`` is None where none came; ``body`` is {} where it is no JSON object."""

    status: int | None
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    failure: Failure | None = None
    error: str | None = None

    @property
    def problem(self) -> str:
        """The problem's type without its prefix; empty if it is none of the shop's."""
        kind = self.body.get("type")
        return kind.removeprefix(PROBLEM) if isinstance(kind, str) else ""

    @property
    def not_dispatched(self) -> bool:
        """The load balancer says that no server got this request."""
        return self.headers.get("x-not-dispatched") == "1"


def reply_of(status: int, content: bytes, headers: Mapping[str, str]) -> Reply:
    """The answer that arrived with these bytes; one that lacks its end is no answer (`cut_off`)."""
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    if status in WITH_BODY and body is None:
        return cut_off(f"{status}, but its body ended after {len(content)} bytes")
    return Reply(status, body if isinstance(body, dict) else {}, headers)


def cut_off(error: str) -> Reply:
    """An answer without its end is no answer: whoever sent it may have died in the middle of it."""
    return Reply(None, failure=Failure.BROKEN, error=error[:200])


def contention_of(reply: Reply) -> dict[str, Any]:
    """What the shop says that the purchase met, from its Server-Timing: the strategy, milliseconds waited, repeats and why.

    Empty where the answer says nothing of it: it came from somebody else, or nothing was tried.
    """
    said = dict(_TIMED.findall(reply.headers.get("server-timing", "")))
    if "strategy" not in said:
        return {}
    return {
        "strategy": said["strategy"],
        "queue_ms": float(said.get("queue", 0.0)),
        "lock_ms": float(said.get("lock", 0.0)),
        "together": int(said.get("group", "1")),
        "repeats": said.get("repeats", "").split(),
    }


def classify(reply: Reply) -> Known:
    """O1, for an order."""
    if reply.status is None:
        return Known.FAIL if reply.failure is Failure.REFUSED else Known.INFO
    if reply.status == 201:
        return Known.OK if _complete(reply.body) else Known.INFO
    if reply.status in REFUSALS:
        return Known.FAIL
    return Known.FAIL if reply.status == 503 and reply.not_dispatched else Known.INFO


def _complete(body: Mapping[str, Any]) -> bool:
    """A 201 whose body was lost says that there is an order, but not which: ask again with the same key."""
    total = body.get("total")
    return isinstance(body.get("id"), int) and isinstance(total, Mapping) and isinstance(total.get("amount"), int)


class End(StrEnum):
    """How a basket ended; the values stand in orders.csv."""

    BOUGHT = "bought"
    PARTLY = "bought in part"
    SOLD_OUT = "sold out"
    GAVE_UP = "gave up"
    CLOSED = "month was over"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class AskAgain:
    """The same key again, after ``seconds``."""

    seconds: float


@dataclass(frozen=True)
class AskForLess:
    """Other lines with a new key."""

    lines: dict[int, int]


@dataclass(frozen=True)
class SignIn:
    """The session is gone: sign in, then the same key again."""


@dataclass(frozen=True)
class Stop:
    end: End


Next = AskAgain | AskForLess | SignIn | Stop


@dataclass(frozen=True)
class Patience:
    """``keys_max``: attempts with new keys for one basket. ``same_key_seconds``: waiting for a certain answer."""

    keys_max: int = 12
    same_key_seconds: float = 40.0
    sign_ins_max: int = 5


def next_step(reply: Reply, lines: Mapping[int, int], keys_used: int, waited: float, patience: Patience) -> Next:
    """What to do after an answer that was not OK. ``waited``: seconds since the first attempt with this key."""
    if reply.status == 409:
        return _after_conflict(reply, lines, keys_used, patience)
    if reply.status == 401:
        return SignIn()
    if reply.status in REFUSALS and reply.status != 429:
        return Stop(End.REFUSED)
    if waited >= patience.same_key_seconds:
        certain = classify(reply) is Known.FAIL
        return Stop(End.GAVE_UP if certain else End.UNKNOWN)
    return AskAgain(wait_seconds(reply))


def _after_conflict(reply: Reply, lines: Mapping[int, int], keys_used: int, patience: Patience) -> Next:
    less = reduce_lines(lines, reply.body.get("lines"))
    if not less:
        return Stop(End.SOLD_OUT)
    return AskForLess(less) if keys_used < patience.keys_max else Stop(End.GAVE_UP)


def reduce_lines(lines: Mapping[int, int], short: object) -> dict[int, int]:
    """The lines with what is left of the short ones; lines of which nothing is left are dropped."""
    left = dict(lines)
    for line in short if isinstance(short, list) else []:
        if not isinstance(line, Mapping):
            continue
        stock_id, available = line.get("stock_id"), line.get("available")
        if stock_id in left and isinstance(available, int):
            left[stock_id] = min(left[stock_id], available)
    return {stock_id: quantity for stock_id, quantity in left.items() if quantity > 0}


def wait_seconds(reply: Reply) -> float:
    """What Retry-After says, bounded; a date there is read as the default."""
    text = reply.headers.get("retry-after", "").strip()
    return min(float(text), WAIT_SECONDS_MAX) if text.isascii() and text.isdigit() else WAIT_SECONDS_DEFAULT
