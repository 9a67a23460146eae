"""Sessions: one row each, for a browser's cookie and a program's bearer token alike.

S1  The database knows only the SHA-256 of a token: who reads the table cannot sign in with it.
S2  A session is good as long as its row is there, its absolute lifetime is not over and it was used within the idle time;
    deleting the row ends it on every instance with the very next request (P6).
S3  Every sign-in makes a new token; a token is never taken over from a request.
S4  Noting the use costs at most one small write in ``SEEN_SECONDS`` a session. It waits for nobody and nobody waits for
    it: a row that is locked is left, and the write is not flushed to disk before the answer.
S5  An account has at most ``SESSIONS_MAX`` sessions; the one unused for longest goes first.
S6  What names a session to its owner (``handle``) is a digest of what the database knows: neither can be had from it. It
    ends a session of its owner's account and no other.
S7  An account is changed by living sessions only. The session is looked for again behind the account's row, which whatever
    ends an account's other sessions locks first: a request that was on its way when its session ended changes nothing. It
    keeps the session until it is done: what ends that without the account's row (`main.py sign-out`) waits for it.
"""

import datetime as dt
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Executable,
    String,
    any_,
    bindparam,
    delete,
    func,
    select,
    text,
    update,
)

from customers.accounts.clients import Client
from customers.accounts.customer import Customer
from customers.errors import NotSignedIn
from distributor import tables
from distributor.database import Statement, trip
from distributor.prepared import Prepared
from distributor.queries import CustomerStatus, status_columns, status_of
from distributor.tables import CustomerSession

TOKEN_BYTES = 32  # 256 bits; ASVS 5.0 7.2.3 asks for 128 at least
EXPIRED_AT_ONCE = 100  # rows swept at a sign-in, so that no sign-in pays for a long pause
SEEN_SECONDS = 60  # how exact "last used" is; the idle time is at least twice as long
SESSIONS_MAX = 100  # chosen: more than one person's devices, few enough for a page

HANDLE_DIGITS = 32  # hexadecimal: 128 bits, for two sessions of one account are never to be mixed up
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")  # what 32 bytes are in unpadded base64url


@dataclass(frozen=True)
class Lifetimes:
    """After which a session is over: since it began, and since it was last used."""

    absolute: dt.timedelta
    idle: dt.timedelta


@dataclass(frozen=True)
class NewSession:
    """The only moment at which the token itself is known to us."""

    token: str = field(repr=False)
    expires_at: dt.datetime


@dataclass(frozen=True)
class Session:
    """One of an account's living sessions, as its owner sees it."""

    handle: str
    created_at: dt.datetime
    seen_at: dt.datetime
    expires_at: dt.datetime
    browser: str | None
    system: str | None
    is_this_one: bool


@dataclass(frozen=True)
class Found:
    """Whose session it is, and whether its use should be noted (S4). ``status``: what pages show of the customer."""

    customer: Customer
    is_note_due: bool
    status: CustomerStatus


@dataclass(frozen=True)
class Holder:
    """The same without what only pages show."""

    customer_id: int
    is_note_due: bool


def token_sha256(token: str) -> str | None:
    """How the token is known in the database; None for text that no token can be."""
    return hashlib.sha256(token.encode()).hexdigest() if _TOKEN.fullmatch(token) else None


def starting(token: str, customer_id: int, client: Client, lifetimes: Lifetimes) -> tuple[Statement, Statement]:
    """Makes room (S5) and begins the session of a new token; the last one's answer is a row with ``expires_at``."""
    begun = {
        "sha256": hashlib.sha256(token.encode()).hexdigest(),
        "customer_id": customer_id,
        "absolute": lifetimes.absolute,
        "browser": client.browser,
        "system": client.system,
    }
    return (_MAKE_ROOM, {"customer_id": customer_id, "others": SESSIONS_MAX - 1}), (_START, begun)


# S5; of two sign-ins at the same moment each leaves the rows that the other is deleting.
_MAKE_ROOM = """
    DELETE FROM customer_session WHERE token_sha256 IN (
        SELECT token_sha256 FROM customer_session WHERE customer_id = %(customer_id)s
        ORDER BY seen_at DESC, token_sha256 OFFSET %(others)s FOR UPDATE SKIP LOCKED)
"""
_START = """
    INSERT INTO customer_session (token_sha256, customer_id, expires_at, browser, system)
    VALUES (%(sha256)s, %(customer_id)s, now() + %(absolute)s, %(browser)s, %(system)s) RETURNING expires_at
"""
SWEEPING: Statement = (
    """
    DELETE FROM customer_session WHERE token_sha256 IN (
        SELECT token_sha256 FROM customer_session WHERE expires_at < now() LIMIT %(rows)s FOR UPDATE SKIP LOCKED)
    """,
    {"rows": EXPIRED_AT_ONCE},
)
"""Tidy only: S2 holds without it. Skips what another sign-in sweeps at the same moment."""


def _is_living(lifetimes: Lifetimes) -> ColumnElement[bool]:
    return (CustomerSession.expires_at > func.now()) & (CustomerSession.seen_at > func.now() - lifetimes.idle)


def find(connection: Connection, sha256: str, lifetimes: Lifetimes) -> Found | None:
    """Who this session belongs to, by one look at two primary keys, and what every page tells them."""
    [rows] = trip(connection, [_finding(lifetimes)(sha256=sha256)])
    if not rows:
        return None
    [row] = rows
    customer = Customer(
        row.id,
        row.email,
        row.first_name,
        row.last_name,
        row.card_brand,
        row.card_last4,
        row.card_expiry,
        token_sha256=sha256,
        language=row.language,
    )
    return Found(customer, row.is_note_due, status_of(row))


def holders(connection: Connection, sha256s: Sequence[str], lifetimes: Lifetimes) -> dict[str, Holder]:
    """Whose sessions these are, by token; those that are not living are left out (S2). One look for all."""
    rows = connection.execute(_finding_many(lifetimes), {"sha256s": list(sha256s)})
    return {row.token_sha256: Holder(row.id, row.is_note_due) for row in rows}


@cache
def _finding_many(lifetimes: Lifetimes) -> Executable:
    account = tables.Customer
    return (
        select(CustomerSession.token_sha256, account.id, _note_due())
        .join(CustomerSession, CustomerSession.customer_id == account.id)
        .where(
            CustomerSession.token_sha256 == any_(bindparam("sha256s", type_=ARRAY(String))),
            _is_living(lifetimes),
            account.deleted_at.is_(None),
        )
    )


def _note_due() -> ColumnElement[bool]:
    return (CustomerSession.seen_at < func.now() - dt.timedelta(seconds=SEEN_SECONDS)).label("is_note_due")


@cache
def _finding(lifetimes: Lifetimes) -> Prepared:
    """Built once, for it runs with every request of a customer."""
    account = tables.Customer
    return Prepared(
        select(
            account.id,
            account.email,
            account.first_name,
            account.last_name,
            account.card_brand,
            account.card_last4,
            account.card_expiry,
            account.language,
            _note_due(),
            *status_columns(account.id),
        )
        .join(CustomerSession, CustomerSession.customer_id == account.id)
        .where(CustomerSession.token_sha256 == bindparam("sha256"), _is_living(lifetimes), account.deleted_at.is_(None))
    )


def require_living(connection: Connection, customer: Customer) -> None:
    """Locks the account for the rest of the transaction; raises NotSignedIn when the session is there no more (S7)."""
    _account, living = trip(
        connection,
        [(_LOCK_ACCOUNT, {"id": customer.id}), (_LIVING, {"sha256": customer.token_sha256, "id": customer.id})],
    )
    if not living:
        raise NotSignedIn


# FOR UPDATE at once: what a change of address and a deletion need, for a lock that grows later could deadlock.
_LOCK_ACCOUNT = "SELECT 1 FROM customer WHERE id = %(id)s FOR UPDATE"
_LIVING = "SELECT 1 FROM customer_session WHERE token_sha256 = %(sha256)s AND customer_id = %(id)s FOR KEY SHARE"


def note_use(connection: Connection, sha256s: Sequence[str]) -> None:
    """S4; in a transaction that does nothing else, for its commit does not wait for the disk."""
    connection.execute(text("SET LOCAL synchronous_commit = off"))
    mine = (
        select(CustomerSession.token_sha256)
        .where(
            CustomerSession.token_sha256.in_(sha256s),
            CustomerSession.seen_at < func.now() - dt.timedelta(seconds=SEEN_SECONDS),
        )
        .with_for_update(key_share=True, skip_locked=True)
    )
    connection.execute(update(CustomerSession).where(CustomerSession.token_sha256.in_(mine)).values(seen_at=func.now()))


def of_customer(connection: Connection, customer_id: int, this_one: str, lifetimes: Lifetimes) -> list[Session]:
    """The living sessions, the one that asks first, then the most recently used."""
    is_this_one = (CustomerSession.token_sha256 == this_one).label("is_this_one")
    statement = (
        select(
            _handle().label("handle"),
            CustomerSession.created_at,
            CustomerSession.seen_at,
            CustomerSession.expires_at,
            CustomerSession.browser,
            CustomerSession.system,
            is_this_one,
        )
        .where(CustomerSession.customer_id == customer_id, _is_living(lifetimes))
        .order_by(is_this_one.desc(), CustomerSession.seen_at.desc())
        .limit(SESSIONS_MAX)
    )
    return [Session(**row) for row in connection.execute(statement).mappings()]


def end(connection: Connection, sha256: str) -> None:
    connection.execute(delete(CustomerSession).where(CustomerSession.token_sha256 == sha256))


def _handle() -> ColumnElement[str]:
    """S6, of the session in question."""
    known = func.convert_to(CustomerSession.token_sha256, "UTF8")
    return func.left(func.encode(func.sha256(known), "hex"), HANDLE_DIGITS)


def end_other(connection: Connection, customer_id: int, handle: str, this_one: str) -> bool:
    """S6; whether there was such a session beside the one that asks, which is ended by logging out."""
    statement = delete(CustomerSession).where(
        CustomerSession.customer_id == customer_id, CustomerSession.token_sha256 != this_one, _handle() == handle
    )
    return connection.execute(statement).rowcount > 0


def end_all(connection: Connection, customer_id: int, except_sha256: str | None = None) -> int:
    """After a change of password or address, a deletion, or when asked for; ``except_sha256`` is the session that asked.
    Returns how many there were."""
    statement = delete(CustomerSession).where(CustomerSession.customer_id == customer_id)
    if except_sha256 is not None:
        statement = statement.where(CustomerSession.token_sha256 != except_sha256)
    return connection.execute(statement).rowcount


def end_everybodys(connection: Connection) -> int:
    """Returns how many there were."""
    return connection.execute(delete(CustomerSession)).rowcount
