"""Fresh quantities for open pages: asked for every few seconds by each of them, so this must cost next to nothing."""

import hashlib
import json
import re
from functools import lru_cache
from typing import NamedTuple

from flask import request
from flask_login import current_user
from werkzeug.wrappers import Response

from customers.errors import InvalidInput
from customers.instance import customer, instance
from customers.languages import gettext as _
from customers.numbers import ROW_ID
from customers.window.stock_watch import Ids, Quantities
from distributor.queries import Quantity

STOCK_IDS_MAX = 100  # products on one page, and a few
CONTENT_TYPE = "application/json"
TAG_DIGITS = 20  # 80 bits
CACHE_CONTROL = "no-cache"  # kept by the browser, and asked about each time

LISTS_KEPT = 2_000  # open pages, whose lists come again and again; about 5 KB each with what was told of them last

_STOCK_IDS = re.compile(f"{ROW_ID}(?:,{ROW_ID}){{0,{STOCK_IDS_MAX - 1}}}")


def show_stock() -> Response:
    """The quantities of the products on an open page; an unchanged answer has no body."""
    given = request.args.getlist("ids")
    ids = read_ids(given[0]) if len(given) == 1 else None
    if ids is None:
        raise InvalidInput.of("ids", _("give 1 to %(maximum)s numbers with commas between them", maximum=STOCK_IDS_MAX))
    shop = instance().shop
    # who asks is looked up only where it matters: open pages ask often
    if shop.carts_hold and current_user.is_authenticated:
        own = shop.quantities(ids, customer().id)
        found: Quantities = tuple(own.get(stock_id) for stock_id in ids)
    else:
        found = shop.window.stock.quantities(ids)
    tag, body = told(ids, found)
    response = Response(body, content_type=CONTENT_TYPE, headers={"Cache-Control": CACHE_CONTROL})
    response.set_etag(tag, weak=True)
    return response.make_conditional(request)


@lru_cache(maxsize=LISTS_KEPT)
def read_ids(text: str) -> Ids | None:
    """None for text that is no list of ids."""
    return tuple(map(int, text.split(","))) if _STOCK_IDS.fullmatch(text) else None


class Told(NamedTuple):
    """An answer: its validator (without ``W/`` and quotes) and its body."""

    tag: str
    body: bytes


@lru_cache(maxsize=LISTS_KEPT)
def told(ids: Ids, found: Quantities) -> Told:
    """The same for the same quantities, on every instance and after a restart too."""
    known = {stock_id: quantity for stock_id, quantity in zip(ids, found, strict=True) if quantity is not None}
    return Told(_tag_of(known), _body_of(known))


def _body_of(known: dict[int, Quantity]) -> bytes:
    available = {stock_id: quantity.available for stock_id, quantity in known.items()}
    in_other_carts = {stock_id: quantity.in_other_carts for stock_id, quantity in known.items()}
    both = {"available": available, "in_other_carts": in_other_carts}
    return json.dumps(both, separators=(",", ":")).encode()


def _tag_of(known: dict[int, Quantity]) -> str:
    numbers = [*known]
    for quantity in known.values():
        numbers += quantity
    return hashlib.sha256(repr(numbers).encode()).hexdigest()[:TAG_DIGITS]
