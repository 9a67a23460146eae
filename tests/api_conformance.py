"""What schemathesis needs to know of the shop beyond its description, for the tests and for `schemathesis run` alike.

G1  Every call that needs a session gets a living one of a customer with a card, for some calls end the session, delete
    the account or remove the card.
G2  Requests meant to be good are made good where JSON Schema has no words for a rule: a card's check digit and the
    length of its security code, an e-mail address that is free, a password that nobody guesses first, a product that is
    named once in an order, a key that is new.
G3  Two deviations are known, and only these are let through: JSON Schema calls 1.0 an integer, the shop refuses it and
    must name the field; the load balancer refuses a GET or DELETE that has a body, whatever its path. Everything else
    that schemathesis finds is a mistake of ours.

`schemathesis.toml` loads this module; it talks HTTP only, so that it works against any running shop.
"""

import threading
import uuid
from collections.abc import Mapping
from typing import Any

import requests
import schemathesis
from schemathesis.openapi.checks import RejectedPositiveData, UnsupportedMethodResponse
from stdnum import luhn

PASSWORD = "correct horse battery"
CARD = {"number": "4242424242424242", "expiry": "12/39", "holder": "Ada Lovelace"}
PASSWORD_LENGTH_MAX = 256  # letters of four bytes make 1,024 of it, the most that is taken
SECONDS_MAX = 30.0
ENDING = {"delete_session", "delete_me", "delete_card"}
LONG_CODE_PREFIXES = ("34", "37")  # American Express

_customers = threading.local()


def new_email() -> str:
    return f"{uuid.uuid4().hex[:12]}@example.org"


class Customer:
    """A new account with a card, signed in over HTTP."""

    def __init__(self, address: str) -> None:
        self._calls = address.rstrip("/") + "/api/v1"
        account = {"email": new_email(), "password": PASSWORD}
        self._ask("POST", "/customers", account | {"first_name": "Ada", "last_name": "Lovelace"})
        self.token = str(self._ask("POST", "/session", account)["token"])
        self._ask("PUT", "/me/card", CARD)

    def _ask(self, method: str, path: str, body: Mapping[str, str]) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} if hasattr(self, "token") else {}
        answer = requests.request(method, self._calls + path, json=body, headers=headers, timeout=SECONDS_MAX)
        answer.raise_for_status()
        return answer.json()


@schemathesis.auth(refresh_interval=None)
class Session:
    """G1."""

    def get(self, case: Any, context: Any) -> str:
        address = case.operation.schema.get_base_url()
        if getattr(_customers, "known", (None, None))[0] != address:
            _customers.known = (address, Customer(address))
        return str(_customers.known[1].token)

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    """The next call gets another customer where this one may have lost its session or its card (G1)."""
    name = case.operation.definition.raw["operationId"]
    if response.status_code < 300 and (name in ENDING or (name == "change_me" and case.body)):
        _customers.known = (None, None)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """G2."""
    name = case.operation.definition.raw["operationId"]
    is_good = case.meta is not None and case.meta.generation.mode.is_positive
    if name == "place_order" and "Idempotency-Key" in (case.headers or {}) and is_good:
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
    if not is_good or not isinstance(case.body, dict):
        return
    if name == "create_customer":
        case.body["email"] = new_email()
    if name in {"create_customer", "change_me"} and "password" in case.body:
        case.body["password"] = (uuid.uuid4().hex + case.body["password"])[:PASSWORD_LENGTH_MAX]
    if name == "put_card":
        case.body |= _mended_card(case.body)
    elif name == "change_me" and "current_password" in case.body:
        case.body["current_password"] = PASSWORD
    elif name == "place_order" and isinstance(case.body.get("lines"), list):
        case.body["lines"] = list({line["stock_id"]: line for line in case.body["lines"]}.values())


def _mended_card(body: Mapping[str, str]) -> dict[str, str]:
    digits = body["number"].replace(" ", "").replace("-", "")
    mended = {"number": body["number"][:-1] + luhn.calc_check_digit(digits[:-1])}
    if "security_code" in body:
        mended["security_code"] = body["security_code"][:3]
        if digits.startswith(LONG_CODE_PREFIXES):
            mended["security_code"] += "0"
    return mended


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """G3: False for the known deviations."""
    if isinstance(failure, RejectedPositiveData):
        return not refuses_fractions_only(case.body, response)
    return not (isinstance(failure, UnsupportedMethodResponse) and is_refused_body(response))


def is_refused_body(response: Any) -> bool:
    sent = response.request
    made_by = response.headers.get("x-served-by", [""])[0]
    is_refusal = (response.status_code, made_by) == (400, "load_balancer")
    return is_refusal and sent.method in {"GET", "DELETE"} and bool(sent.body)


def refuses_fractions_only(body: Any, response: Any) -> bool:
    """Whether every mistake that the answer names is a whole number written with a fraction."""
    if response.status_code != 422:
        return False
    errors = response.json().get("errors", [])
    return bool(errors) and all(_is_whole_float(_at(body, error["field"])) for error in errors)


def _is_whole_float(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def _at(body: Any, path: str) -> Any:
    for part in path.split("."):
        body = body[int(part)] if isinstance(body, list) else body.get(part) if isinstance(body, dict) else None
    return body
