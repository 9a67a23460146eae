"""Offers: units leave the stock when an offer is made, and come back only when it is released (L1, L3, L4).

    (none) --freeze--> offered --accept--> accepted
                          \\--release, when a later month is asked for--> released

Every function here is a step inside the caller's transaction: without it, two requests would both offer the same units
(the race test runs the steps bare to show it).
"""

import hashlib
import json
import sqlite3
from typing import Any


class OfferRefused(Exception):
    """The offer that was asked for, or accepted, is not to be had (any more); nothing was changed. Definite."""


def freeze(connection: sqlite3.Connection, manufacturer: dict[str, str], month: int, at: str) -> tuple[str, bool]:
    """The offer's content, and whether it was made just now. Asked again, the same offer comes again, to the byte."""
    known = connection.execute("SELECT state, content FROM offer WHERE month = ?", (month,)).fetchone()
    if known:
        state, content = known
        if state == "released":
            msg = f"the offer of month {month} was released: it was not accepted before a later month was asked for"
            raise OfferRefused(msg)
        return content, False
    (newest,) = connection.execute("SELECT max(month) FROM offer").fetchone()
    if newest is not None and newest > month:
        msg = f"month {month} is past: an offer of month {newest} was made already"
        raise OfferRefused(msg)
    release_open(connection)
    rows = in_stock(connection)
    content = offer_content(manufacturer, month, rows)
    put_on_offer(connection, month, content, rows, at)
    return content, True


def release_open(connection: sqlite3.Connection) -> None:
    """Take the units of the offer that nobody accepted back into stock."""
    connection.execute(
        "UPDATE product SET in_stock = in_stock + line.quantity FROM offer_line AS line JOIN offer USING (month)"
        " WHERE offer.state = 'offered' AND line.sku = product.sku"
    )
    connection.execute("UPDATE offer SET state = 'released' WHERE state = 'offered'")


def in_stock(connection: sqlite3.Connection) -> list[tuple[str, str, int, int, str]]:
    """(sku, name, quantity, price, currency) of all that lies in stock, by sku."""
    return connection.execute(
        "SELECT sku, name, in_stock, price_minor, currency FROM product WHERE in_stock > 0 ORDER BY sku"
    ).fetchall()


def put_on_offer(
    connection: sqlite3.Connection, month: int, content: str, rows: list[tuple[str, str, int, int, str]], at: str
) -> None:
    """Record the offer and move its units out of the stock."""
    connection.execute(
        "INSERT INTO offer (month, state, content, content_sha256, at) VALUES (?, 'offered', ?, ?, ?)",
        (month, content, content_hash(content), at),
    )
    connection.executemany(
        "INSERT INTO offer_line (month, sku, quantity, price_minor) VALUES (?, ?, ?, ?)",
        [(month, sku, quantity, price) for sku, _name, quantity, price, _currency in rows],
    )
    connection.execute(
        "UPDATE product SET in_stock = in_stock - line.quantity FROM offer_line AS line"
        " WHERE line.month = ? AND line.sku = product.sku",
        (month,),
    )


def accept(connection: sqlite3.Connection, month: int, sha256: str) -> None:
    """Mark the offer accepted; again and again is the same as once. Only who has read the offer knows its hash."""
    known = connection.execute("SELECT state, content_sha256 FROM offer WHERE month = ?", (month,)).fetchone()
    if known is None:
        msg = f"there is no offer of month {month}"
        raise OfferRefused(msg)
    state, frozen_sha256 = known
    if state == "released":
        msg = f"the offer of month {month} was released: it was not accepted before a later month was asked for"
        raise OfferRefused(msg)
    if sha256 != frozen_sha256:
        msg = f"content_sha256 is not the hash of the offer of month {month}"
        raise OfferRefused(msg)
    if state == "offered":
        connection.execute("UPDATE offer SET state = 'accepted' WHERE month = ?", (month,))


def item(sku: str, name: str, quantity: int, price_minor: int, currency: str) -> dict[str, Any]:
    """One good as the API shows it."""
    return {"sku": sku, "name": name, "quantity": quantity, "price": {"amount": price_minor, "currency": currency}}


def offer_content(manufacturer: dict[str, str], month: int, rows: list[tuple[str, str, int, int, str]]) -> str:
    """The text that is kept and sent; ASCII, so that its bytes do not depend on anybody's encoding."""
    content = {"manufacturer": manufacturer, "month": month, "items": [item(*row) for row in rows]}
    return json.dumps(content, separators=(",", ":"))


def content_hash(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()
