"""A small shop in a real database, for the distributor's tests: an open month, goods of two makers, customers with cards."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine, Table, insert, text, update

from distributor.database import make_engine, reading, transaction
from distributor.queries.progress import facts_of
from distributor.sales import Answer, Contention
from distributor.tables import Customer, Month, Stock
from grading.world import PRICE_MINOR, World, discrepancies, make_world
from settings import Settings
from settings.model import Database

__all__ = [
    "World",
    "add_customer_to",
    "add_same_good",
    "assert_stored_as_told",
    "counts",
    "discrepancies",
    "engine_for",
    "make_world",
    "patient_settings",
    "rows",
    "sell_to_others",
    "set_month",
]


PATIENT = {
    "pool_wait_ms": 30_000,
    "lock_timeout_ms": 30_000,
    "statement_timeout_ms": 60_000,
    "idle_in_transaction_timeout_ms": 60_000,
    "transaction_attempts_max": 50,
}
"""The section ``database``: who waits is waited for, however busy the machine is. Whose subject is a deadline sets that one."""


def engine_for(url: str, pool_size: int = 4, **changes: Any) -> Engine:
    """``changes``: keys of the section ``database``, where it is not PATIENT."""
    return make_engine(url, Database(**(PATIENT | changes)), pool_size=pool_size, application_name="test")


def patient_settings(**sections: dict[str, Any]) -> Settings:
    """``sections``: what else is set, such as cart={…}. Purchases that are committed in groups wait for each other, too."""
    sections["database"] = PATIENT | sections.get("database", {})
    sections["load_balancer"] = {"server_timeout_ms": 90_000} | sections.get("load_balancer", {})
    return Settings.model_validate(sections)


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


def cart(engine: Engine) -> dict[int, int]:
    """What is in the one cart that a test has, or in all together: quantity by stock id."""
    return {row.stock_id: row.quantity for row in rows(engine, "SELECT * FROM cart_line")}


def ordered(engine: Engine) -> dict[int, int]:
    """What was ordered, by stock id."""
    return {row.stock_id: row.quantity for row in rows(engine, "SELECT * FROM order_line")}


def order_count(engine: Engine) -> int:
    return len(rows(engine, "SELECT * FROM orders"))


def counts(engine: Engine, tables: Iterable[type]) -> dict[str, int]:
    names = [table.__table__.name for table in tables if isinstance(table.__table__, Table)]  # type: ignore[attr-defined]
    return {name: int(rows(engine, f"SELECT count(*) FROM {name}")[0][0]) for name in names}


def assert_stored_as_told(engine: Engine, answer: Answer) -> None:
    """S4 of distributor/sales/selling.py: the order knows for ever what its buyer was told once."""
    number = answer.body["id"]
    with reading(engine) as connection:
        stored = facts_of(connection, [number])[number].sold
    assert answer.contention is not None
    assert stored is not None

    def whole(met: Contention) -> Contention:
        return replace(met, queued_seconds=round(met.queued_seconds, 6), lock_seconds=round(met.lock_seconds, 6))

    assert whole(stored) == whole(answer.contention)
