"""Passwords: argon2id with bounded concurrency, and the same work for accounts that do not exist.

W1  At most ``concurrency`` hashes run at once in a process, and at most ``waiting_max`` threads wait for their turn:
    a storm of sign-ins never takes the threads that sell.
W2  Checking a password of an unknown account costs one hash too, so that time does not tell which accounts exist.
W3  A password is compared in NFC, otherwise verbatim: no trimming, no cutting, no rule of composition.
"""

import threading
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from customers import metrics
from customers.errors import Overloaded
from customers.languages import gettext as _

LENGTH_MIN = 8  # ASVS 5.0 6.2.1
BYTES_MAX = 1024  # bounds the cost of one hash; ASVS asks to allow at least 64 characters
TURN_SECONDS_MAX = 5.0  # chosen: below the load balancer's patience, above a queue of a hundred hashes


def normalised(password: str) -> str:
    """The password as it is hashed (W3); raises ValueError with a phrase for people."""
    if len(password) > BYTES_MAX:  # before any work on it
        raise ValueError(_too_long())
    text = unicodedata.normalize("NFC", password)
    if len(text) < LENGTH_MIN:
        raise ValueError(_("use at least %(count)s characters", count=LENGTH_MIN))
    if any(unicodedata.category(letter) == "Cs" for letter in text):
        raise ValueError(_("contains half of a surrogate pair, which is no character"))
    if len(text.encode()) > BYTES_MAX:
        raise ValueError(_too_long())
    return text


def _too_long() -> str:
    return _("use at most %(count)s bytes", count=BYTES_MAX)


class Passwords:
    """Hashes and checks; one object a process."""

    def __init__(self, memory_kib: int, iterations: int, concurrency: int, waiting_max: int) -> None:
        self._hasher = PasswordHasher(time_cost=iterations, memory_cost=memory_kib, parallelism=1)
        self._turns = threading.BoundedSemaphore(concurrency)
        self._room = threading.BoundedSemaphore(concurrency + waiting_max)
        self._dummy = self._hasher.hash("the password of no account")

    def hash(self, password: str) -> str:
        """Hash what `normalised` gave; raises Overloaded when too many wait already (W1)."""
        with self._turn():
            return self._hasher.hash(password)

    def matches(self, known: str | None, password: str) -> bool:
        """Whether the password is the account's; ``known`` None means that there is no such account (W2)."""
        try:
            text = normalised(password)
        except ValueError:
            text = ""  # no accepted password is empty; the work is done all the same
        with self._turn():
            try:
                right = self._hasher.verify(known or self._dummy, text)
            except (VerificationError, InvalidHashError):
                return False
        return right and known is not None

    def is_outdated(self, known: str) -> bool:
        """Whether the hash was made with other costs than those configured now."""
        return self._hasher.check_needs_rehash(known)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._room.acquire(blocking=False):
            raise Overloaded
        try:
            if not self._turns.acquire(timeout=TURN_SECONDS_MAX):
                raise Overloaded
            began = time.perf_counter()
            try:
                yield
            finally:
                metrics.password_hashed(time.perf_counter() - began)
                self._turns.release()
        finally:
            self._room.release()
