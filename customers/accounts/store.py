"""The account's statements; each works within the caller's transaction."""

from typing import Any

from sqlalchemy import Connection, RowMapping, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert

from distributor.database import Statement
from distributor.tables import CartLine, Charge, Customer, FinishedCustomer, Order

DELETED_NAME = "(deleted)"
DELETED_CARD = ""  # a payment provider would know by the token whose card it was


def add(connection: Connection, **values: str) -> int | None:
    """A new account's id, or None if the canonical e-mail address is taken."""
    return connection.scalar(
        postgresql_insert(Customer)
        .values(values)
        .on_conflict_do_nothing(constraint="customer_email_canonical")
        .returning(Customer.id)
    )


def asking_for_credentials(email_canonical: str) -> Statement:
    """Id and password hash of the account with this address, if there is one."""
    return _CREDENTIALS, {"email": email_canonical}


def asking_for_password_hash(customer_id: int, *, lock: bool = False) -> Statement:
    """``lock``: no one changes the account until this transaction ends; orders of the customer go on."""
    return _HASH + ("FOR SHARE" if lock else ""), {"id": customer_id}


_CREDENTIALS = "SELECT id, password_hash FROM customer WHERE email_canonical = %(email)s AND deleted_at IS NULL"
_HASH = "SELECT password_hash FROM customer WHERE id = %(id)s "


def is_taken(connection: Connection, email_canonical: str, by_other_than: int) -> bool:
    """Asked before a change, beside the constraint: PostgreSQL writes the value that breaks one into its own log."""
    other = select(Customer.id).where(Customer.email_canonical == email_canonical, Customer.id != by_other_than)
    return connection.scalar(other) is not None


def facts(connection: Connection, customer_id: int) -> RowMapping:
    """What an account has beside what every request reads of it; of an account that is there."""
    statement = select(Customer.role, Customer.created_at, func.now().label("now")).where(Customer.id == customer_id)
    return connection.execute(statement).mappings().one()


def finished_months(connection: Connection, customer_id: int) -> tuple[int, ...]:
    months = select(FinishedCustomer.month).where(FinishedCustomer.customer_id == customer_id)
    return tuple(connection.scalars(months.order_by(FinishedCustomer.month)))


def change(connection: Connection, customer_id: int, values: dict[str, Any]) -> None:
    connection.execute(update(Customer).where(Customer.id == customer_id, Customer.deleted_at.is_(None)).values(values))


def adopting_language(customer_id: int, code: str) -> Statement:
    """Of an account that has none yet; what was chosen for it stays."""
    return _ADOPT_LANGUAGE, {"id": customer_id, "code": code}


_ADOPT_LANGUAGE = """
    UPDATE customer SET language = %(code)s WHERE id = %(id)s AND language IS NULL AND deleted_at IS NULL
"""


def anonymise(connection: Connection, customer_id: int) -> None:
    """Nothing personal is left; the row stays, for orders point at it."""
    change(
        connection,
        customer_id,
        {
            "email": None,
            "email_canonical": None,
            "first_name": DELETED_NAME,
            "last_name": DELETED_NAME,
            "password_hash": None,
            "card_token": None,
            "card_brand": None,
            "card_last4": None,
            "card_expiry": None,
            "language": None,
            "deleted_at": func.now(),
        },
    )
    connection.execute(delete(CartLine).where(CartLine.customer_id == customer_id))
    of_theirs = Charge.order_id.in_(select(Order.id).where(Order.customer_id == customer_id))
    nothing = {"card_token": DELETED_CARD, "card_brand": None, "card_last4": None}
    connection.execute(update(Charge).where(of_theirs).values(nothing))
