"""The security log's lines: what may stand in one, and how many refusals may."""

import logging

import pytest

from customers.security_log import REFUSALS, Bound, Event, note


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def record(level: int) -> logging.LogRecord:
    return logging.LogRecord("customers.security_log", level, "x.py", 1, "wrong-password", None, None)


def test_a_flood_of_refusals_is_bounded_and_what_was_left_out_is_told() -> None:
    """E3"""
    clock = Clock()
    bound = Bound(clock)
    passed = [bound.filter(record(logging.WARNING)) for _ in range(REFUSALS.requests + 50)]
    assert passed == [True] * REFUSALS.requests + [False] * 50
    clock.seconds += REFUSALS.window_seconds
    following, last = record(logging.WARNING), record(logging.WARNING)
    assert bound.filter(following)
    assert following.getMessage() == "wrong-password left_out=50"
    assert bound.filter(last)
    assert last.getMessage() == "wrong-password"


def test_a_flood_of_refusals_hides_nobody_who_succeeds() -> None:
    """E3: who signs in with a guessed password is told all the same."""
    bound = Bound(Clock())
    assert not all(bound.filter(record(logging.WARNING)) for _ in range(REFUSALS.requests + 1))
    assert all(bound.filter(record(logging.INFO)) for _ in range(REFUSALS.requests * 2))


def test_a_line_outside_of_a_request_names_the_event_and_the_customer(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        note(Event.ACCOUNT_CHANGED, 52, what="email,password")
    assert caplog.messages == ["account-changed customer=52 what=email,password"]
