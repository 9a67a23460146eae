"""What the load balancer may answer by itself to every call: to a request that it passes to no server, or when servers fail.

Told by status: the ``type`` is ``about:blank``, which says no more than the status does (RFC 9457, 4.2.1). What no call that the
description knows can meet (404, 405, 417, 421, 501, 505) is left out. A test holds the rest against the load balancer's words.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from customers.api.examples import REQUEST_ID


@dataclass(frozen=True)
class BalancerAnswer:
    """One status. ``only_to_bodies``: whether only calls that have a body can meet it."""

    status: int
    meaning: str
    advice: str
    only_to_bodies: bool = False

    @property
    def title(self) -> str:
        return HTTPStatus(self.status).phrase

    def example(self) -> dict[str, Any]:
        told = {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.meaning}
        return told | {"request_id": REQUEST_ID}


ANSWERS = (
    BalancerAnswer(400, "The request could not be understood.",
                   "Mend the program; `GET` and `DELETE` must not have a body."),
    BalancerAnswer(408, "The request took too long to arrive.",
                   "Ask again, and send the whole request at once."),
    BalancerAnswer(413, "What was sent is too large. Please send less at once.",
                   "No body needs more than 512 KiB.", only_to_bodies=True),
    BalancerAnswer(414, "The address is too long. Please shorten it, or ask for less at once.",
                   "No call needs more than 2,000 bytes of path and query; 8 KiB are read."),
    BalancerAnswer(429, "There are too many connections from your address. Nothing was done; please try again in a moment.",
                   "Keep connections open and use them again."),
    BalancerAnswer(431, "The request's header is too long. Please send fewer cookies or other fields.",
                   "A call needs its token, a content type and a key, no more; 32 KiB are read."),
    BalancerAnswer(502, "The server failed before it had answered. If you sent something, look first whether it was done.",
                   "Ask again; a purchase under the same key."),
    BalancerAnswer(503, "No server is ready at the moment. Nothing was done; please try again in a moment.",
                   "Ask again after Retry-After seconds."),
    BalancerAnswer(504, "The server did not answer in time. If you sent something, look first whether it was done.",
                   "Ask again; a purchase under the same key."),
)  # fmt: skip


def answers_by_status(*, has_body: bool) -> dict[int, BalancerAnswer]:
    """Those that a call can meet."""
    return {answer.status: answer for answer in ANSWERS if has_body or not answer.only_to_bodies}
