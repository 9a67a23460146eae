"""A small shop in a real database, for the distributor's tests: an open month, goods of two makers, customers with cards."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Table, insert, text, update

from distributor.database import make_engine, transaction
from distributor.tables import Calendar, Customer, Manufacturer, Month, Product, Stock, Supply, SupplyLine
from settings.model import Database

PRICE_MINOR = 250
MONTH_SECONDS = 3_600.0


def engine_for(url: str, pool_size: int = 4, **changes: Any) -> Engine:
    """``changes``: keys of the section ``database``."""
    return make_engine(url, Database(**changes), pool_size=pool_size, application_name="test")


@dataclass(frozen=True)
class World:
    """Row ids of what was made: stock rows in the order of the quantities given, customers in order."""

    stock: tuple[int, ...]
    customers: tuple[int, ...]


def make_world(
    engine: Engine, quantities: Sequence[int], *, customers: int = 2, price_minor: int = PRICE_MINOR, month: int = 1
) -> World:
    """One stock row per quantity, alternately of m1 and m2: row i is product P00i. Every customer has a card."""
    now = dt.datetime.now(dt.UTC)
    with transaction(engine) as connection:
        connection.execute(insert(Calendar), {"id": 1, "epoch": now, "month_seconds": MONTH_SECONDS})
        connection.execute(
            insert(Month),
            {"number": month, "state": "open", "opened_at": now, "ends_at": now + dt.timedelta(seconds=MONTH_SECONDS)},
        )
        makers = [
            connection.execute(
                insert(Manufacturer).returning(Manufacturer.id), {"code": code, "name": name}
            ).scalar_one()
            for code, name in (("m1", "First Works"), ("m2", "Second Works"))
        ]
        supplies = [
            connection.execute(
                insert(Supply).returning(Supply.id),
                {"manufacturer_id": maker, "month": month, "content_sha256": "0" * 64, "accepted_at": now},
            ).scalar_one()
            for maker in makers
        ]
        stock = []
        for number, quantity in enumerate(quantities, 1):
            product = connection.execute(insert(Product).returning(Product.id), {"sku": f"P{number:03}"}).scalar_one()
            side = number % 2 - 1
            stock_id = connection.execute(
                insert(Stock).returning(Stock.id),
                {
                    "product_id": product,
                    "manufacturer_id": makers[side],
                    "name": f"Product {number}",
                    "price_minor": price_minor,
                    "currency": "GBP",
                    "supplied": quantity,
                },
            ).scalar_one()
            stock.append(stock_id)
            if quantity:
                connection.execute(
                    insert(SupplyLine), {"supply_id": supplies[side], "stock_id": stock_id, "quantity": quantity}
                )
        people = [add_customer_to(connection, f"c{number}@example.org") for number in range(customers)]
    return World(tuple(stock), tuple(people))


def add_customer_to(connection: Any, email: str, *, card: bool = True) -> int:
    values: dict[str, Any] = {
        "email": email,
        "email_canonical": email,
        "first_name": "Ada",
        "last_name": "Lovelace",
        "password_hash": "x",
    }
    if card:
        values |= {"card_token": "tok_1", "card_brand": "visa", "card_last4": "4242", "card_expiry": "2099-12"}
    return int(connection.execute(insert(Customer).returning(Customer.id), values).scalar_one())


def add_same_good(engine: Engine, stock_id: int, code: str, quantity: int, price_minor: int = PRICE_MINOR) -> int:
    """The same product from this manufacturer, who is made known if need be; the new stock row's id."""
    with transaction(engine) as connection:
        connection.execute(
            text("INSERT INTO manufacturer (code, name) VALUES (:code, :code) ON CONFLICT DO NOTHING"), {"code": code}
        )
        row_id: int = connection.execute(
            text("""INSERT INTO stock (product_id, manufacturer_id, name, price_minor, currency, supplied)
                    SELECT product_id, (SELECT id FROM manufacturer WHERE code = :code), name, :price, currency, :quantity
                    FROM stock WHERE id = :stock_id RETURNING id"""),
            {"code": code, "price": price_minor, "quantity": quantity, "stock_id": stock_id},
        ).scalar_one()
        return row_id


def sell_to_others(engine: Engine, stock_id: int, quantity: int) -> None:
    """As if other customers had bought them; the books do not know these buyers."""
    with transaction(engine) as connection:
        connection.execute(update(Stock).where(Stock.id == stock_id).values(sold=Stock.sold + quantity))


def set_month(engine: Engine, state: str, number: int = 1) -> None:
    reason = "by_hand" if state in ("closing", "closed") else None
    with transaction(engine) as connection:
        connection.execute(update(Month).where(Month.number == number).values(state=state, reason=reason))


def rows(engine: Engine, statement: str, **parameters: Any) -> list[Any]:
    with transaction(engine) as connection:
        return list(connection.execute(text(statement), parameters))


def counts(engine: Engine, tables: Iterable[type]) -> dict[str, int]:
    names = [table.__table__.name for table in tables if isinstance(table.__table__, Table)]  # type: ignore[attr-defined]
    return {name: int(rows(engine, f"SELECT count(*) FROM {name}")[0][0]) for name in names}


def discrepancies(engine: Engine) -> list[Any]:
    """Stock rows whose counter disagrees with their order lines, or that sold more than was supplied (P1)."""
    return rows(
        engine,
        """SELECT stock.id, stock.supplied, stock.withdrawn, stock.sold, coalesce(sum(order_line.quantity), 0) AS ordered
           FROM stock LEFT JOIN order_line ON order_line.stock_id = stock.id
           GROUP BY stock.id
           HAVING stock.sold <> coalesce(sum(order_line.quantity), 0)
               OR coalesce(sum(order_line.quantity), 0) > stock.supplied - stock.withdrawn""",
    )
