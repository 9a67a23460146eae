"""Answers that are kept for a moment, so that many readers of the same cost one question.

R1  A value that is handed out was asked for at most ``seconds`` ago (``seconds`` and the time that asking took, for those
    who waited for it), or longer where asking is dear: see ``share``.
R2  Of all who want the same at the same time one asks, the others wait for that answer, or get its error.
R3  An error is not kept: whoever comes next asks again.
R4  At most ``keys_max`` values are kept; the one that was asked for longest ago makes room.
R5  The last value is there for as long as its key, for whoever would rather show that than nothing (`old`); how old it is
    goes with it.

Called outside of transactions: who waits here must not hold the connection that the asker needs.
"""

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

KEPT_SECONDS_MAX = 30.0  # what is dear to ask may be that old; chosen

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass
class _Answer(Generic[Value]):
    """``good_until`` is set when the answer is there; ``before``: the last one, until then."""

    future: "Future[Value]" = field(default_factory=Future)
    good_until: float = float("inf")
    asked_at: float = 0.0
    before: "_Answer[Value] | None" = None


@dataclass(frozen=True)
class Old(Generic[Value]):
    """A value, and how many seconds ago it was asked for."""

    value: Value
    seconds: float


class Recent(Generic[Key, Value]):
    """One kind of answer. ``share``: the part of all time that asking for one key may take; None for any."""

    def __init__(
        self,
        seconds: float,
        keys_max: int,
        share: float | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._keys_max = keys_max
        self._share = share
        self._now = now
        self._lock = threading.Lock()
        self._answers: dict[Key, _Answer[Value]] = {}

    def get(self, key: Key, ask: Callable[[], Value]) -> Value:
        """The kept value, or what ``ask()`` returns or raises."""
        began = self._now()
        with self._lock:
            answer = self._answers.get(key)
            mine = answer is None or answer.good_until <= began
            if answer is None or mine:
                answer = self._expect(key)
        return self._ask(key, answer, ask, began) if mine else answer.future.result()

    def old(self, key: Key) -> "Old[Value] | None":
        """The last value, however old; without asking for it (R5)."""
        with self._lock:
            answer = self._answers.get(key)
            if answer is not None and not answer.future.done():
                answer = answer.before
        return None if answer is None else Old(answer.future.result(), self._now() - answer.asked_at)

    def _ask(self, key: Key, answer: _Answer[Value], ask: Callable[[], Value], began: float) -> Value:
        try:
            value = ask()
        except BaseException as error:
            self._go_back(key, answer)
            answer.future.set_exception(error)
            raise
        answer.asked_at, answer.before = began, None
        answer.good_until = began + self._seconds_good(self._now() - began)
        answer.future.set_result(value)
        return value

    def _expect(self, key: Key) -> _Answer[Value]:
        last = self._answers.pop(key, None)
        if len(self._answers) >= self._keys_max:
            del self._answers[next(iter(self._answers))]
        answer = self._answers[key] = _Answer[Value](before=last)
        return answer

    def _go_back(self, key: Key, answer: _Answer[Value]) -> None:
        """To the last value, which is too old for `get` (R3, R5)."""
        with self._lock:
            if self._answers.get(key) is not answer:
                return
            if answer.before is None:
                del self._answers[key]
            else:
                self._answers[key] = answer.before

    def _seconds_good(self, seconds_asked: float) -> float:
        if self._share is None:
            return self._seconds
        return max(self._seconds, min(seconds_asked / self._share, KEPT_SECONDS_MAX))
