"""What can be done with an account; one method an action, one transaction each, hashing always outside of it.

V1  Whatever changes who may sign in (password, address, deletion) ends the account's other sessions in the same transaction.
V2  An answer about an account that exists costs the same work as one about an account that does not, but for sign-up's
    "taken", which the contract wants: how often an address may hear it is limited.
V3  Who was signed in when a request began and is no more when it acts changes nothing (S7 of sessions.py).
"""

import datetime as dt
import hashlib
import logging
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import psycopg
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from customers.accounts import cards, devices, emails, passwords, sessions, store, throttle
from customers.accounts.changes import Changes, Registration
from customers.accounts.clients import UNKNOWN, Client
from customers.accounts.customer import Customer
from customers.errors import (
    EmailTaken,
    FieldError,
    InvalidInput,
    NotSignedIn,
    Overloaded,
    WrongCredentials,
    WrongPassword,
)
from customers.languages import gettext as _
from customers.rate_limits import RateLimits
from customers.security_log import Event, note
from distributor.database import reading, transaction, trip, with_commit
from distributor.errors import DistributorError
from distributor.queries import CustomerStatus
from settings.model import Customers

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Account:
    """What a customer sees of the own account."""

    id: int
    email: str
    first_name: str
    last_name: str


@dataclass(frozen=True)
class Facts:
    """What is kept of an account beside what every request reads."""

    role: str
    created_at: dt.datetime
    finished_months: tuple[int, ...]
    now: dt.datetime


SignedIn = sessions.NewSession
_WORDS = {"email": "email", "password_hash": "password", "first_name": "name", "last_name": "name"}
"""What the security log calls what was changed, by column."""
NO_ADDRESS = " "  # begins what stands for text that is no address; no address begins so


class Accounts:
    """The actions; one object an instance, no state but the pool and the hasher."""

    def __init__(self, engine: Engine, settings: Customers, rate_limits: RateLimits, key: str) -> None:
        """``key``: all instances' own, by which they know each other's marks (devices.py)."""
        self._engine = engine
        self._settings = settings
        self._rate_limits = rate_limits
        self._key = key
        self._lifetimes = sessions.Lifetimes(
            dt.timedelta(hours=settings.session_hours), dt.timedelta(minutes=settings.session_idle_minutes)
        )
        # Three threads of four at most are busy with passwords; the others go on selling.
        waiting_max = max(0, settings.threads * 3 // 4 - settings.password_concurrency)
        self._passwords = passwords.Passwords(
            settings.password_memory_kib, settings.password_iterations, settings.password_concurrency, waiting_max
        )

    def register(self, registration: Registration, address: str) -> Account:
        registration = registration.checked()
        self._rate_limits.require_untaken_room(address)
        password_hash = self._passwords.hash(registration.password)
        with transaction(self._engine) as connection:
            customer_id = store.add(
                connection,
                email=registration.email,
                email_canonical=emails.canonical(registration.email),
                first_name=registration.first_name,
                last_name=registration.last_name,
                password_hash=password_hash,
            )
        if customer_id is None:
            self._tell_taken(address, None)
        note(Event.SIGNED_UP, customer_id)
        return Account(customer_id, registration.email, registration.first_name, registration.last_name)

    def _tell_taken(self, address: str, customer_id: int | None) -> NoReturn:
        """Counted first: whoever asks learns that there is such an account (V2)."""
        note(Event.ADDRESS_TAKEN, customer_id)
        self._rate_limits.count_taken(address)
        raise EmailTaken

    def sign_in(
        self,
        email: str,
        password: str,
        address: str,
        client: Client = UNKNOWN,
        language: str | None = None,
        *,
        mark: str | None = None,
    ) -> SignedIn:
        """A new session; raises WrongCredentials, the same for a wrong password and an unknown account.

        ``language``: what this reader chose before; an account that has none yet takes it over. ``mark``: what this
        browser got from `device_mark` at an earlier sign-in."""
        canonical = _canonical_or_unknown(email)
        device = devices.recognised(self._key, canonical, mark)
        account, origin = throttle.account_subject(canonical, device), throttle.address_subject(address)
        window = self._settings.login_window_seconds
        failures_max = self._settings.login_failures_max
        with transaction(self._engine) as connection:
            asked = store.asking_for_credentials(canonical)
            found = throttle.begin_attempt(connection, account, origin, failures_max, window, asked=asked)
        known = found[0] if found else None
        right = self._matches(account, known.password_hash if known else None, password)
        if known is None or not right:
            with transaction(self._engine) as connection:
                throttle.note_failure(connection, origin, window)
            note(Event.WRONG_PASSWORD, known and known.id)
            raise WrongCredentials
        renewed = self._renewed(known.password_hash, password)
        with transaction(self._engine) as connection:
            session = self._begin_session(connection, known, account, client, language)
            if renewed is not None:
                store.change(connection, known.id, {"password_hash": renewed})
        note(Event.SIGNED_IN, known.id)
        return session

    def device_mark(self, email: str, given: str | None) -> str:
        """For a browser that has just signed in with this address; ``given``: the mark that it had (H5 of throttle.py)."""
        canonical = _canonical_or_unknown(email)
        return devices.mark(self._key, canonical, devices.recognised(self._key, canonical, given))

    def _begin_session(
        self, connection: Connection, known: Any, account: str, client: Client, language: str | None
    ) -> SignedIn:
        """In one trip. ``known``: id and hash as they were when the password was checked."""
        token = secrets.token_urlsafe(sessions.TOKEN_BYTES)
        # before the lock below: two sign-ins that hold it could not both write
        adopting = [] if language is None else [store.adopting_language(known.id, language)]
        *_done, now, _room, started = trip(
            connection,
            [
                throttle.forgetting_attempts(account),
                *adopting,
                store.asking_for_password_hash(known.id, lock=True),
                *sessions.starting(token, known.id, client, self._lifetimes),
            ],
        )
        if not now or now[0].password_hash != known.password_hash:
            raise WrongCredentials  # it was changed, or the account deleted, while we were checking
        with_commit(connection, sessions.SWEEPING)
        return sessions.NewSession(token, started[0].expires_at)

    def customer_of_token(self, token: str) -> tuple[Customer, CustomerStatus] | None:
        """Whose session this is, and what the head of pages says of them now; None for anything that is no living session."""
        sha256 = sessions.token_sha256(token)
        if sha256 is None:
            return None
        with reading(self._engine) as connection:
            found = sessions.find(connection, sha256, self._lifetimes)
        if found is None:
            return None
        if found.is_note_due:
            self._note_use(sha256)
        return found.customer, found.status

    def customers_of_tokens(self, sha256s: Sequence[str]) -> dict[str, int]:
        """Customer ids by token, for requests that came together; who is not named has no living session."""
        with reading(self._engine) as connection:
            found = sessions.holders(connection, sha256s, self._lifetimes)
        due = [sha256 for sha256, holder in found.items() if holder.is_note_due]
        if due:
            self._note_use(*due)
        return {sha256: holder.customer_id for sha256, holder in found.items()}

    def _note_use(self, *sha256s: str) -> None:
        """A note that cannot be written makes a session end early; that is no reason to refuse this request."""
        try:
            with transaction(self._engine) as connection:
                sessions.note_use(connection, sha256s)
        except DistributorError as error:
            logger.warning("the use of a session could not be noted: %s", error)

    def sessions_of(self, customer: Customer) -> list[sessions.Session]:
        with reading(self._engine) as connection:
            return sessions.of_customer(connection, customer.id, customer.token_sha256, self._lifetimes)

    def facts_of(self, customer: Customer) -> Facts:
        with reading(self._engine) as connection:
            months = store.finished_months(connection, customer.id)
            return Facts(**store.facts(connection, customer.id), finished_months=months)

    @contextmanager
    def _acting(self, customer: Customer) -> Iterator[Connection]:
        """A transaction in which the customer changes the own account (V3); raises NotSignedIn."""
        with transaction(self._engine) as connection:
            sessions.require_living(connection, customer)
            yield connection

    def sign_out_others(self, customer: Customer) -> int:
        """Ends all sessions but the one that asks; returns how many there were."""
        with self._acting(customer) as connection:
            ended = sessions.end_all(connection, customer.id, except_sha256=customer.token_sha256)
        note(Event.OTHERS_SIGNED_OUT, customer.id, sessions=ended)
        return ended

    def sign_out_other(self, customer: Customer, handle: str) -> bool:
        """Ends one other session of this customer; whether it was still there."""
        with self._acting(customer) as connection:
            ended = sessions.end_other(connection, customer.id, handle, customer.token_sha256)
        note(Event.OTHERS_SIGNED_OUT, customer.id, sessions=int(ended))
        return ended

    def end_token(self, token: str) -> None:
        """The session that a browser had before it signed in anew, whoever it belonged to."""
        sha256 = sessions.token_sha256(token)
        if sha256 is not None:
            with transaction(self._engine) as connection:
                sessions.end(connection, sha256)

    def choose_language(self, customer: Customer, code: str) -> None:
        with self._acting(customer) as connection:
            store.change(connection, customer.id, {"language": code})

    def sign_out(self, customer: Customer) -> None:
        with transaction(self._engine) as connection:
            sessions.end(connection, customer.token_sha256)
        note(Event.SIGNED_OUT, customer.id)

    def change(self, customer: Customer, changes: Changes, address: str) -> Account:
        values = changes.checked(customer)
        needs_password = "email" in values or "password" in values
        if needs_password:
            self._require_password(customer, changes.current_password, address)
        if "password" in values:
            values["password_hash"] = self._passwords.hash(values.pop("password"))
        if "email" in values:
            self._rate_limits.require_untaken_room(address)
            values["email_canonical"] = emails.canonical(values["email"])
        try:
            with self._acting(customer) as connection:
                if values:
                    _change_account(connection, customer.id, values)
                if needs_password:
                    sessions.end_all(connection, customer.id, except_sha256=customer.token_sha256)
        except EmailTaken:
            self._tell_taken(address, customer.id)
        note(Event.ACCOUNT_CHANGED, customer.id, what=",".join(_changed(values)) or "-")
        return Account(
            customer.id,
            values.get("email", customer.email),
            values.get("first_name", customer.first_name),
            values.get("last_name", customer.last_name),
        )

    def put_card(self, customer: Customer, entry: cards.CardEntry) -> cards.Card:
        card = cards.checked(entry, dt.datetime.now(dt.UTC).date())
        columns = {
            "card_token": card.token,
            "card_brand": card.brand,
            "card_last4": card.last4,
            "card_expiry": card.expiry,
        }
        with self._acting(customer) as connection:
            store.change(connection, customer.id, columns)
        note(Event.CARD_SET, customer.id)
        return card

    def remove_card(self, customer: Customer) -> None:
        nothing = dict.fromkeys(("card_token", "card_brand", "card_last4", "card_expiry"))
        with self._acting(customer) as connection:
            store.change(connection, customer.id, nothing)
        note(Event.CARD_REMOVED, customer.id)

    def delete(self, customer: Customer) -> None:
        """The account and everything personal goes; its orders stay, pointing at nobody."""
        with self._acting(customer) as connection:
            store.anonymise(connection, customer.id)
            sessions.end_all(connection, customer.id)
            throttle.forget_attempts(connection, throttle.account_subject(emails.canonical(customer.email)))
        note(Event.ACCOUNT_DELETED, customer.id)

    def delete_with_password(self, customer: Customer, password: str, address: str) -> None:
        """For the page: what cannot be undone asks for the password first."""
        self._require_password(customer, password, address)
        self.delete(customer)

    def _require_password(self, customer: Customer, password: str | None, address: str) -> None:
        """Counted as sign-ins are, else a stolen session could guess the password without end; but apart (H5 of throttle.py)."""
        if password is None:
            raise InvalidInput.of("current_password", _("write your current password to make this change"))
        account = throttle.account_subject(emails.canonical(customer.email), throttle.SIGNED_IN)
        origin = throttle.address_subject(address)
        window = self._settings.login_window_seconds
        with transaction(self._engine) as connection:
            asked = store.asking_for_password_hash(customer.id)
            failures_max = self._settings.login_failures_max
            known = throttle.begin_attempt(connection, account, origin, failures_max, window, asked=asked)
        if not known or known[0].password_hash is None:
            raise NotSignedIn
        right = self._matches(account, known[0].password_hash, password)
        with transaction(self._engine) as connection:
            if right:
                throttle.forget_attempts(connection, account)
            else:
                throttle.note_failure(connection, origin, window)
        if not right:
            note(Event.WRONG_PASSWORD, customer.id)
            raise WrongPassword([FieldError("current_password", _("is not the password of this account"))])

    def _matches(self, account: str, known: str | None, password: str) -> bool:
        """After `throttle.begin_attempt`; raises Overloaded when too many wait, and the attempt does not count then."""
        try:
            return self._passwords.matches(known, password)
        except Overloaded:
            with transaction(self._engine) as connection:
                throttle.take_back(connection, account)
            raise

    def _renewed(self, password_hash: str, password: str) -> str | None:
        """A hash at today's costs, where the stored one was made with others; at the next sign-in when too many wait now."""
        if not self._passwords.is_outdated(password_hash):
            return None
        try:
            return self._passwords.hash(passwords.normalised(password))
        except Overloaded:
            return None


def _canonical_or_unknown(email: str) -> str:
    """Text that is no address belongs to no account, but is throttled and hashed for like any other."""
    try:
        return emails.canonical(emails.normalised(email))
    except ValueError:
        return NO_ADDRESS + hashlib.sha256(email.encode(errors="replace")).hexdigest()


def _changed(values: Iterable[str]) -> list[str]:
    return sorted({_WORDS[name] for name in values if name in _WORDS})


def _change_account(connection: Connection, customer_id: int, values: dict[str, str]) -> None:
    if "email_canonical" in values and store.is_taken(connection, values["email_canonical"], by_other_than=customer_id):
        raise EmailTaken
    try:
        store.change(connection, customer_id, values)
    except IntegrityError as error:
        if isinstance(error.orig, psycopg.errors.UniqueViolation):
            raise EmailTaken from None
        raise
