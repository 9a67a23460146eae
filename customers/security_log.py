"""Who signed in, what changed of an account, what was refused: a line each in the instance's log (ASVS 5.0 16.3).

E1  A line holds words of ours and numbers: the event, the customer's number, the request's (by which the load balancer's
    access log has it, too), the sender. Never an e-mail address, a name, a token, nor anything else that was sent.
E2  ``sender`` is the same for one network address and tells it to nobody who has not the installation's key.
E3  Refusals are bounded, so that a flood of them does not push out of the log what came before it. How many lines were
    left out stands in the next one.
"""

import hashlib
import hmac
import logging
import threading
import time
from collections.abc import Callable
from enum import Enum

from flask import current_app, g, has_request_context, request

from customers.rate_limits.addresses import subject_of_address
from customers.rate_limits.quota import Quota

REFUSALS = Quota("logged-refusals", 300)  # in a minute; chosen: 40 KB, more than a person reads, less than a flood
SENDER_DIGITS = 12  # hexadecimal: 48 bits, enough to tell senders apart


class Event(Enum):
    """What is told; the second value says whether something was refused."""

    SIGNED_UP = "signed-up", False
    SIGNED_IN = "signed-in", False
    SIGNED_OUT = "signed-out", False
    OTHERS_SIGNED_OUT = "others-signed-out", False
    ACCOUNT_CHANGED = "account-changed", False
    CARD_SET = "card-set", False
    CARD_REMOVED = "card-removed", False
    ACCOUNT_DELETED = "account-deleted", False
    DATA_EXPORTED = "data-exported", False
    WRONG_PASSWORD = "wrong-password", True
    ADDRESS_TAKEN = "address-taken", True
    TOO_OFTEN = "too-often", True
    FORGED_FORM = "forged-form", True
    NO_SUCH_SESSION = "no-such-session", True

    def __init__(self, word: str, is_refusal: bool) -> None:
        self.word = word
        self.level = logging.WARNING if is_refusal else logging.INFO


class Bound(logging.Filter):
    """E3. ``now``: a monotonic clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        self._now = now
        self._lock = threading.Lock()
        self._whole_at = now()
        self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        with self._lock:
            now = self._now()
            debt = max(0.0, self._whole_at - now)
            if not REFUSALS.has_room(debt):
                self._left_out += 1
                return False
            self._whole_at = now + debt + REFUSALS.step_seconds
            left_out, self._left_out = self._left_out, 0
        if left_out:
            record.msg += f" left_out={left_out}"
        return True


logger = logging.getLogger(__name__)
logger.addFilter(Bound(time.monotonic))


def note(event: Event, customer_id: int | None = None, **facts: str | int) -> None:
    """One line (E1). ``facts``: words of ours and numbers only; ``customer_id`` None: nobody's, or nobody knows whose."""
    if not logger.isEnabledFor(event.level):
        return
    told: dict[str, str | int] = {"customer": customer_id or "-", **_of_request(), **facts}
    logger.log(event.level, " ".join([event.word, *(f"{name}={value}" for name, value in told.items())]))


def _of_request() -> dict[str, str]:
    if not has_request_context():
        return {}
    return {"request": g.get("request_id", "-"), "sender": _sender(request.remote_addr or "")}


def _sender(address: str) -> str:
    """E2"""
    key = str(current_app.secret_key).encode()
    told = b"sender\n" + subject_of_address(address).encode(errors="replace")
    return hmac.new(key, told, hashlib.sha256).hexdigest()[:SENDER_DIGITS]
