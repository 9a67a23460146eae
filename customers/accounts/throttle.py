"""Slowing down the guessing of passwords, by account and by address, counted in the database for all instances.

Beside the rate limits, which bound what is asked at all: this counts only what failed, and therefore more strictly.

H1  Within a window an account has at most ``failures_max`` attempts that failed or are still being checked: an attempt
    is counted before its password is looked at, so parallel guesses do not slip through.
H2  An address has ``ADDRESS_FACTOR`` times as many failures: a classroom shares one.
H3  Nobody is locked out for ever: attempts leave the window, and Retry-After says when.
H4  Counting does not wait for the disk, which would be a third of a sign-in without its hash: other instances see it all
    the same, and only a crash of the database itself may forget the attempts of its last moments.
"""

import datetime as dt
import hashlib
import math

from sqlalchemy import Connection, delete, func, insert, select

from customers.errors import TooManyAttempts
from customers.rate_limits.addresses import subject_of_address
from customers.rate_limits.quota import Standing
from distributor.tables import LoginFailure

ADDRESS_FACTOR = 10  # chosen: thirty students behind one address mistype now and then
QUOTA = "wrong-passwords"  # its name in the headers of an answer
LOCK_SPACE = 0x4C4F  # "LO"; the first half of the advisory lock's key, apart from the other uses


def account_subject(canonical_email: str) -> str:
    return hashlib.sha256(b"account:" + canonical_email.encode(errors="replace")).hexdigest()


def address_subject(address: str) -> str:
    sender = subject_of_address(address)
    return hashlib.sha256(b"address:" + sender.encode(errors="replace")).hexdigest()


def begin_attempt(connection: Connection, account: str, address: str, failures_max: int, window_seconds: float) -> None:
    """Count an attempt on the account (H1); raises TooManyAttempts when there is no attempt left.

    The transaction may write nothing else that has to last (H4).
    """
    without_waiting = func.set_config("synchronous_commit", "off", True)  # H4
    connection.execute(select(without_waiting, func.pg_advisory_xact_lock(LOCK_SPACE, func.hashtext(account))))
    window = _window(window_seconds)
    connection.execute(
        delete(LoginFailure).where(LoginFailure.subject == account, LoginFailure.at < func.now() - window)
    )
    for subject, allowed in ((account, failures_max), (address, failures_max * ADDRESS_FACTOR)):
        _refuse_beyond(connection, subject, allowed, window_seconds)
    connection.execute(insert(LoginFailure).values(subject=account))
    _sweep(connection, window)


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


def forget_attempts(connection: Connection, account: str) -> None:
    """The right password ends the account's count."""
    mine = select(LoginFailure.id).where(LoginFailure.subject == account).with_for_update(skip_locked=True)
    connection.execute(delete(LoginFailure).where(LoginFailure.id.in_(mine)))


def _sweep(connection: Connection, window: dt.timedelta) -> None:
    """Each attempt takes the oldest two rows along if they count no more: subjects that never come again leave none."""
    oldest = select(LoginFailure.id).order_by(LoginFailure.id).limit(2).with_for_update(skip_locked=True)
    connection.execute(delete(LoginFailure).where(LoginFailure.id.in_(oldest), LoginFailure.at < func.now() - window))


def _refuse_beyond(connection: Connection, subject: str, allowed: int, window_seconds: float) -> None:
    """Raise when the ``allowed``-th youngest attempt still lies in the window; it says when there is room again."""
    window = _window(window_seconds)
    seconds_left = connection.scalar(
        select(func.extract("epoch", LoginFailure.at + window - func.now()))
        .where(LoginFailure.subject == subject, LoginFailure.at > func.now() - window)
        .order_by(LoginFailure.at.desc())
        .offset(allowed - 1)
        .limit(1)
    )
    if seconds_left is not None:
        wait_seconds = max(1, math.ceil(seconds_left))
        raise TooManyAttempts(wait_seconds, Standing(QUOTA, allowed, math.ceil(window_seconds), 0, wait_seconds))


def _window(seconds: float) -> dt.timedelta:
    return dt.timedelta(seconds=seconds)
