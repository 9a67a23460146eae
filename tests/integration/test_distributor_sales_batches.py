"""Several purchases in one transaction, each with its own outcome: what a committer of batches will rest on (S1-S3)."""

import uuid

import pytest
from sqlalchemy import Engine, event, text

from distributor.database import Retries, transaction
from distributor.errors import KeyReused, ShopClosed, UnknownCustomer
from distributor.sales.committer import Committer
from distributor.sales.rules import Answer, Purchase
from distributor.strategies.contract import Line
from distributor.strategies.row_lock import RowLock
from tests.distributor_world import World, discrepancies, make_world, rows, set_month


class InBatches(RowLock):
    """row_lock keeps C3 for batches as well: what is short has only been locked."""

    groups_max = 10


@pytest.fixture
def world(engine: Engine) -> World:
    return make_world(engine, [5, 3], customers=8)


@pytest.fixture
def committer(engine: Engine) -> Committer:
    return Committer(engine, InBatches(), Retries(3))


def purchase(
    customer: int, *lines: Line, key: str = "k", sha: str = "0", seen: dict[int, int] | None = None
) -> Purchase:
    return Purchase(customer, key, sha * 64, lines or None, seen)


def commits(engine: Engine) -> list[str]:
    seen: list[str] = []
    event.listen(engine, "commit", lambda _connection: seen.append(str(uuid.uuid4())))
    return seen


def test_each_purchase_of_a_batch_gets_its_own_outcome_in_one_transaction(
    engine: Engine, world: World, committer: Committer
) -> None:
    first, second = world.stock
    buyers = world.customers
    committer.commit_all([purchase(buyers[5], Line(second, 1), key="before")])
    with transaction(engine) as connection:
        connection.execute(text("UPDATE customer SET card_token = NULL WHERE id = :id"), {"id": buyers[2]})
        connection.execute(text("INSERT INTO cart_line VALUES (:c, :s, 1, 250)"), {"c": buyers[3], "s": first})
    committed = commits(engine)
    outcomes = committer.commit_all(
        [
            purchase(buyers[0], Line(first, 4)),
            purchase(buyers[1], Line(first, 4)),
            purchase(buyers[2], Line(first, 1)),
            purchase(buyers[3]),
            purchase(buyers[4], Line(first, 1), Line(second, 1)),
            purchase(buyers[5], Line(second, 1), key="before"),
            purchase(buyers[5], Line(second, 1), key="before", sha="1"),
            purchase(10**9, Line(second, 1)),
        ]
    )
    assert len(committed) == 1
    answers = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
    assert [answer.status for answer in answers] == [201, 409, 402, 201, 409, 201]
    assert answers[1].body["lines"] == [{"stock_id": first, "wanted": 4, "available": 1}]
    assert answers[5].replayed
    assert isinstance(outcomes[6], KeyReused)
    assert isinstance(outcomes[7], UnknownCustomer)
    assert [row.sold for row in rows(engine, "SELECT sold FROM stock ORDER BY id")] == [5, 1]
    assert not rows(engine, "SELECT 1 FROM cart_line")
    assert not rows(engine, "SELECT 1 FROM idempotency_key WHERE status = 0")
    assert not discrepancies(engine)


def test_a_purchase_that_must_be_undone_leaves_the_batch_and_the_others_are_sold(
    engine: Engine, world: World, committer: Committer
) -> None:
    """S2: its price changed, which shows only after its goods were taken."""
    first, second = world.stock
    outcomes = committer.commit_all(
        [
            purchase(world.customers[0], Line(first, 1)),
            purchase(world.customers[1], Line(first, 4), seen={first: 1}),
            purchase(world.customers[2], Line(first, 4)),
            purchase(world.customers[3], Line(second, 1), seen={second: 250}),
        ]
    )
    assert [outcome.status for outcome in outcomes if isinstance(outcome, Answer)] == [201, 409, 201, 201]
    assert [row.sold for row in rows(engine, "SELECT sold FROM stock ORDER BY id")] == [5, 1]
    assert len(rows(engine, "SELECT 1 FROM idempotency_key WHERE status IN (201, 409)")) == 4
    assert not discrepancies(engine)


def test_a_batch_that_finds_the_shop_closed_still_gives_stored_answers_again(
    engine: Engine, world: World, committer: Committer
) -> None:
    (sold,) = committer.commit_all([purchase(world.customers[0], Line(world.stock[0], 1))])
    set_month(engine, "closed")
    again, closed = committer.commit_all(
        [purchase(world.customers[0], Line(world.stock[0], 1)), purchase(world.customers[1], Line(world.stock[0], 1))]
    )
    assert isinstance(again, Answer)
    assert isinstance(sold, Answer)
    assert again.body == sold.body
    assert isinstance(closed, ShopClosed)
    assert len(rows(engine, "SELECT 1 FROM idempotency_key")) == 1


def test_a_refusal_gives_way_to_an_answer_that_the_key_got_meanwhile(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the rollback and the storing of a refusal, goods may arrive and a twin of the request may buy them."""
    plain = Committer(engine, RowLock(), Retries(3))
    mine = purchase(world.customers[0], Line(world.stock[0], 6))
    genuine = Committer._settle

    def settle(self: Committer, refused: Purchase, settled: object) -> object:
        monkeypatch.undo()
        with transaction(engine) as connection:
            connection.execute(text("UPDATE stock SET supplied = supplied + 10"))
        (twin,) = plain.commit_all([mine])
        assert isinstance(twin, Answer)
        assert twin.status == 201
        return genuine(self, refused, settled)  # type: ignore[arg-type]

    monkeypatch.setattr(Committer, "_settle", settle)
    (outcome,) = plain.commit_all([mine])
    assert isinstance(outcome, Answer)
    assert (outcome.status, outcome.replayed) == (201, True)
