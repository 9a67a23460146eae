"""Supplies in the database: booked once, added to stock, accepted or taken back.

S1  One transaction books one manufacturer's offer whole; a crash leaves all of it or nothing.
S2  One supply a manufacturer and month (unique). The same content again changes nothing; another content is a conflict.
S3  Booking only adds to ``supplied`` and taking back only adds to ``withdrawn``: sales in the meantime are never undone.
S4  Stock rows are locked in id order, as purchases do, so that the two cannot deadlock.
S5  Booking holds the month's row (shared), so none slips in once the month is closing. This stops a paused gatherer
    that wakes up later, too.
S6  At most what is available is taken back, however much the manufacturer claims.
S7  What customers hold in their carts is taken back last, and then the holds are cut to what is left: the goods are not
    ours, so nobody can be kept waiting for them (decision 15).
S8  Rows that customers buy from are locked for the last statement and COMMIT only, however long the offer is (decision 47).

Called by rounds.py, in threads. Lock order: month, supply, product, cart lines (S7), stock; a name in a transaction of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, text

from distributor import holds
from distributor.database import copy_in
from distributor.errors import DistributorError
from distributor.gather.feed import Offer, canonical_name

NAMES_LOCK = 0x4344_5305  # beside distributor.months.gate.SALES_GATE
BOOKING_TIMEOUT_MS = 60_000
"""Of one statement: 10,000 offers are many rows. The wait for a lock is bounded as everywhere. Chosen: a hundred times what they
take on two cores."""


class MonthOver(DistributorError):
    """The month takes no more supplies."""


class OfferChanged(DistributorError):
    """Another offer of the same manufacturer was booked for this month before."""


class NameTaken(DistributorError):
    """Another manufacturer has a name that cannot be told apart from this one."""


@dataclass(frozen=True)
class Unsettled:
    """A supply that was booked, while its manufacturer may not know yet that we took it."""

    supply_id: int
    month: int
    content_sha256: str
    empty: bool


@dataclass(frozen=True)
class Task:
    """What is left to do with one manufacturer: first settle, then ask for the month's offer."""

    code: str
    unsettled: tuple[Unsettled, ...]
    ask: bool
    was_absent: bool
    """It gave no usable answer in the last month before in which it had its turn."""


_TASKS = text(
    """
    SELECT manufacturer.code, supply.id AS supply_id, supply.month, supply.content_sha256,
           NOT EXISTS (SELECT FROM supply_line WHERE supply_line.supply_id = supply.id) AS empty,
           CAST(:month AS integer) IS NOT NULL AND NOT EXISTS (
               SELECT FROM supply AS booked WHERE booked.manufacturer_id = manufacturer.id AND booked.month = :month
           ) AS ask,
           coalesce((
               SELECT earlier.outcome IN ('unavailable', 'timeout') FROM gather_attempt AS earlier
               WHERE earlier.manufacturer_id = manufacturer.id AND earlier.month < :month
               ORDER BY earlier.month DESC LIMIT 1
           ), false) AS was_absent
    FROM manufacturer LEFT JOIN supply
      ON supply.manufacturer_id = manufacturer.id AND supply.accepted_at IS NULL AND supply.refused_at IS NULL
    WHERE manufacturer.code = ANY(:codes)
    ORDER BY manufacturer.id, supply.month
    """
)


def tasks(connection: Connection, codes: Sequence[str], month: int | None) -> list[Task]:
    """What is left to do, for ``month`` or, where it is None, only for earlier supplies; who was absent comes last."""
    found: dict[str, Task] = {}
    for row in connection.execute(_TASKS, {"codes": list(codes), "month": month}):
        before = found.get(row.code, Task(row.code, (), row.ask, row.was_absent))
        new = () if row.supply_id is None else (Unsettled(row.supply_id, row.month, row.content_sha256, row.empty),)
        found[row.code] = replace(before, unsettled=before.unsettled + new)
    left = [task for task in found.values() if task.ask or task.unsettled]
    return sorted(left, key=lambda task: task.was_absent)


_MONTH = text("SELECT state FROM month WHERE number = :month FOR SHARE")

_MANUFACTURER = text("SELECT id FROM manufacturer WHERE code = :code")

_SUPPLY = text(
    """
    INSERT INTO supply (manufacturer_id, month, content_sha256) VALUES (:manufacturer_id, :month, :content_sha256)
    ON CONFLICT ON CONSTRAINT supply_manufacturer_month DO NOTHING RETURNING id
    """
)

_BOOKED = text("SELECT id, content_sha256 FROM supply WHERE manufacturer_id = :manufacturer_id AND month = :month")

_OFFERED = text(
    "CREATE TEMPORARY TABLE offered (sku text, name text, price_minor bigint, quantity bigint) ON COMMIT DROP"
)
_FILL_OFFERED = "COPY offered FROM STDIN"

# What this manufacturer has had before: nobody else makes rows of its while its supply is being booked (S2).
_KNOWN = text(
    """
    CREATE TEMPORARY TABLE known ON COMMIT DROP AS
    SELECT stock.id AS stock_id, offered.*
    FROM offered JOIN product ON product.sku = offered.sku
    JOIN stock ON stock.product_id = product.id AND stock.manufacturer_id = :manufacturer_id
    """
)

# In sku order, so that two gatherers that bring the same new skus wait for one another instead of deadlocking.
_PRODUCTS = text(
    """
    INSERT INTO product (sku)
    SELECT offered.sku FROM offered WHERE NOT EXISTS (SELECT FROM product WHERE product.sku = offered.sku)
    ORDER BY offered.sku
    ON CONFLICT (sku) DO NOTHING
    """
)

# With their units and words at once: a row that is made and then changed would be written twice, with all its indexes.
# By name, as two of these indexes and the catalogue's pages are: neighbours there are neighbours in the table, too.
_NEW_ROWS = text(
    """
    WITH made AS (
        INSERT INTO stock (product_id, manufacturer_id, name, price_minor, currency, supplied, words)
        SELECT product.id, :manufacturer_id, offered.name, offered.price_minor, :currency, offered.quantity,
               good_words(offered.name, offered.sku)
        FROM offered JOIN product ON product.sku = offered.sku
        WHERE NOT EXISTS (SELECT FROM known WHERE known.sku = offered.sku)
        ORDER BY offered.name
        RETURNING id, supplied
    )
    INSERT INTO supply_line (supply_id, stock_id, quantity) SELECT :supply_id, id, supplied FROM made ORDER BY id
    """
)

_KNOWN_LINES = text(
    """
    INSERT INTO supply_line (supply_id, stock_id, quantity)
    SELECT :supply_id, stock_id, quantity FROM known ORDER BY stock_id
    """
)

# The rows are locked in order first (S4): an UPDATE of many takes them in whatever order its plan visits them.
_ADD = text(
    """
    WITH locked AS (
        SELECT stock.id, known.name, known.price_minor, known.quantity
        FROM known JOIN stock ON stock.id = known.stock_id
        ORDER BY stock.id FOR NO KEY UPDATE OF stock
    )
    UPDATE stock SET supplied = stock.supplied + locked.quantity, name = locked.name,
                     price_minor = locked.price_minor, currency = :currency
    FROM locked WHERE stock.id = locked.id
    """
)


def book(connection: Connection, offer: Offer) -> Unsettled:
    """Add the offer to stock, once (S2), within the caller's transaction; raises MonthOver or OfferChanged."""
    if connection.scalar(_MONTH, {"month": offer.month}) not in ("gathering", "open"):
        raise MonthOver
    manufacturer_id: int = connection.execute(_MANUFACTURER, {"code": offer.manufacturer_code}).scalar_one()
    key = {"manufacturer_id": manufacturer_id, "month": offer.month}
    supply_id = connection.scalar(_SUPPLY, {**key, "content_sha256": offer.content_sha256})
    if supply_id is None:
        booked = connection.execute(_BOOKED, key).one()
        if booked.content_sha256 != offer.content_sha256:
            raise OfferChanged
        return Unsettled(booked.id, offer.month, offer.content_sha256, not offer.items)
    if offer.items:
        _add_to_stock(connection, offer, manufacturer_id, supply_id)
    return Unsettled(supply_id, offer.month, offer.content_sha256, not offer.items)


def _add_to_stock(connection: Connection, offer: Offer, manufacturer_id: int, supply_id: int) -> None:
    """In an order by which the rows that customers buy from are locked last, and for one statement and COMMIT only (S8)."""
    connection.execute(text("SELECT set_config('statement_timeout', :ms, true)"), {"ms": str(BOOKING_TIMEOUT_MS)})
    connection.execute(_OFFERED)
    copy_in(connection, _FILL_OFFERED, ((item.sku, item.name, item.price_minor, item.quantity) for item in offer.items))
    values = {"manufacturer_id": manufacturer_id, "supply_id": supply_id, "currency": offer.items[0].currency}
    known = connection.execute(_KNOWN, values).rowcount
    if known < len(offer.items):
        connection.execute(_PRODUCTS)
        connection.execute(_NEW_ROWS, values)
    if known:
        connection.execute(_KNOWN_LINES, values)
        connection.execute(_ADD, values)


def rename(connection: Connection, code: str, name: str) -> None:
    """Know a manufacturer by the name that it gives itself; raises NameTaken and changes nothing then.

    One renames at a time, so that two cannot take the same name at once: in a transaction of its own, which is short.
    """
    known = "SELECT name FROM manufacturer WHERE code = :code"
    if connection.scalar(text(known), {"code": code}) == name:
        return
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": NAMES_LOCK})
    others = connection.execute(text("SELECT code, name FROM manufacturer WHERE code <> :code"), {"code": code})
    wanted = canonical_name(name)
    for other in others:
        if wanted in (canonical_name(other.name), canonical_name(other.code)):
            message = f"it cannot be told apart from that of {other.code}"
            raise NameTaken(message)
    connection.execute(text("UPDATE manufacturer SET name = :name WHERE code = :code"), {"code": code, "name": name})


def mark_accepted(connection: Connection, supply_id: int) -> bool:
    """The manufacturer knows that we took the supply."""
    return bool(
        connection.execute(
            text(
                "UPDATE supply SET accepted_at = clock_timestamp()"
                " WHERE id = :supply_id AND accepted_at IS NULL AND refused_at IS NULL"
            ),
            {"supply_id": supply_id},
        ).rowcount
    )


_REFUSED = text(
    """
    UPDATE supply SET refused_at = clock_timestamp()
    WHERE id = :supply_id AND accepted_at IS NULL AND refused_at IS NULL
    """
)

_LOCK_SUPPLIED = text(
    """
    SELECT stock.id FROM stock JOIN supply_line AS line ON line.stock_id = stock.id
    WHERE line.supply_id = :supply_id
    ORDER BY stock.id FOR NO KEY UPDATE OF stock
    """
)

_TAKE_BACK = text(
    """
    WITH taken AS (
        UPDATE supply_line AS line
        SET withdrawn = least(line.quantity, stock.supplied - stock.withdrawn - stock.sold)
        FROM stock WHERE stock.id = line.stock_id AND line.supply_id = :supply_id
        RETURNING line.stock_id, line.withdrawn
    )
    UPDATE stock SET withdrawn = stock.withdrawn + taken.withdrawn FROM taken WHERE stock.id = taken.stock_id
    """
)


_SUPPLIED = text("SELECT stock_id FROM supply_line WHERE supply_id = :supply_id ORDER BY stock_id")


def withdraw(connection: Connection, supply_id: int, *, carts_hold: bool = False) -> bool:
    """Take back what is still there of a supply whose acceptance was refused (S6); False if it was settled meanwhile.

    ``carts_hold``: whether customers' holds are to be looked at (S7).
    """
    if not connection.execute(_REFUSED, {"supply_id": supply_id}).rowcount:
        return False
    stock_ids = connection.scalars(_SUPPLIED, {"supply_id": supply_id}).all() if carts_hold else ()
    if stock_ids:
        holds.lock_holders(connection, stock_ids)
    connection.execute(_LOCK_SUPPLIED, {"supply_id": supply_id})
    connection.execute(_TAKE_BACK, {"supply_id": supply_id})
    if stock_ids:
        holds.cut_to_fit(connection, stock_ids)
    return True


_ATTEMPT = text(
    """
    INSERT INTO gather_attempt (manufacturer_id, month, outcome, reason)
    SELECT id, :month, :outcome, :reason FROM manufacturer WHERE code = :code
    ON CONFLICT (manufacturer_id, month) DO UPDATE
    SET outcome = excluded.outcome, reason = excluded.reason, attempts = gather_attempt.attempts + 1,
        at = clock_timestamp()
    """
)


def record_attempt(connection: Connection, code: str, month: int, outcome: str, reason: str | None) -> None:
    """What became of the last attempt, for people to see."""
    connection.execute(_ATTEMPT, {"code": code, "month": month, "outcome": outcome, "reason": reason})
