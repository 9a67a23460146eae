"""Whether a request that failed is sent once more: a table, and a budget against retry storms.

Y1  No byte left us: any method, next server. Nobody can have seen it.
Y2  Bytes left us, no byte came back: GET and HEAD only, once (RFC 9110 9.2.2: never a non-idempotent request).
Y3  A byte of an answer came back, or the time is over: never.
Y4  Repeats of kind Y2 are at most a fifth of all requests over time, else they multiply an overload.
"""

from enum import Enum
from typing import Final

CONNECT_ATTEMPTS_MAX: Final = 3  # HAProxy's `retries 3`; each of them goes to another server
RESENDS_MAX: Final = 1
REPEATABLE: Final = frozenset({b"GET", b"HEAD"})


class Progress(Enum):
    """How far a request came before it failed."""

    NOT_SENT = "no byte left us"
    SENT = "bytes left us, none came back"
    ANSWERED = "an answer had begun"
    TIMED_OUT = "bytes left us, the time for an answer is over"


class Step(Enum):
    """What to do now."""

    RESEND = "send it once more"
    UNAVAILABLE = "503: nothing reached a server"
    BAD_GATEWAY = "502: the outcome is not known"
    GATEWAY_TIMEOUT = "504: the outcome is not known"


def next_step(method: bytes, progress: Progress, *, attempts: int, resends: int, affordable: bool) -> Step:
    """``attempts``: connections tried in vain; ``resends``: repeats after bytes were sent; ``affordable``: the budget."""
    if progress is Progress.NOT_SENT:
        if attempts < CONNECT_ATTEMPTS_MAX:
            return Step.RESEND
        return Step.BAD_GATEWAY if resends else Step.UNAVAILABLE
    if progress is Progress.TIMED_OUT:
        return Step.GATEWAY_TIMEOUT
    if progress is Progress.SENT and method in REPEATABLE and resends < RESENDS_MAX and affordable:
        return Step.RESEND
    return Step.BAD_GATEWAY


class RetryBudget:
    """Y4 as a bucket: each request puts a fifth of a repeat in, each repeat takes one out.

    Counted over time rather than over the requests active now: when one of three servers dies, a third of what is
    active must be repeated at once, and can be, if repeats were rare before.
    """

    SHARE: Final = 0.2
    HELD_MAX: Final = 500.0
    HELD_FIRST: Final = 50.0

    def __init__(self) -> None:
        self._held = self.HELD_FIRST

    def deposit(self) -> None:
        if self._held < self.HELD_MAX:
            self._held += self.SHARE

    @property
    def affordable(self) -> bool:
        return self._held >= 1

    def withdraw(self) -> None:
        self._held -= 1
