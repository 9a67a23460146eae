"""Whether an instance can serve: R1 to R3 of `customers/readiness.py`, with a clock and a database of the test's own."""

import threading

import pytest

from customers.readiness import ANSWER_SECONDS, COULD_NOT_ASK, Readiness
from distributor.errors import DatabaseUnavailable
from tests.conftest import wait_until

SILENCE = 2.0


class World:
    """``reason``: what the database is answered with; ``seconds``: how long that takes; ``away``: it gives no answer."""

    def __init__(self) -> None:
        self.now = 0.0
        self.seconds = 0.0
        self.reason: str | None = None
        self.away = False
        self.readiness = Readiness(self.look, SILENCE, lambda: self.now)

    def look(self) -> str | None:
        self.now += self.seconds
        if self.away:
            raise DatabaseUnavailable
        return self.reason


@pytest.fixture
def world() -> World:
    return World()


def test_it_is_ready_when_the_database_answers_and_is_current(world: World) -> None:
    assert world.readiness.reason() is None
    world.reason = "the schema is old"
    assert world.readiness.reason() == "the schema is old"
    assert not world.readiness.is_silent()


def test_it_is_not_ready_without_a_connection_for_the_shop_nor_asked_for_one_while_the_database_is_away(
    world: World,
) -> None:
    """R4: the database answers, so it is not silent."""
    asked: list[bool] = []

    def connect() -> str:
        asked.append(world.readiness.is_silent())
        return "too many clients"

    world.readiness.connect = connect
    assert world.readiness.reason() == "too many clients"
    world.now += SILENCE + 1
    assert not world.readiness.is_silent()
    world.away = True
    world.readiness.ask()
    world.now += SILENCE + 1
    world.readiness.ask()
    world.away = False
    world.readiness.ask()
    assert asked == [False, False]


def test_it_is_silent_when_no_question_was_answered_for_long_enough(world: World) -> None:
    """R1."""
    world.readiness.ask()
    world.away, world.seconds = True, 0.9
    for silent in (False, False, True):
        world.readiness.ask()
        assert world.readiness.is_silent() is silent
    assert world.readiness.reason() == "the database has not answered for 4 s"
    world.away = False
    world.readiness.ask()
    assert not world.readiness.is_silent()
    assert world.readiness.reason() is None


def test_a_question_that_is_open_counts_before_it_is_given_up(world: World) -> None:
    """R1, R3: whoever asks meanwhile neither waits nor is told yesterday's answer."""
    asked, answers = threading.Event(), threading.Event()

    def look() -> None:
        asked.set()
        answers.wait(10)

    readiness = Readiness(look, SILENCE, lambda: world.now)
    readiness.watch()
    assert asked.wait(10)
    world.now = SILENCE + 0.1
    assert readiness.is_silent()
    assert "has not answered" in str(readiness.reason())
    answers.set()
    wait_until(lambda: not readiness.is_silent(), 10, "the answer is heard")


def test_time_in_which_nobody_asked_accuses_nobody(world: World) -> None:
    """R2."""
    world.readiness.ask()
    world.now += 3_600
    assert not world.readiness.is_silent()
    world.away = True
    world.readiness.ask()
    assert not world.readiness.is_silent()
    world.now += ANSWER_SECONDS
    assert not world.readiness.is_silent()


def test_a_mistake_of_ours_accuses_nobody_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """R1."""
    asked = threading.Semaphore(0)

    def look() -> None:
        asked.release()
        raise TypeError

    readiness = Readiness(look, 0.0)
    readiness.watch()
    for _ in range(3):
        assert asked.acquire(timeout=10)
    assert readiness.reason() == COULD_NOT_ASK
    assert len(caplog.records) == 1
