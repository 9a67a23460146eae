"""What a month came to, told after its end on a real database. Numbers (O1 …) are those of distributor/months/totals.py."""

import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from broker.contract import MONTH_CLOSED, Message, Unroutable
from broker.envelope import encode
from distributor.database import transaction
from distributor.months import totals, transitions
from distributor.months.decisions import Begin, Close, Reason, Rules
from distributor.months.telling import Teller
from distributor.months.totals import tell_next
from tests.distributor_world import World, engine_for, make_world, rows, set_month

HOUR = timedelta(hours=1)
RULES = Rules(length_min=timedelta(0), gathering_max=timedelta(seconds=5), months_max=0)


@pytest.mark.parametrize("later", [False, True], ids=["at-once", "while-the-next-month-sells"])
def test_every_manufacturer_is_told_the_totals(engine: Engine, later: bool) -> None:
    """Totals of this month's supplies and orders; what is left includes earlier months; nothing left out, no zeros. O2: they
    are those of the month's end."""
    world = make_world(engine, [5, 7, 2, 0])
    with transaction(engine) as connection:
        connection.execute(text("INSERT INTO manufacturer (code, name) VALUES ('m3', 'Third Works')"))
        connection.execute(text("UPDATE stock SET sold = 2 WHERE id = :id"), {"id": world.stock[0]})
        connection.execute(text("UPDATE stock SET withdrawn = 3 WHERE id = :id"), {"id": world.stock[1]})
        connection.execute(text("UPDATE supply_line SET withdrawn = 3 WHERE stock_id = :id"), {"id": world.stock[1]})
        connection.execute(
            text(
                "INSERT INTO orders (customer_id, idempotency_key, month, total_minor, currency, strategy)"
                " SELECT :customer, 'key-' || n, 1, 250, 'GBP', 'test' FROM generate_series(1, 2) AS n"
            ),
            {"customer": world.customers[0]},
        )
        connection.execute(
            text("INSERT INTO order_line SELECT id, :stock, 1, 250 FROM orders"), {"stock": world.stock[0]}
        )
    with transaction(engine) as connection:
        connection.execute(text("UPDATE month SET close_requested = true"))
        assert transitions.close(connection, 1, RULES) == Close(1, Reason.BY_HAND)
    with transaction(engine) as connection:
        assert tell_next(connection) is None, "it is not over yet"
        assert transitions.settle(connection, 1)
        assert not transitions.settle(connection, 1), "a second time nothing happens"
    if later:
        sell_in_the_next_month(engine, world)
    with transaction(engine) as connection:
        assert [tell_next(connection) for _ in range(2)] == [1, None]
    told = {row.manufacturer: row.body for row in rows(engine, "SELECT * FROM outbox WHERE type = 'month.closed'")}
    assert {code: body["totals"] for code, body in told.items()} == {
        "m1": [
            {"sku": "P001", "supplied": 5, "sold": 2, "unsold": 3},
            {"sku": "P003", "supplied": 2, "sold": 0, "unsold": 2},
        ],
        "m2": [{"sku": "P002", "supplied": 4, "sold": 0, "unsold": 4}],
        "m3": [],
    }
    assert {tuple(body[name] for name in ("month", "reason", "part", "parts")) for body in told.values()} == {
        (1, "by_hand", 1, 1)
    }
    closed_at = datetime.fromisoformat(told["m3"]["closed_at"])
    assert abs(datetime.now(UTC) - closed_at) < timedelta(minutes=1)


def test_totals_of_very_many_products_are_told_in_parts(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each product in one of them, each part small enough, whoever has few products gets one."""
    monkeypatch.setattr(totals, "PART_PRODUCTS", 2)
    make_world(engine, [1] * 9)  # five of m1, four of m2
    set_month(engine, "closing")
    with transaction(engine) as connection:
        connection.execute(text("INSERT INTO manufacturer (code, name) VALUES ('m3', 'Third Works')"))
        assert transitions.settle(connection, 1)
        assert tell_next(connection) == 1
    told = [(row.manufacturer, row.body) for row in rows(engine, "SELECT * FROM outbox ORDER BY id")]
    assert [(code, body["part"], body["parts"], [total["sku"] for total in body["totals"]]) for code, body in told] == [
        ("m1", 1, 3, ["P001", "P003"]),
        ("m1", 2, 3, ["P005", "P007"]),
        ("m1", 3, 3, ["P009"]),
        ("m2", 1, 2, ["P002", "P004"]),
        ("m2", 2, 2, ["P006", "P008"]),
        ("m3", 1, 1, []),
    ]


def test_the_longest_part_of_a_months_totals_fits_into_a_message() -> None:
    """The longest sku that a feed may have, and the largest counts that a database can hold."""
    longest = {"sku": "X" * 64} | dict.fromkeys(("supplied", "sold", "unsold"), 2**63 - 1)
    head = {"month": 999_999, "reason": "time_over", "part": 10_000, "parts": 10_000, "closed_at": "x" * 24}
    body = head | {"totals": [longest] * totals.PART_PRODUCTS}
    encode(Message(uuid.uuid4(), MONTH_CLOSED, "m1", body))
    with pytest.raises(Unroutable):
        encode(Message(uuid.uuid4(), MONTH_CLOSED, "m1", body | {"totals": [longest] * 4 * totals.PART_PRODUCTS}))


def sell_in_the_next_month(engine: Engine, world: World) -> None:
    """Month 2 brings two units of the first good and sells one of it and one of the third."""
    change = "UPDATE stock SET supplied = supplied + :came, sold = sold + :went WHERE id = :id"
    order = """
        WITH new AS (
            INSERT INTO orders (customer_id, idempotency_key, month, total_minor, currency, strategy)
            VALUES (:customer, 'later', 2, 250, 'GBP', 'test') RETURNING id
        ) INSERT INTO order_line SELECT new.id, stock_id, 1, 250 FROM new, unnest(CAST(:sold AS bigint[])) AS stock_id
    """
    supply = """
        WITH new AS (
            INSERT INTO supply (manufacturer_id, month, content_sha256)
            SELECT manufacturer_id, 2, '' FROM stock WHERE id = :id RETURNING id
        ) INSERT INTO supply_line SELECT new.id, :id, 2 FROM new
    """
    first, _, third, _ = world.stock
    with transaction(engine) as connection:
        assert transitions.begin(connection, Begin(2, datetime.now(UTC) + HOUR))
        connection.execute(text(supply), {"id": first})
        connection.execute(text(order), {"customer": world.customers[0], "sold": [first, third]})
        connection.execute(text(change), [{"id": first, "came": 2, "went": 1}, {"id": third, "came": 0, "went": 1}])


def test_one_process_at_a_time_tells_a_month(engine: Engine, database_url: str) -> None:
    """O1: who comes second does not wait, and finds nothing to tell afterwards; a crash leaves it to the next one."""
    make_world(engine, [1])
    set_month(engine, "closed")
    with transaction(engine) as first:
        assert tell_next(first) == 1
        with transaction(engine) as second:
            assert tell_next(second) is None
        first.rollback()
    teller = Teller(engine, 0.01, threading.Event())
    assert [teller.turn(), teller.turn()] == [1, None]
    assert rows(engine, "SELECT count(*) FROM outbox") == rows(engine, "SELECT count(*) FROM manufacturer")


def test_totals_that_take_longer_than_other_statements_are_told_all_the_same(database_url: str, engine: Engine) -> None:
    """They would be given up each time."""
    hasty = engine_for(database_url, statement_timeout_ms=1_000, lock_timeout_ms=500)
    make_world(engine, [1])
    set_month(engine, "closing")
    with transaction(engine) as connection:
        connection.execute(
            text(
                "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS"
                " 'BEGIN PERFORM pg_sleep(0.7); RETURN NEW; END'"
            )
        )
        connection.execute(text("CREATE TRIGGER slowly BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION slowly()"))
    with transaction(hasty) as connection:
        assert transitions.settle(connection, 1)
    with transaction(hasty) as connection:
        assert tell_next(connection) == 1
    assert rows(hasty, "SHOW statement_timeout") == [("1s",)], "for this transaction only"
    hasty.dispose()
