"""The shop's API as a simulated customer uses it, through the load balancer, on a Locust user's own connection.

S1  A refusal that is part of shopping (409, 402, 503 with Retry-After) never counts as a success or as an error of the
    shop unnoticed: each has a counter of its own; 5xx and lost answers are failures.
S2  Nothing is sent twice by itself: the client's retries are off, whoever asks again decides so in the open.
"""

import datetime as dt
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gevent
from locust.contrib.fasthttp import FAILURE_EXCEPTIONS, FastHttpSession

from scenarios.outcomes import Failure, Reply, cut_off, reply_of, wait_seconds

API = "/api/v1"
EXPECTED = frozenset({200, 201, 204, 402, 409})
PAGE_ITEMS = 100
CARD_NUMBER = "4111111111111111"  # Visa's published test number
CARD_YEARS_AHEAD = 3
REQUEST_SECONDS_MAX = 25.0  # above the load balancer's server_timeout_ms, so that its answer is heard
_HEADERS_READ = ("retry-after", "x-not-dispatched", "x-served-by", "server-timing")


class ShopError(Exception):
    """The shop answered as no shop should, or not at all for too long; the text says what was asked and what came."""


@dataclass
class Account:
    """A simulated customer's account; ``customer_id`` and ``token`` once known."""

    email: str
    password: str
    first_name: str
    last_name: str
    customer_id: int = 0
    token: str = ""


class Shop:
    """One customer's dealings with the shop. One request at a time."""

    def __init__(self, client: FastHttpSession) -> None:
        self._client: Any = client  # half typed

    def call(self, method: str, path: str, name: str, body: object = None, *, token: str = "", key: str = "") -> Reply:
        """One request, counted under ``name``; never raises for what the network or the shop does."""
        headers = {"Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if key:
            headers["Idempotency-Key"] = key
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body, separators=(",", ":")).encode()
        response = self._client.request(
            method, API + path, name=name, data=data, headers=headers, catch_response=True, allow_redirects=False
        )
        with response:
            reply = _reply(response)
            if reply.status in EXPECTED:
                response.success()
            else:
                response.failure(reply.error or f"{reply.status} {reply.problem}".strip())
        return reply

    def call_until_answered(
        self, method: str, path: str, name: str, body: object = None, *, token: str = "", seconds: float = 60.0
    ) -> Reply:
        """Ask again while nobody answers or the shop is busy. Only for what may be done twice. Raises ShopError."""
        deadline = time.monotonic() + seconds
        while True:
            reply = self.call(method, path, name, body, token=token)
            if reply.status is not None and reply.status < 500 and reply.status != 429:
                return reply
            if time.monotonic() >= deadline:
                raise ShopError(f"{method} {path}: no answer within {seconds:.0f} s, at last {_said(reply)}")
            gevent.sleep(wait_seconds(reply))

    # -- account ------------------------------------------------------------------------------------------------

    def sign_up(self, account: Account) -> None:
        """Account, session and card; an account that exists already (a lost answer, a restart) is signed in to."""
        names = {"first_name": account.first_name, "last_name": account.last_name}
        body = {"email": account.email, "password": account.password} | names
        made = self.call_until_answered("POST", "/customers", "POST /customers", body)
        if made.status not in {201, 409}:
            raise ShopError(f"sign-up of {account.email}: {_said(made)}")
        known = made.body.get("id")
        if isinstance(known, int):
            account.customer_id = known
        self.sign_in(account)
        expiry = f"12/{(dt.datetime.now(dt.UTC).year + CARD_YEARS_AHEAD) % 100:02}"
        card = {"number": CARD_NUMBER, "expiry": expiry, "holder": f"{account.first_name} {account.last_name}"}
        reply = self.call_until_answered("PUT", "/me/card", "PUT /me/card", card, token=account.token)
        if reply.status != 200:
            raise ShopError(f"card of {account.email}: {_said(reply)}")

    def sign_in(self, account: Account) -> None:
        """A new session; the token stays in ``account``."""
        credentials = {"email": account.email, "password": account.password}
        reply = self.call_until_answered("POST", "/session", "POST /session", credentials)
        token = reply.body.get("token")
        if reply.status != 200 or not isinstance(token, str):
            raise ShopError(f"sign-in of {account.email}: {_said(reply)}")
        account.token = token
        if not account.customer_id:
            me = self.call_until_answered("GET", "/me", "GET /me", token=token)
            if not isinstance(me.body.get("id"), int):
                raise ShopError(f"account of {account.email}: {_said(me)}")
            account.customer_id = me.body["id"]

    def finished(self, account: Account, seconds: float = 60.0) -> Reply:
        """Say that this customer is done for this month. Between two months there is nothing to say it of."""
        deadline = time.monotonic() + seconds
        while True:
            reply = self.call("POST", "/me/finished", "POST /me/finished", token=account.token)
            if reply.status == 401:
                self.sign_in(account)
            elif reply.problem == "shop-closed" or (reply.status is not None and reply.status < 500):
                return reply
            else:
                gevent.sleep(wait_seconds(reply))
            if time.monotonic() >= deadline:
                raise ShopError(f"POST /me/finished: no answer within {seconds:.0f} s, at last {_said(reply)}")

    def open_month(self) -> int | None:
        """The number of the month that is on sale; None between two months."""
        reply = self.call("GET", "/month", "GET /month")
        number = reply.body.get("number")
        return number if isinstance(number, int) and reply.body.get("state") == "open" else None

    # -- goods --------------------------------------------------------------------------------------------------

    def catalogue(self) -> list[dict[str, Any]]:
        """Everything that is in stock, page by page."""
        found: dict[int, dict[str, Any]] = {}
        page = 1
        while True:
            items = self.page(page)
            known = len(found)
            found |= {item["stock_id"]: item for item in items}
            if len(items) < PAGE_ITEMS or len(found) == known:
                return list(found.values())
            page += 1

    def page(self, number: int, query: str = "") -> list[dict[str, Any]]:
        """One page of the catalogue; an empty list past the last one."""
        path = f"/products?page={number}&per_page={PAGE_ITEMS}{query}"
        reply = self.call_until_answered("GET", path, "GET /products")
        items = reply.body.get("items")
        if reply.status != 200 or not isinstance(items, list):
            raise ShopError(f"GET /products: {_said(reply)}")
        return items

    # -- buying -------------------------------------------------------------------------------------------------

    def order(self, account: Account, key: str, lines: Mapping[int, int] | None) -> Reply:
        """Buy these lines, or the cart (None). Not repeated here: the caller knows the key."""
        body: dict[str, Any] = {}
        if lines is not None:
            body["lines"] = [{"stock_id": stock_id, "quantity": quantity} for stock_id, quantity in lines.items()]
        return self.call("POST", "/orders", "POST /orders", body, token=account.token, key=key)


def _reply(response: Any) -> Reply:
    error = getattr(response, "error", None)
    status = response.status_code
    if not status:
        refused = isinstance(_cause(error), ConnectionRefusedError)
        text = f"{type(error).__name__}: {error}"[:200]
        return Reply(None, failure=Failure.REFUSED if refused else Failure.BROKEN, error=text)
    headers = {name: response.headers[name] for name in _HEADERS_READ if name in response.headers}
    try:
        return reply_of(status, response.content or b"", headers)
    except FAILURE_EXCEPTIONS as lost:
        return cut_off(f"{type(lost).__name__}: {lost}")


def _cause(error: BaseException | None) -> BaseException | None:
    """The error below the client library's own wrapping."""
    original = getattr(error, "original", None)
    return original if isinstance(original, BaseException) else error


def _said(reply: Reply) -> str:
    return reply.error or f"{reply.status} {reply.problem or dict(reply.body)}"[:300]
