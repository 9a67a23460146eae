"""A purchase from request to committed order, with every strategy, on a real database."""

import hashlib
import json
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, event, text

from distributor.database import transaction
from distributor.errors import (
    Busy,
    InvalidBasket,
    KeyReused,
    ShopClosed,
    UnknownCustomer,
)
from distributor.sales import Answer, Line, Sales, records
from distributor.sales.rules import Purchase, Refusal
from distributor.strategies import NAMES, load
from distributor.tables import Charge, IdempotencyKey, Order, OrderLine, OutboxEvent
from settings import Settings
from tests.distributor_world import (
    World,
    counts,
    discrepancies,
    engine_for,
    make_world,
    rows,
    set_month,
)

WRITTEN = (Order, OrderLine, Charge, OutboxEvent, IdempotencyKey)
NOTHING = {"orders": 0, "order_line": 0, "charge": 0, "outbox": 0, "idempotency_key": 0}


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = engine_for(database_url, pool_size=6, lock_timeout_ms=1_000)
    yield engine
    engine.dispose()


@pytest.fixture
def world(engine: Engine) -> World:
    return make_world(engine, [5, 3, 0, 40])


@pytest.fixture(params=NAMES)
def sales(request: pytest.FixtureRequest, engine: Engine) -> Sales:
    return Sales(engine, load(request.param), Settings())


@pytest.fixture
def shop(engine: Engine) -> Sales:
    """For what does not depend on the strategy."""
    return Sales(engine, load("row_lock"), Settings())


def sha(request: object = "") -> str:
    return hashlib.sha256(repr(request).encode()).hexdigest()


def buy(sales: Sales, customer: int, key: str, *lines: Line, seen: dict[int, int] | None = None) -> Answer:
    return sales.place(customer, key, lines, sha(lines), seen)


def put(engine: Engine, customer: int, stock_id: int, quantity: int, seen: int = 250) -> None:
    with transaction(engine) as connection:
        connection.execute(
            text("INSERT INTO cart_line (customer_id, stock_id, quantity, price_minor_seen) VALUES (:c, :s, :q, :p)"),
            {"c": customer, "s": stock_id, "q": quantity, "p": seen},
        )


def cart(engine: Engine, customer: int) -> list[tuple[int, int]]:
    found = rows(
        engine, "SELECT stock_id, quantity FROM cart_line WHERE customer_id = :c ORDER BY stock_id", c=customer
    )
    return [(row.stock_id, row.quantity) for row in found]


def test_a_sale_writes_everything_once(engine: Engine, world: World, sales: Sales) -> None:
    first, second, _empty, fourth = world.stock
    answer = buy(sales, world.customers[0], "k1", Line(fourth, 1), Line(first, 2), Line(second, 2), Line(second, 1))
    assert (answer.status, answer.replayed) == (201, False)
    body = answer.body
    assert [(line["stock_id"], line["quantity"]) for line in body["lines"]] == [(first, 2), (second, 3), (fourth, 1)]
    assert body["lines"][1]["manufacturer"] == {"code": "m2", "name": "Second Works"}
    assert body["total"] == {"amount": 6 * 250, "currency": "GBP"}
    assert (body["status"], body["month"]) == ("confirmed", 1)
    (order,) = rows(engine, "SELECT * FROM orders")
    assert (order.id, order.total_minor, order.idempotency_key) == (body["id"], 1_500, "k1")
    (charge,) = rows(engine, "SELECT * FROM charge")
    assert (charge.order_id, charge.amount_minor, charge.card_token) == (order.id, 1_500, "tok_1")
    assert [row.sold for row in rows(engine, "SELECT sold FROM stock ORDER BY id")] == [2, 3, 0, 1]
    assert not discrepancies(engine)


@pytest.mark.parametrize(("name", "statements"), [("naive", 7), ("row_lock", 7), ("conditional_update", 6)])
def test_a_purchase_takes_the_same_few_statements_however_many_lines(
    engine: Engine, name: str, statements: int
) -> None:
    """They travel in three round trips (Q5), while the key, and from the strategy on the stock, is locked."""
    world = make_world(engine, [9] * 21)
    sales = Sales(engine, load(name), Settings())
    seen: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _connection, _cursor, sql, *_rest: seen.append(sql))
    for key, lines in (("k1", world.stock[:1]), ("k21", world.stock)):
        seen.clear()
        assert buy(sales, world.customers[0], key, *[Line(stock_id, 1) for stock_id in lines]).status == 201
        assert len(seen) == statements


def test_every_manufacturer_hears_of_its_own_lines_and_of_what_ran_out(
    engine: Engine, world: World, sales: Sales
) -> None:
    first, second, _empty, fourth = world.stock
    answer = buy(sales, world.customers[0], "k1", Line(first, 2), Line(second, 3), Line(fourth, 1))
    told = rows(engine, "SELECT type, manufacturer, body FROM outbox ORDER BY id")
    assert [(message.type, message.manufacturer) for message in told] == [
        ("sale.recorded", "m1"),
        ("sale.recorded", "m2"),
        ("stock.depleted", "m2"),
    ]
    assert told[1].body == {
        "order_id": answer.body["id"],
        "month": 1,
        "lines": [
            {"sku": "P002", "quantity": 3, "price_minor": 250, "currency": "GBP"},
            {"sku": "P004", "quantity": 1, "price_minor": 250, "currency": "GBP"},
        ],
        "recorded_at": answer.body["created_at"],
    }
    assert told[2].body == {"month": 1, "sku": "P002", "at": answer.body["created_at"]}


def test_the_same_key_and_request_get_the_same_answer(engine: Engine, world: World, sales: Sales) -> None:
    line = Line(world.stock[0], 5)
    answer = buy(sales, world.customers[0], "k1", line)
    again = buy(sales, world.customers[0], "k1", line)
    assert (again.status, json.dumps(again.body), again.replayed) == (201, json.dumps(answer.body), True)
    assert counts(engine, WRITTEN) == {
        **NOTHING,
        "orders": 1,
        "order_line": 1,
        "charge": 1,
        "outbox": 2,
        "idempotency_key": 1,
    }


def test_a_refusal_names_every_short_line_changes_nothing_and_is_stored(
    engine: Engine, world: World, sales: Sales
) -> None:
    first, second, empty, _fourth = world.stock
    lines = (Line(first, 1), Line(second, 4), Line(empty, 2))
    answer = buy(sales, world.customers[0], "k1", *lines)
    assert answer == Answer(
        409,
        {
            "reason": "not_enough_stock",
            "lines": [
                {"stock_id": second, "wanted": 4, "available": 3},
                {"stock_id": empty, "wanted": 2, "available": 0},
            ],
        },
    )
    assert counts(engine, WRITTEN) == {**NOTHING, "idempotency_key": 1}
    with transaction(engine) as connection:
        connection.execute(text("UPDATE stock SET supplied = supplied + 10"))
    again = buy(sales, world.customers[0], "k1", *lines)
    assert (again.status, json.dumps(again.body), again.replayed) == (409, json.dumps(answer.body), True)
    assert buy(sales, world.customers[0], "k2", *lines).status == 201


def test_the_same_key_with_another_request_is_refused(engine: Engine, world: World, shop: Sales) -> None:
    buy(shop, world.customers[0], "k1", Line(world.stock[0], 1))
    with pytest.raises(KeyReused):
        buy(shop, world.customers[0], "k1", Line(world.stock[0], 2))
    assert buy(shop, world.customers[1], "k1", Line(world.stock[0], 2)).status == 201  # a key is one customer's own


@pytest.mark.parametrize(
    "change", ["card_token = NULL", "card_expiry = '2020-01'", "card_expiry = NULL"], ids=["none", "expired", "no date"]
)
def test_without_a_valid_card_nothing_is_sold(engine: Engine, world: World, shop: Sales, change: str) -> None:
    with transaction(engine) as connection:
        connection.execute(text(f"UPDATE customer SET {change}"))
    answer = buy(shop, world.customers[0], "k1", Line(world.stock[0], 1))
    assert (answer.status, answer.body) == (402, {"reason": "no_card"})
    assert counts(engine, WRITTEN) == {**NOTHING, "idempotency_key": 1}


def test_the_shop_sells_while_the_month_is_still_gathering(engine: Engine, world: World, sales: Sales) -> None:
    """Q3: nobody waits for the slowest manufacturer."""
    set_month(engine, "gathering")
    assert buy(sales, world.customers[0], "k1", Line(world.stock[0], 1)).status == 201


@pytest.mark.parametrize("state", ["closing", "closed"])
def test_outside_an_open_month_nothing_is_sold_and_nothing_is_stored(
    engine: Engine, world: World, sales: Sales, state: str
) -> None:
    set_month(engine, state)
    with pytest.raises(ShopClosed):
        buy(sales, world.customers[0], "k1", Line(world.stock[0], 1))
    assert counts(engine, WRITTEN) == NOTHING
    set_month(engine, "open")
    assert buy(sales, world.customers[0], "k1", Line(world.stock[0], 1)).status == 201


def test_an_answer_is_given_again_also_when_the_month_is_over(engine: Engine, world: World, shop: Sales) -> None:
    answer = buy(shop, world.customers[0], "k1", Line(world.stock[0], 1))
    set_month(engine, "closed")
    assert buy(shop, world.customers[0], "k1", Line(world.stock[0], 1)).body == answer.body


def test_an_unknown_or_deleted_account_cannot_buy(engine: Engine, world: World, shop: Sales) -> None:
    with transaction(engine) as connection:
        connection.execute(text("UPDATE customer SET deleted_at = now() WHERE id = :id"), {"id": world.customers[1]})
    for customer in (world.customers[1], 2**62):
        with pytest.raises(UnknownCustomer):
            buy(shop, customer, "k1", Line(world.stock[0], 1))
    assert counts(engine, WRITTEN) == NOTHING


@pytest.mark.parametrize("key", ["", "x" * 201, "with space", "nul\0", "ключ"])
def test_a_key_that_cannot_be_stored_is_named(world: World, shop: Sales, key: str) -> None:
    with pytest.raises(InvalidBasket) as caught:
        buy(shop, world.customers[0], key, Line(world.stock[0], 1))
    assert caught.value.field == "Idempotency-Key"


def test_a_price_that_the_customer_did_not_see_is_not_charged(engine: Engine, world: World, sales: Sales) -> None:
    first, second = world.stock[:2]
    answer = buy(sales, world.customers[0], "k1", Line(first, 1), Line(second, 1), seen={first: 250, second: 199})
    assert answer.status == 409
    assert answer.body == {
        "reason": "price_changed",
        "lines": [
            {
                "stock_id": second,
                "price_seen": {"amount": 199, "currency": "GBP"},
                "price": {"amount": 250, "currency": "GBP"},
            }
        ],
    }
    assert counts(engine, WRITTEN) == {**NOTHING, "idempotency_key": 1}
    assert [row.sold for row in rows(engine, "SELECT sold FROM stock ORDER BY id")] == [0, 0, 0, 0]


def test_goods_of_different_currencies_or_of_too_much_money_are_refused(
    engine: Engine, world: World, shop: Sales
) -> None:
    first, second = world.stock[:2]
    with transaction(engine) as connection:
        connection.execute(text("UPDATE stock SET currency = 'EUR' WHERE id = :id"), {"id": second})
        connection.execute(text("UPDATE stock SET price_minor = :p WHERE id = :id"), {"id": first, "p": 2**63 - 1})
    customer = world.customers[0]
    assert buy(shop, customer, "k1", Line(first, 1), Line(second, 1)).body["reason"] == "currencies_differ"
    assert buy(shop, customer, "k2", Line(first, 2)).body["reason"] == "total_too_large"
    assert buy(shop, customer, "k3", Line(first, 1)).status == 201


def test_buying_the_cart_empties_it(engine: Engine, world: World, sales: Sales) -> None:
    first, second = world.stock[:2]
    put(engine, world.customers[0], second, 1)
    put(engine, world.customers[0], first, 2)
    put(engine, world.customers[1], first, 1)
    answer = sales.place(world.customers[0], "k1", None, sha())
    assert [(line["stock_id"], line["quantity"]) for line in answer.body["lines"]] == [(first, 2), (second, 1)]
    assert cart(engine, world.customers[0]) == []
    assert cart(engine, world.customers[1]) == [(first, 1)]


def test_a_cart_that_cannot_be_bought_stays(engine: Engine, world: World, sales: Sales) -> None:
    first, second = world.stock[:2]
    put(engine, world.customers[0], first, 2)
    put(engine, world.customers[0], second, 9)
    answer = sales.place(world.customers[0], "k1", None, sha())
    assert answer.body["lines"] == [{"stock_id": second, "wanted": 9, "available": 3}]
    assert cart(engine, world.customers[0]) == [(first, 2), (second, 9)]


def test_the_rest_of_a_cart_is_bought_and_what_was_left_out_stays(engine: Engine, world: World, sales: Sales) -> None:
    """C18: and it is refused if the rest is not what was shown; lines that were left out may change meanwhile."""
    first, second, gone, fourth = world.stock
    customer = world.customers[0]
    for stock_id, quantity in ((first, 2), (second, 9), (gone, 1), (fourth, 1)):
        put(engine, customer, stock_id, quantity)
    lost = frozenset({second, gone})
    other = sales.place(customer, "k1", None, sha(1), expected=[Line(first, 1), Line(fourth, 1)], left_out=lost)
    assert other.body["reason"] == "cart_changed"
    shown = [Line(fourth, 1), Line(first, 2)]
    answer = sales.place(customer, "k2", None, sha(2), expected=shown, left_out=lost)
    assert [(line["stock_id"], line["quantity"]) for line in answer.body["lines"]] == [(first, 2), (fourth, 1)]
    assert cart(engine, customer) == [(second, 9), (gone, 1)]
    assert sales.place(customer, "k2", None, sha(2), expected=shown, left_out=lost).body == answer.body
    nothing = sales.place(customer, "k3", None, sha(3), expected=[], left_out=lost)
    assert nothing.body["reason"] == "cart_empty"
    assert not discrepancies(engine)


def test_a_cart_whose_price_changed_is_shown_again_before_it_is_bought(
    engine: Engine, world: World, sales: Sales
) -> None:
    put(engine, world.customers[0], world.stock[0], 1, seen=249)
    refused = sales.place(world.customers[0], "k1", None, sha())
    assert refused.body["reason"] == "price_changed"
    assert cart(engine, world.customers[0]) == [(world.stock[0], 1)]
    agreed = sales.place(world.customers[0], "k2", None, sha(), {world.stock[0]: 250})
    assert agreed.status == 201


def test_an_empty_cart_is_refused(world: World, shop: Sales) -> None:
    answer = shop.place(world.customers[0], "k1", None, sha())
    assert (answer.status, answer.body) == (409, {"reason": "cart_empty", "lines": []})


def test_buying_named_lines_leaves_the_cart_alone(engine: Engine, world: World, shop: Sales) -> None:
    put(engine, world.customers[0], world.stock[0], 2)
    assert buy(shop, world.customers[0], "k1", Line(world.stock[0], 1)).status == 201
    assert cart(engine, world.customers[0]) == [(world.stock[0], 2)]


def test_a_row_that_stays_locked_makes_the_shop_busy_and_leaves_nothing(
    engine: Engine, world: World, sales: Sales
) -> None:
    with transaction(engine) as rogue:
        rogue.execute(text("SELECT 1 FROM stock WHERE id = :id FOR UPDATE"), {"id": world.stock[0]})
        with pytest.raises(Busy) as caught:
            buy(sales, world.customers[0], "k1", Line(world.stock[0], 1))
        met = caught.value.contention
        assert met is not None
        assert met.repeats == () or met.strategy == "nowait", "repeated as a conflict is, it would wait six times"
        assert caught.value.definite
        assert buy(sales, world.customers[0], "k2", Line(world.stock[3], 1)).status == 201  # others sell normally
    assert buy(sales, world.customers[0], "k1", Line(world.stock[0], 1)).status == 201


def test_an_answer_is_never_written_over(engine: Engine, world: World) -> None:
    """Q2: the statement that writes it finds the key by its index, and only one that has no answer yet."""
    purchase = Purchase(world.customers[0], "k", "0" * 64, (Line(world.stock[0], 1),))
    with transaction(engine) as connection:
        assert records.claim(connection, purchase)
        records.record_refusals(connection, [(purchase, Refusal(402, {"reason": "no_card"}))])
    with transaction(engine) as connection:
        records.record_refusals(connection, [(purchase, Refusal(409, {"reason": "cart_empty"}))])
    assert rows(engine, "SELECT status, answer ->> 'reason' FROM idempotency_key") == [(402, "no_card")]
