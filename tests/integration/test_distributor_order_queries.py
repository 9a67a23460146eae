"""What an order's page asks: how far it has come, which card paid, and who else has what was lost."""

import pytest
from sqlalchemy import Engine, text

from distributor import queries
from distributor.database import transaction
from distributor.outbox.pending import claim, mark_published
from distributor.sales import Line, Sales
from distributor.strategies import load
from settings import Settings
from tests.distributor_world import World, make_world, rows, set_month

SHA = "0" * 64


@pytest.fixture
def world(engine: Engine) -> World:
    return make_world(engine, [5, 3, 0, 40])


def facts_after(engine: Engine, order_id: int) -> queries.Facts:
    with transaction(engine) as connection:
        return queries.facts_of(connection, [order_id])[order_id]


def test_an_order_comes_on_with_what_happens_to_it(engine: Engine, world: World) -> None:
    """F2: the relay's mark and the month's end are the only movers."""
    sales = Sales(engine, load("row_lock"), Settings())
    order = sales.place(world.customers[0], "k", [Line(world.stock[0], 1), Line(world.stock[1], 1)], SHA)
    order_id = order.body["id"]
    facts = facts_after(engine, order_id)
    assert facts.told == {"m1": None, "m2": None}
    assert (facts.card_brand, facts.card_last4) == ("visa", "4242")
    assert queries.reached(facts) == "received"
    for published, word in ((1, "received"), (9, "makers_told")):
        with transaction(engine) as connection:
            mark_published(connection, [event.row_id for event in claim(connection, published, 60.0)])
        assert queries.reached(facts_after(engine, order_id)) == word
    set_month(engine, "closed")
    with transaction(engine) as connection:
        connection.execute(text("UPDATE month SET closed_at = clock_timestamp()"))
    assert queries.reached(facts_after(engine, order_id)) == "month_closed"


def test_an_order_is_found_among_many_events_by_its_index(engine: Engine, world: World) -> None:
    sales = Sales(engine, load("row_lock"), Settings())
    for key in range(3):
        sales.place(world.customers[0], f"k{key}", [Line(world.stock[3], 1)], SHA)
    with transaction(engine) as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = connection.execute(
            text("EXPLAIN SELECT FROM outbox WHERE type = 'sale.recorded' AND (body ->> 'order_id')::bigint = 7")
        ).scalars()
        assert "outbox_order" in "\n".join(plan)


def test_the_newest_order_is_the_customers_own(engine: Engine, world: World) -> None:
    sales = Sales(engine, load("row_lock"), Settings())
    first = sales.place(world.customers[0], "k", [Line(world.stock[0], 1)], SHA).body["id"]
    sales.place(world.customers[1], "k", [Line(world.stock[0], 1)], SHA)
    with transaction(engine) as connection:
        assert queries.newest_order(connection, world.customers[0]) == first
        assert queries.newest_order(connection, 999) == 0


def test_the_same_good_of_others_is_offered_cheapest_first(engine: Engine, world: World) -> None:
    """Only where it is to be had now, and never in another currency."""
    lost = world.stock[0]
    others = (("m3", 9, "GBP", 2), ("m4", 8, "GBP", 0), ("m5", 7, "EUR", 4), ("m6", 10, "GBP", 1))
    with transaction(engine) as connection:
        for code, price, currency, supplied in others:
            connection.execute(
                text("""WITH maker AS (INSERT INTO manufacturer (code, name) VALUES (:code, :code) RETURNING id)
                        INSERT INTO stock (product_id, manufacturer_id, name, price_minor, currency, supplied)
                        SELECT stock.product_id, maker.id, 'Same', :price, :currency, :supplied
                        FROM maker, stock WHERE stock.id = :lost"""),
                {"code": code, "price": price, "currency": currency, "supplied": supplied, "lost": lost},
            )
    with transaction(engine) as connection:
        found = queries.alternatives(connection, [lost, world.stock[2], 999_999])
    assert {stock_id: [item.manufacturer.code for item in items] for stock_id, items in found.items()} == {
        lost: ["m3", "m6"]
    }
    assert len(rows(engine, "SELECT * FROM stock")) == 8
