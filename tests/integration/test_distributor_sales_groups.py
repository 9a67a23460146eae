"""Purchases that are committed in groups (`distributor/sales/grouping.py`, G1-G4), on a real database."""

import threading
from collections.abc import Callable, Iterator, Sequence

import pytest
from sqlalchemy import Engine, text

from distributor.database import Retries
from distributor.errors import Busy, OutcomeUnknown
from distributor.sales.committer import Committer
from distributor.sales.grouping import GroupCommitter, Ticket, next_group
from distributor.sales.rules import Answer, Purchase
from distributor.sales.selling import Outcome
from distributor.strategies.contract import Line
from distributor.strategies.group_commit import GROUPS_MAX, GroupCommit
from tests.conftest import wait_until
from tests.distributor_races import PATIENCE_SECONDS, Pause, at_once, in_background
from tests.distributor_world import World, assert_stored_as_told, discrepancies, engine_for, make_world, rows

BUYERS = 8


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = engine_for(database_url, pool_size=BUYERS + 2, lock_timeout_ms=1_000)
    yield engine
    engine.dispose()


@pytest.fixture
def world(engine: Engine) -> World:
    return make_world(engine, [5, 100], customers=BUYERS)


class Groups(Committer):
    """Writes down who was sold together."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, GroupCommit(), Retries(3))
        self.sizes: list[int] = []

    def commit_all(self, purchases: Sequence[Purchase]) -> list[Outcome]:
        self.sizes.append(len(purchases))
        return super().commit_all(purchases)


def purchase(customer: int, *lines: Line, key: str = "k") -> Purchase:
    return Purchase(customer, key, "0" * 64, lines)


def waiting(groups: GroupCommitter) -> int:
    return len(groups._waiting)


def behind_a_paused_leader(
    engine: Engine, groups: GroupCommitter, leader: Purchase, others: Sequence[Purchase]
) -> tuple[list[object], list[list[object]]]:
    """The leader's group stops after its locks; all others queue meanwhile; then everything goes on."""
    pause = Pause(engine, "FOR NO KEY UPDATE")
    first_thread, first = in_background(lambda: groups.commit(leader))
    assert pause.reached.wait(PATIENCE_SECONDS)
    followers = [in_background(lambda other=other: groups.commit(other)) for other in others]  # type: ignore[misc]
    wait_until(lambda: waiting(groups) == len(others), 10, "all others wait")
    pause.release.set()
    for thread in [first_thread, *(thread for thread, _result in followers)]:
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
    return first, [result for _thread, result in followers]


def test_a_group_is_one_of_a_customer_in_order_of_arrival_up_to_its_limit() -> None:
    """G2"""
    tickets = [Ticket(purchase(customer, Line(1, 1))) for customer in (7, 8, 7, 9, 10)]
    assert next_group(tickets, 10) == [tickets[0], tickets[1], tickets[3], tickets[4]]
    assert next_group(tickets, 2) == tickets[:2]
    assert next_group([], 2) == []


def test_whoever_waits_while_a_group_commits_is_sold_in_the_next_one(engine: Engine, world: World) -> None:
    """G1: two transactions for eight purchases, each with its own answer: five units, so three are too late."""
    committer = Groups(engine)
    groups = GroupCommitter(committer, GROUPS_MAX, 10)
    wanted = [purchase(customer, Line(world.stock[0], 1)) for customer in world.customers]
    first, others = behind_a_paused_leader(engine, groups, wanted[0], wanted[1:])
    answers = [result[0] for result in [first, *others]]
    assert committer.sizes == [1, BUYERS - 1]
    assert sorted(answer.status for answer in answers if isinstance(answer, Answer)) == [201] * 5 + [409] * 3
    assert not discrepancies(engine)
    assert len({row.id for row in rows(engine, "SELECT id FROM orders")}) == 5
    for result in others[:4]:
        if isinstance(result[0], Answer) and result[0].status == 201:
            assert_stored_as_told(engine, result[0])
            assert result[0].contention is not None
            assert result[0].contention.together == BUYERS - 1
            assert result[0].contention.queued_seconds > 0


def test_two_purchases_of_one_customer_never_share_a_group(engine: Engine, world: World) -> None:
    """G2: with the same key the second one gets the first one's answer."""
    committer = Groups(engine)
    groups = GroupCommitter(committer, GROUPS_MAX, 10)
    one, two = world.customers[:2]
    line = Line(world.stock[0], 1)
    _first, others = behind_a_paused_leader(engine, groups, purchase(one, line), [purchase(two, line)] * 2)
    assert committer.sizes == [1, 1, 1]
    answers = [result[0] for result in others]
    assert all(isinstance(answer, Answer) and answer.status == 201 for answer in answers)
    assert sorted(answer.replayed for answer in answers if isinstance(answer, Answer)) == [False, True]
    assert rows(engine, "SELECT sum(sold) AS sold FROM stock")[0].sold == 2


def test_a_row_that_somebody_holds_spoils_only_the_purchases_of_that_row(engine: Engine, world: World) -> None:
    """G3: the group fails on lock_timeout; sold alone, those that want other rows succeed."""
    held, free = world.stock
    groups = GroupCommitter(Groups(engine), GROUPS_MAX, 10)
    with engine.connect() as stranger:
        stranger.execute(text("SELECT 1 FROM stock WHERE id = :id FOR UPDATE"), {"id": held})
        first, others = behind_a_paused_leader(
            engine,
            groups,
            purchase(world.customers[0], Line(free, 1)),
            [
                purchase(world.customers[1], Line(held, 1)),
                purchase(world.customers[2], Line(free, 1)),
                purchase(world.customers[3], Line(free, 2)),
            ],
        )
    assert isinstance(first[0], Answer)
    assert isinstance(others[0][0], Busy)
    alone = [result[0] for result in others[1:] if isinstance(result[0], Answer)]
    assert [answer.status for answer in alone] == [201, 201]
    for answer in alone:
        assert_stored_as_told(engine, answer)
        assert answer.contention is not None
        assert (answer.contention.repeats, answer.contention.together) == (("group",), 1)
    assert [row.sold for row in rows(engine, "SELECT sold FROM stock ORDER BY id")] == [0, 4]


def test_a_mistake_of_ours_in_one_purchase_reaches_only_its_own_customer(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G3: whatever is raised for a group, its members try once more by themselves."""
    plain = GroupCommit.take
    poison = world.stock[1]

    def take(self: GroupCommit, connection: object, baskets: Sequence[Sequence[Line]]) -> object:
        if any(line.stock_id == poison for lines in baskets for line in lines):
            raise ZeroDivisionError
        return plain(self, connection, baskets)  # type: ignore[arg-type]

    monkeypatch.setattr(GroupCommit, "take", take)
    groups = GroupCommitter(Groups(engine), GROUPS_MAX, 10)
    good, line = world.customers[1:4], Line(world.stock[0], 1)
    _first, others = behind_a_paused_leader(
        engine,
        groups,
        purchase(world.customers[0], line),
        [purchase(world.customers[4], Line(poison, 1)), *[purchase(customer, line) for customer in good]],
    )
    assert isinstance(others[0][0], ZeroDivisionError)
    assert [answer[0].status for answer in others[1:] if isinstance(answer[0], Answer)] == [201] * 3


def test_a_lost_commit_is_unknown_to_every_member_of_the_group(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    committer = Groups(engine)
    groups = GroupCommitter(committer, GROUPS_MAX, 10)
    plain: Callable[[Sequence[Purchase]], list[Outcome]] = committer.commit_all

    def lose(purchases: Sequence[Purchase]) -> list[Outcome]:
        plain(purchases)
        raise OutcomeUnknown

    monkeypatch.setattr(committer, "commit_all", lose)
    wanted = [purchase(customer, Line(world.stock[1], 1)) for customer in world.customers[:3]]
    first, others = behind_a_paused_leader(engine, groups, wanted[0], wanted[1:])
    errors = [first[0], *[result[0] for result in others]]
    assert [type(error) for error in errors] == [OutcomeUnknown] * 3
    assert len({id(error) for error in errors}) == 3


def test_who_waits_too_long_for_a_group_is_busy_and_nothing_was_begun(engine: Engine, world: World) -> None:
    """G4: the one that timed out is not sold later."""
    groups = GroupCommitter(Groups(engine), GROUPS_MAX, 0.2)
    line = Line(world.stock[1], 1)
    pause = Pause(engine, "FOR NO KEY UPDATE")
    thread, first = in_background(lambda: groups.commit(purchase(world.customers[0], line)))
    assert pause.reached.wait(PATIENCE_SECONDS)
    with pytest.raises(Busy):
        groups.commit(purchase(world.customers[1], line))
    pause.release.set()
    thread.join(PATIENCE_SECONDS)
    assert isinstance(first[0], Answer)
    assert waiting(groups) == 0
    assert isinstance(groups.commit(purchase(world.customers[2], line)), Answer)
    assert rows(engine, "SELECT sum(sold) AS sold FROM stock")[0].sold == 2


def test_many_threads_over_and_over_lose_no_purchase_and_no_lead(engine: Engine, world: World) -> None:
    """G1: the lead is always handed on, also when groups end as others arrive."""
    committer = Groups(engine)
    groups = GroupCommitter(committer, 3, 10)
    rounds, seen = 10, threading.Lock()
    statuses: list[int] = []

    def shop(customer: int) -> None:
        for number in range(rounds):
            outcome = groups.commit(purchase(customer, Line(world.stock[1], 1), key=f"k{number}"))
            assert isinstance(outcome, Answer)
            with seen:
                statuses.append(outcome.status)

    assert at_once([lambda c=c: shop(c) for c in world.customers]) == [None] * BUYERS  # type: ignore[misc]
    assert statuses == [201] * BUYERS * rounds
    assert sum(committer.sizes) == BUYERS * rounds
    assert max(committer.sizes) == 3
    assert not discrepancies(engine)
