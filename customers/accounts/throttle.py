"""Slowing down the guessing of passwords, by account and by address, counted in the database for all instances.

Beside the rate limits, which bound what is asked at all: this counts only what failed, and therefore more strictly.

H1  Within a window an account has at most ``failures_max`` attempts that failed or are still being checked: an attempt
    is counted before its password is looked at, so parallel guesses do not slip through. One whose password was not
    looked at, for too many waited, does not count: a flood would keep everybody out who tries again as told.
H2  An address has ``ADDRESS_FACTOR`` times as many failures: a classroom shares one.
H3  Nobody is locked out for ever: attempts leave the window, and Retry-After says when.
H4  Counting does not wait for the disk, which would be a third of a sign-in without its hash: other instances see it all
    the same, and only a crash of the database itself may forget the attempts of its last moments.
H5  Attempts from a browser in which the account was signed in to before (devices.py) are counted apart: whoever keeps
    guessing elsewhere keeps strangers out, not the owner (ASVS 5.0 6.1.1). So is the current password that is asked of who
    is signed in: guessing from outside does not keep the owner from changing it, nor a stolen session from signing in.
"""

import datetime as dt
import hashlib
import math
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from customers.errors import TooManyAttempts
from customers.rate_limits.addresses import subject_of_address
from customers.rate_limits.quota import Standing
from distributor.database import Statement, trip, with_commit
from distributor.tables import LoginFailure

ADDRESS_FACTOR = 10  # chosen: thirty students behind one address mistype now and then
QUOTA = "wrong-passwords"  # its name in the headers of an answer
SIGNED_IN = "signed-in"  # in a device's place: whoever has a session of the account
LOCK_SPACE = 0x4C4F  # "LO"; the first half of the advisory lock's key, apart from the other uses


def account_subject(canonical_email: str, device: str | None = None) -> str:
    """``device``: a browser that the account knows, or ``SIGNED_IN`` (H5)."""
    kind = "account:" if device is None else f"device:{device}:"
    return hashlib.sha256((kind + canonical_email).encode(errors="replace")).hexdigest()


def address_subject(address: str) -> str:
    sender = subject_of_address(address)
    return hashlib.sha256(b"address:" + sender.encode(errors="replace")).hexdigest()


def begin_attempt(
    connection: Connection, account: str, address: str, failures_max: int, window_seconds: float, *, asked: Statement
) -> list[Any]:
    """Count an attempt on the account (H1); raises TooManyAttempts when there is no attempt left.

    The transaction may write nothing else that has to last (H4). ``asked``: what is to be known of the account for the check,
    asked in the same trip and answered here.
    """
    window = {"window": _window(window_seconds)}
    allowed = ((account, failures_max), (address, failures_max * ADDRESS_FACTOR))
    *_begun, of_account, of_address, answer = trip(
        connection,
        [
            (_LOCK, {"space": LOCK_SPACE, "account": account}),
            (_FORGET_OLD, {"subject": account} | window),
            *((_SECONDS_LEFT, {"subject": subject, "skipped": number - 1} | window) for subject, number in allowed),
            asked,
        ],
    )
    for found, (_subject, number) in zip((of_account, of_address), allowed, strict=True):
        if found:
            raise _refusal(found[0].seconds_left, number, window_seconds)
    with_commit(connection, (_NOTE, {"subject": account}), (_SWEEP, window))
    return answer


_LOCK = """
    SELECT set_config('synchronous_commit', 'off', true), pg_advisory_xact_lock(%(space)s::int, hashtext(%(account)s))
"""  # H4
_FORGET_OLD = "DELETE FROM login_failure WHERE subject = %(subject)s AND at < now() - %(window)s"
# When the youngest attempt but ``skipped`` leaves the window; no row: there is room.
_SECONDS_LEFT = """
    SELECT extract(epoch FROM at + %(window)s - now()) AS seconds_left FROM login_failure
    WHERE subject = %(subject)s AND at > now() - %(window)s ORDER BY at DESC OFFSET %(skipped)s LIMIT 1
"""
_NOTE = "INSERT INTO login_failure (subject) VALUES (%(subject)s)"
# Each attempt takes the oldest two rows along if they count no more: subjects that never come again leave none.
_SWEEP = """
    DELETE FROM login_failure WHERE at < now() - %(window)s AND id IN (
        SELECT id FROM login_failure ORDER BY id LIMIT 2 FOR UPDATE SKIP LOCKED)
"""
_TAKE_BACK = """
    DELETE FROM login_failure WHERE id = (
        SELECT id FROM login_failure WHERE subject = %(subject)s ORDER BY id DESC LIMIT 1 FOR UPDATE SKIP LOCKED)
"""
_FORGET = """
    DELETE FROM login_failure WHERE id IN (
        SELECT id FROM login_failure WHERE subject = %(subject)s FOR UPDATE SKIP LOCKED)
"""


def take_back(connection: Connection, account: str) -> None:
    """Of the account's attempts one less counts (H1); which one is the same."""
    trip(connection, [(_TAKE_BACK, {"subject": account})])


def note_failure(connection: Connection, address: str, window_seconds: float) -> None:
    """The attempt failed: the account's count stands already, the address gets its own."""
    window = _window(window_seconds)
    stale = (
        select(LoginFailure.id)
        .where(LoginFailure.subject == address, LoginFailure.at < func.now() - window)
        .with_for_update(skip_locked=True)
    )
    connection.execute(delete(LoginFailure).where(LoginFailure.id.in_(stale)))
    connection.execute(insert(LoginFailure).values(subject=address))


def forgetting_attempts(account: str) -> Statement:
    """The right password ends the account's count."""
    return _FORGET, {"subject": account}


def forget_attempts(connection: Connection, account: str) -> None:
    trip(connection, [forgetting_attempts(account)])


def _refusal(seconds_left: Decimal, allowed: int, window_seconds: float) -> TooManyAttempts:
    wait_seconds = max(1, math.ceil(seconds_left))
    return TooManyAttempts(wait_seconds, Standing(QUOTA, allowed, math.ceil(window_seconds), 0, wait_seconds))


def _window(seconds: float) -> dt.timedelta:
    return dt.timedelta(seconds=seconds)
