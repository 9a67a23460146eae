"""Whether a request that failed is sent once more: a table, and a budget against retry storms.

Y1  No byte left us: any method, next server. Nobody can have seen it.
Y2  Bytes left us, no byte came back: GET and HEAD only, once (RFC 9110 9.2.2: never a non-idempotent request).
Y3  A byte of an answer came back, or the time is over: never.
Y4  Repeats of kind Y2 are, in any window, at most a share of its requests (a fifth) and a few a second, else they
    multiply an overload. Those of kind Y1 multiply nothing: no server has seen the request.
"""

from collections import deque
from enum import Enum
from typing import Final, NamedTuple

RETRIES: Final = 3  # HAProxy's `retries 3`: connections tried in vain; each goes to another server
WINDOW_SECONDS: Final = 10  # of the budget
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


class RetryRules(NamedTuple):
    """``retries``: how often a connection is tried again; the others are Y4's."""

    retries: int = RETRIES
    budget_share: float = 0.2
    budget_per_second_min: int = 10


def next_step(
    method: bytes, progress: Progress, *, attempts: int, resends: int, affordable: bool, retries: int = RETRIES
) -> Step:
    """``attempts``: connections tried in vain; ``resends``: repeats after bytes were sent; ``affordable``: the budget."""
    if progress is Progress.NOT_SENT:
        if attempts <= retries:
            return Step.RESEND
        return Step.BAD_GATEWAY if resends else Step.UNAVAILABLE
    if progress is Progress.TIMED_OUT:
        return Step.GATEWAY_TIMEOUT
    if progress is Progress.SENT and method in REPEATABLE and resends < RESENDS_MAX and affordable:
        return Step.RESEND
    return Step.BAD_GATEWAY


class RetryBudget:
    """Y4: how many requests came, and how many were repeated, in each second of the window.

    Counted over a window rather than over the requests active now: when one of three servers dies, a third of what is
    active must be repeated at once, and can be, if repeats were rare before.
    """

    def __init__(self, rules: RetryRules) -> None:
        self.follow(rules)
        self._requests = 0  # in this second
        self._repeats = 0
        self._seconds: deque[tuple[int, int]] = deque([(0, 0)] * (WINDOW_SECONDS - 1), WINDOW_SECONDS - 1)
        self._past = (0, 0)  # the sums of ``_seconds``
        self._second = 0

    def follow(self, rules: RetryRules) -> None:
        """These hold from now on, for what the window has seen, too."""
        self._share = rules.budget_share
        self._always = rules.budget_per_second_min * WINDOW_SECONDS

    def deposit(self) -> None:
        """A request came."""
        self._requests += 1

    @property
    def affordable(self) -> bool:
        """Whether one more request may be repeated now."""
        requests, repeats = self._past
        return repeats + self._repeats + 1 <= self._share * (requests + self._requests) + self._always

    def withdraw(self) -> None:
        """A request is repeated."""
        self._repeats += 1

    def advance(self, now: float) -> None:
        """What is older than the window counts no more; called several times a second. ``now`` in seconds."""
        passed = int(now) - self._second
        if passed <= 0:
            return
        self._second = int(now)
        for _ in range(min(passed, WINDOW_SECONDS)):
            self._seconds.append((self._requests, self._repeats))
            self._requests = self._repeats = 0
        self._past = (sum(requests for requests, _ in self._seconds), sum(repeats for _, repeats in self._seconds))
