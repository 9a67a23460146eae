"""Sessions: one row each, for a browser's cookie and a program's bearer token alike.

S1  The database knows only the SHA-256 of a token: who reads the table cannot sign in with it.
S2  A session is good as long as its row is there and not expired; deleting the row ends it on every instance (P6).
S3  Every sign-in makes a new token; a token is never taken over from a request.
"""

import datetime as dt
import hashlib
import re
import secrets
from dataclasses import dataclass, field

from sqlalchemy import Connection, delete, func, insert, select

from customers.accounts.customer import Customer
from distributor import tables
from distributor.tables import CustomerSession

TOKEN_BYTES = 32  # 256 bits; ASVS 5.0 7.2.3 asks for 128 at least
EXPIRED_AT_ONCE = 100  # rows swept at a sign-in, so that no sign-in pays for a long pause

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")  # what 32 bytes are in unpadded base64url


@dataclass(frozen=True)
class NewSession:
    """The only moment at which the token itself is known to us."""

    token: str = field(repr=False)
    expires_at: dt.datetime


def token_sha256(token: str) -> str | None:
    """How the token is known in the database; None for text that no token can be."""
    return hashlib.sha256(token.encode()).hexdigest() if _TOKEN.fullmatch(token) else None


def start(connection: Connection, customer_id: int, hours: int) -> NewSession:
    token = secrets.token_urlsafe(TOKEN_BYTES)
    statement = (
        insert(CustomerSession)
        .values(
            token_sha256=hashlib.sha256(token.encode()).hexdigest(),
            customer_id=customer_id,
            expires_at=func.now() + dt.timedelta(hours=hours),
        )
        .returning(CustomerSession.expires_at)
    )
    return NewSession(token, connection.execute(statement).scalar_one())


def find(connection: Connection, sha256: str) -> Customer | None:
    """Who this session belongs to, by one look at two primary keys."""
    account = tables.Customer
    statement = (
        select(
            account.id,
            account.email,
            account.first_name,
            account.last_name,
            account.card_brand,
            account.card_last4,
            account.card_expiry,
        )
        .join(CustomerSession, CustomerSession.customer_id == account.id)
        .where(
            CustomerSession.token_sha256 == sha256,
            CustomerSession.expires_at > func.now(),
            account.deleted_at.is_(None),
        )
    )
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else Customer(**row, token_sha256=sha256)


def end(connection: Connection, sha256: str) -> None:
    connection.execute(delete(CustomerSession).where(CustomerSession.token_sha256 == sha256))


def end_all(connection: Connection, customer_id: int, except_sha256: str | None = None) -> None:
    """After a password change or a deletion; ``except_sha256`` is the session that asked for it."""
    statement = delete(CustomerSession).where(CustomerSession.customer_id == customer_id)
    if except_sha256 is not None:
        statement = statement.where(CustomerSession.token_sha256 != except_sha256)
    connection.execute(statement)


def sweep_expired(connection: Connection) -> None:
    """Tidy only: S2 holds without it. Skips what another sign-in sweeps at the same moment."""
    expired = (
        select(CustomerSession.token_sha256)
        .where(CustomerSession.expires_at < func.now())
        .limit(EXPIRED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    connection.execute(delete(CustomerSession).where(CustomerSession.token_sha256.in_(expired)))
