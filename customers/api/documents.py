"""Values of the distributor as the JSON that models.py describes; plain dicts, for a page has a hundred of them."""

import datetime as dt
from typing import Any

from distributor.queries import Cart, CartLine, Item, Maker, MonthStatus, Order, OrderLine, Page, Product

Document = dict[str, Any]


def product_page(page: Page[Item]) -> Document:
    return _page(page, [product(item) for item in page.items])


def product(item: Item) -> Document:
    return {
        "stock_id": item.stock_id,
        "sku": item.sku,
        "name": item.name,
        "manufacturer": _maker(item.manufacturer),
        "price": _money(item.price_minor, item.currency),
        "available": item.available,
        "in_other_carts": item.in_other_carts,
    }


def product_shown(found: Product) -> Document:
    return product(found.item) | {"others": [product(other) for other in found.others]}


def cart(found: Cart) -> Document:
    totals = [_money(amount, currency) for currency, amount in found.totals_minor.items()]
    return {
        "lines": [_cart_line(line) for line in found.lines],
        "total": totals[0] if len(totals) == 1 else None,
        "can_be_bought": found.can_be_bought,
    }


def order_page(page: Page[Order]) -> Document:
    return _page(page, [order(found) for found in page.items])


def order(found: Order) -> Document:
    return {
        "id": found.id,
        "status": found.status,
        "month": found.month,
        "lines": [_order_line(line, found.currency) for line in found.lines],
        "total": _money(found.total_minor, found.currency),
        "created_at": moment(found.created_at),
    }


def month(found: MonthStatus) -> Document:
    return {
        "number": found.number,
        "state": found.state,
        "reason": found.reason,
        "ends_at": moment(found.ends_at),
        "now": moment(found.now),
    }


def _cart_line(line: CartLine) -> Document:
    return product(line.item) | {
        "quantity": line.quantity,
        "price_seen": _money(line.price_seen_minor, line.item.currency),
        "subtotal": _money(line.subtotal_minor, line.item.currency),
        "held_until": None if line.held_until is None else moment(line.held_until),
        "held": line.held,
        "hold_seconds_left": round(line.hold_seconds_left, 3),
        "can_hold_again": line.can_hold_again,
    }


def _order_line(line: OrderLine, currency: str) -> Document:
    return {
        "stock_id": line.stock_id,
        "sku": line.sku,
        "name": line.name,
        "manufacturer": _maker(line.manufacturer),
        "quantity": line.quantity,
        "price": _money(line.price_minor, currency),
        "subtotal": _money(line.subtotal_minor, currency),
    }


def _page(page: Page[Any], items: list[Document]) -> Document:
    return {"items": items, "page": page.page, "per_page": page.per_page, "total": page.total}


def _maker(maker: Maker) -> Document:
    return {"code": maker.code, "name": maker.name}


def _money(amount: int, currency: str) -> Document:
    return {"amount": amount, "currency": currency}


def moment(value: dt.datetime) -> str:
    """RFC 3339 in UTC."""
    return value.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
