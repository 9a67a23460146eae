"""Everything that the shop knows about a customer, as one JSON document for that customer to keep.

X1  No secret is in it: no password hash, no session token, no stand-in of the card's number.
"""

from typing import Any

from customers.accounts import Customer, Session
from customers.accounts.cards import shown_expiry
from customers.api import documents
from customers.instance import Instance
from customers.query_input import PER_PAGE_MAX, PageWanted
from customers.security_log import Event, note

FILE_NAME = "my-shop-data.json"


def everything(instance: Instance, me: Customer) -> dict[str, Any]:
    facts = instance.accounts.facts_of(me)
    note(Event.DATA_EXPORTED, me.id)
    return {
        "made_at": documents.moment(facts.now),
        "account": {
            "id": me.id,
            "email": me.email,
            "first_name": me.first_name,
            "last_name": me.last_name,
            "language": me.language,
            "role": facts.role,
            "created_at": documents.moment(facts.created_at),
        },
        "card": card(me),
        "sessions": [_session(session) for session in instance.accounts.sessions_of(me)],
        "cart": documents.cart(instance.shop.cart(me.id)),
        "orders": _orders(instance, me.id),
        "finished_months": list(facts.finished_months),
    }


def card(me: Customer) -> dict[str, str | None] | None:
    """What is kept of the card."""
    if me.card_expiry is None:
        return None
    return {"brand": me.card_brand, "last4": me.card_last4, "expiry": shown_expiry(me.card_expiry)}


def _session(session: Session) -> dict[str, Any]:
    return {
        "created_at": documents.moment(session.created_at),
        "last_used_at": documents.moment(session.seen_at),
        "expires_at": documents.moment(session.expires_at),
        "browser": session.browser,
        "system": session.system,
        "is_this_one": session.is_this_one,
    }


def _orders(instance: Instance, customer_id: int) -> list[dict[str, Any]]:
    """All of them, newest first, a page at a time; an order placed meanwhile moves others to the next page, not out."""
    found: dict[int, dict[str, Any]] = {}
    number = 1
    while True:
        page = instance.shop.orders(customer_id, PageWanted(number, PER_PAGE_MAX))
        found |= {order.id: documents.order(order) for order in page.items}
        if number >= page.pages:
            return list(found.values())
        number += 1
