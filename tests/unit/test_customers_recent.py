"""What is kept for a moment, and who asks for it. Numbers R… are recent.py's, Q… are stock_watch.py's."""

import threading

import pytest

from customers.window.recent import KEPT_SECONDS_MAX, Old, Recent
from customers.window.stock_watch import IDS_MAX, REMEMBERED_SECONDS, WHOLE_SECONDS, StockWatch
from distributor.queries import IdList, Quantity, Reading
from tests.conftest import wait_until


class Clock:
    """``work``: lets time pass while something is asked for."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float) -> None:
        self.now += seconds


class Shelf:
    """A database of quantities that notes what it was asked for."""

    def __init__(self, **quantities: int) -> None:
        self.units = {int(name[1:]): units for name, units in quantities.items()}
        self.asked: list[tuple[int, ...]] = []
        self.since: list[str | None] = []
        self.sold: list[int] = []
        """By sale; a moment is how many there were."""

    def sell(self, stock_id: int) -> None:
        self.units[stock_id] -= 1
        self.sold.append(stock_id)

    def read(self, wanted: IdList, since: str | None) -> Reading:
        self.asked.append(tuple(wanted.ids))
        self.since.append(since)
        told = set(self.units) if since is None else set(self.sold[int(since) :])
        found = {stock_id: Quantity(self.units[stock_id]) for stock_id in told.intersection(wanted.ids)}
        return Reading(found, str(len(self.sold)))


def test_a_value_is_asked_for_once_a_while() -> None:
    """R1"""
    clock, asked = Clock(), iter(range(9))
    recent: Recent[str, int] = Recent(1.0, 9, now=clock)
    seen = []
    for pause in (0.0, 0.9, 0.2, 0.5, 5.0):
        clock.work(pause)
        seen.append(recent.get("key", lambda: next(asked)))
    assert seen == [0, 0, 1, 1, 2]


def test_age_counts_from_the_moment_of_asking() -> None:
    """R1"""
    clock = Clock()
    recent: Recent[str, float] = Recent(1.0, 9, now=clock)

    def slow() -> float:
        began = clock.now
        clock.work(0.8)
        return began

    assert recent.get("key", slow) == 100.0
    clock.work(0.3)
    assert recent.get("key", slow) == pytest.approx(101.1)


def test_what_is_dear_to_ask_is_kept_for_longer() -> None:
    """R1: a fiftieth of all time at most."""
    clock = Clock()
    for seconds, kept in ((0.001, 1.0), (0.1, 5.0), (60.0, KEPT_SECONDS_MAX)):
        recent: Recent[str, float] = Recent(1.0, 9, 0.02, now=clock)

        def dear(recent_began: float = clock.now, seconds: float = seconds) -> float:
            clock.work(seconds)
            return recent_began

        began = clock.now
        recent.get("key", dear)
        clock.now = max(clock.now, began + kept - 0.01)
        if seconds < kept:
            assert recent.get("key", lambda: -1.0) == began
        clock.now = began + max(kept, seconds) + 0.01
        assert recent.get("key", lambda: -1.0) == -1.0


def test_who_wants_the_same_at_the_same_time_waits_for_one_answer() -> None:
    """R2"""
    recent: Recent[str, int] = Recent(60.0, 9)
    go, asked, got = threading.Event(), [], []

    def ask() -> int:
        asked.append(1)
        go.wait(60)
        return 7

    threads = [threading.Thread(target=lambda: got.append(recent.get("key", ask))) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: asked, what="somebody asks")
    assert recent.get("other", lambda: 1) == 1, "another value is not held up"
    go.set()
    for thread in threads:
        thread.join(60)
    assert (len(asked), got) == (1, [7] * 8)


def test_an_error_is_told_and_not_kept() -> None:
    """R3"""
    recent: Recent[str, int] = Recent(60.0, 9)

    def fail() -> int:
        raise LookupError

    with pytest.raises(LookupError):
        recent.get("key", fail)
    assert recent.get("key", lambda: 3) == 3


class Away(Exception):
    """Who is asked does not answer."""


def test_the_last_value_stays_for_who_would_rather_have_it_than_nothing() -> None:
    """R5: also while somebody asks anew, and after that failed; a new value takes its place."""
    clock = Clock()
    recent: Recent[str, int] = Recent(1.0, 5, now=clock)
    assert recent.old("a") is None

    def fail() -> int:
        assert recent.old("a") == Old(1, 7.0)
        raise Away

    recent.get("a", lambda: 1)
    clock.now += 7.0
    for _ in range(2):
        with pytest.raises(Away):
            recent.get("a", fail)
        assert recent.old("a") == Old(1, 7.0)
    assert recent.get("a", lambda: 2) == 2
    assert recent.old("a") == Old(2, 0.0)


def test_no_more_is_kept_than_there_is_room_for() -> None:
    """R4"""
    recent: Recent[int, int] = Recent(60.0, 3)
    for key in (1, 2, 3, 4):
        recent.get(key, lambda key=key: key)  # type: ignore[misc]
    assert [recent.get(key, lambda: 0) for key in (2, 3, 4, 1)] == [2, 3, 4, 0]


def test_quantities_come_from_memory_until_they_are_too_old() -> None:
    """Q1"""
    clock, shelf = Clock(), Shelf(_1=5, _2=0)
    watch = StockWatch(shelf.read, 1.0, clock)
    assert watch.at_once((1, 2, 9)) is None
    assert watch.quantities((1, 2, 9)) == (Quantity(5), Quantity(0), None)
    shelf.sell(1)
    clock.work(1.0)
    assert watch.at_once((1, 2, 9)) == (Quantity(5), Quantity(0), None)
    clock.work(0.1)
    assert watch.at_once((1, 2, 9)) is None
    assert watch.quantities((1, 2, 9))[0] == Quantity(4)
    assert shelf.asked == [(1, 2, 9)] * 2


def test_one_statement_reads_what_all_open_pages_show() -> None:
    """Q2"""
    clock, shelf = Clock(), Shelf(_1=1, _2=2, _3=3)
    watch = StockWatch(shelf.read, 1.0, clock)
    for ids in ((1, 2), (2, 3), (1, 2)):
        watch.quantities(ids)
    assert shelf.asked == [(1, 2), (3,)], "only what is not known yet"
    assert watch.at_once((1, 3)) == (Quantity(1), Quantity(3)), "a new list of what is known needs none"
    clock.work(2)
    watch.quantities((1, 2))
    assert shelf.asked[2:] == [(1, 2, 3)]
    assert watch.at_once((1, 3)) == (Quantity(1), Quantity(3))


def test_what_nobody_looks_at_any_more_is_forgotten() -> None:
    """Q3"""
    clock, shelf = Clock(), Shelf(_1=1, _2=2)
    watch = StockWatch(shelf.read, 1.0, clock)
    watch.quantities((1,))
    clock.work(REMEMBERED_SECONDS / 2)
    watch.quantities((2,))
    clock.work(REMEMBERED_SECONDS / 2 + 1)
    watch.quantities((2,))
    assert shelf.asked[-1] == (2,)
    assert watch.at_once((1,)) is None


def test_of_too_many_quantities_those_asked_for_last_are_kept() -> None:
    """Q3"""
    clock, shelf = Clock(), Shelf()
    watch = StockWatch(shelf.read, 1.0, clock)
    for first in range(0, IDS_MAX + 1_000, 100):
        clock.work(0.0001)
        watch.quantities(tuple(range(first, first + 100)))
    clock.work(2)
    watch.quantities((7,))
    assert len(shelf.asked[-1]) <= IDS_MAX
    assert {7, IDS_MAX + 999} <= set(shelf.asked[-1])
    assert 8 not in shelf.asked[-1]


def test_only_what_has_changed_is_read_again() -> None:
    """Q5: for the same lists, for other lists, and everything now and then."""
    clock, shelf = Clock(), Shelf(_1=5, _2=5, _3=5)
    watch = StockWatch(shelf.read, 1.0, clock)
    watch.quantities((1, 2))
    for wanted, expected in (((1, 2), (4, 5)), ((1, 2), (3, 5)), ((3, 1), (5, 2)), ((2,), (5,)), ((1, 2), (0, 5))):
        shelf.sell(1)
        clock.work(1.1)
        assert watch.quantities(wanted) == tuple(map(Quantity, expected))
    assert shelf.since == [None, "0", "1", None, "2", "3", "4"], "a new list is read whole, once"
    clock.work(WHOLE_SECONDS)
    watch.quantities((1, 2))
    assert shelf.since[-1] is None


def test_after_an_error_everything_is_read_again() -> None:
    """Q4, Q5: nothing is taken for unchanged since a reading that failed."""
    clock, shelf = Clock(), Shelf(_1=5)
    fails = False

    def read(wanted: IdList, since: str | None) -> Reading:
        if fails:
            raise ConnectionError
        return shelf.read(wanted, since)

    watch = StockWatch(read, 1.0, clock)
    watch.quantities((1,))
    clock.work(2)
    shelf.sell(1)
    fails = True
    with pytest.raises(ConnectionError):
        watch.quantities((1,))
    fails = False
    assert (watch.quantities((1,)), shelf.since) == ((Quantity(4),), [None, None])


def test_a_failed_reading_fails_its_asker_only() -> None:
    """Q4"""
    shelf = Shelf(_1=1)

    def read(wanted: IdList, since: str | None) -> Reading:
        if len(shelf.asked) == 0:
            shelf.asked.append(())
            raise ConnectionError
        return shelf.read(wanted, since)

    watch = StockWatch(read, 1.0)
    with pytest.raises(ConnectionError):
        watch.quantities((1,))
    assert watch.quantities((1,)) == (Quantity(1),)


def test_many_threads_get_right_quantities() -> None:
    """Q2: the same for all, whoever reads."""
    shelf = Shelf(**{f"_{n}": n for n in range(1, 200)})
    watch = StockWatch(shelf.read, 0.001)
    wrong: list[object] = []

    def look(first: int) -> None:
        for step in range(300):
            ids = tuple(range(first + step % 7, first + step % 7 + 20))
            if watch.quantities(ids) != tuple(map(Quantity, ids)):
                wrong.append(ids)

    threads = [threading.Thread(target=look, args=(first,)) for first in range(1, 160, 20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
