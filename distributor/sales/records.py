"""All SQL of a purchase but the strategy's. Every function takes many purchases at once, as one round trip.

Q1  ``open_purchases`` comes first. Claiming the key, whoever sends the same key meanwhile waits for the first one's
    transaction, bounded by ``lock_timeout``, and then finds its answer. The unique index is the arbiter, also between
    processes.
Q2  A claimed key has status 0 until the same transaction writes its answer: nobody else ever sees a 0.
Q3  A month sells from its gather on: what is there already, while manufacturers are still asked (decision 9).
Q4  Order of locks in a purchase: key, gate, (for goods beside a cart that holds: customers by id,) cart lines by stock
    id, stock rows by id.
Q5  Round trips: one for key, gate, month and card; what the strategy needs; one for everything that is written and COMMIT.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Connection, Text, bindparam, text

from distributor.database import Statement, trip, with_commit
from distributor.months.gate import ENTER
from distributor.sales.contention import Contention
from distributor.sales.rules import STATUS_SOLD, Answer, Buyer, CartLine, Purchase, Refusal, Sale

_CUSTOMERS = bindparam("customer_ids", type_=ARRAY(BigInteger))
_KEYS = bindparam("keys", type_=ARRAY(Text))

# For the rest of the transaction. A purchase looks rows up by their keys, however many there are: one plan is right for
# every call, and making one for each took a sixth of PostgreSQL's time. Such a plan may be older than most of the rows.
_PLAN_ONCE: Statement = (
    """SELECT set_config('plan_cache_mode', 'force_generic_plan', true) AS plans,
              set_config('enable_seqscan', 'off', true) AS scans""",
    {},
)

_CLAIM = """
    INSERT INTO idempotency_key (customer_id, key, request_sha256, status, answer)
    SELECT request.customer_id, request.key, request.sha256, 0, '{}'
    FROM unnest(%(customer_ids)s::bigint[], %(keys)s::text[], %(hashes)s::text[]) AS request (customer_id, key, sha256)
    JOIN customer ON customer.id = request.customer_id AND customer.deleted_at IS NULL
    ORDER BY request.customer_id, request.key
    ON CONFLICT DO NOTHING
    RETURNING customer_id, key
"""

_STORED = text("""
    SELECT stored.customer_id, stored.key, stored.request_sha256, stored.status, stored.answer
    FROM unnest(:customer_ids, :keys) AS request (customer_id, key)
    JOIN idempotency_key AS stored ON stored.customer_id = request.customer_id AND stored.key = request.key
""").bindparams(_CUSTOMERS, _KEYS)

_BUYERS = """
    SELECT buyer.position, nextval('orders_id_seq') AS order_id, clock_timestamp() AS now,
           (SELECT number FROM month WHERE state IN ('gathering', 'open')) AS month, customer.card_token, customer.card_expiry,
           customer.card_brand, customer.card_last4
    FROM unnest(%(customer_ids)s::bigint[]) WITH ORDINALITY AS buyer (customer_id, position)
    JOIN customer ON customer.id = buyer.customer_id
"""

_HOLD_MONTH = text("SELECT number FROM month WHERE state IN ('gathering', 'open') FOR SHARE")

_CARTS = text("""
    SELECT customer_id, stock_id, quantity, price_minor_seen FROM cart_line
    WHERE customer_id = ANY(:customer_ids) ORDER BY stock_id, customer_id FOR UPDATE
""").bindparams(_CUSTOMERS)

# NO KEY: the keys that their other tabs claim take FOR KEY SHARE on the same rows and need not wait.
_LOCK_BUYERS = text("""
    SELECT FROM customer WHERE id = ANY(:customer_ids) ORDER BY id FOR NO KEY UPDATE
""").bindparams(_CUSTOMERS)

# The row is there: see record_sales.sql.
_ANSWER = """
    INSERT INTO idempotency_key AS known (customer_id, key, request_sha256, status, answer)
    SELECT * FROM jsonb_to_recordset(%(document)s::jsonb)
        AS refused (customer_id bigint, key text, request_sha256 text, status smallint, answer jsonb)
    ON CONFLICT (customer_id, key) DO UPDATE SET status = excluded.status, answer = excluded.answer WHERE known.status = 0
"""

_RECORD_SALES = (Path(__file__).parent / "record_sales.sql").read_text(encoding="utf-8")

Identity = tuple[int, str]


@dataclass(frozen=True)
class Stored:
    """A key's answer, and the request that it answered."""

    request_sha256: str
    answer: Answer


@dataclass(frozen=True)
class Opened:
    """``claimed``: the keys that are ours now; others have an answer already, or no such customer. ``buyers``: by position."""

    claimed: set[Identity]
    buyers: dict[int, Buyer]


def open_purchases(connection: Connection, purchases: Sequence[Purchase]) -> Opened:
    """Claim the keys (Q1), enter the gate, then read the open month, the cards and the clock, and reserve order ids."""
    values = _identities(purchases)
    _, claimed, _, buyers = trip(connection, [_PLAN_ONCE, _claiming(purchases), ENTER, (_BUYERS, values)])
    return Opened(
        {(row.customer_id, row.key) for row in claimed},
        {
            row.position - 1: Buyer(
                row.order_id, row.month, row.now, row.card_token, row.card_expiry, row.card_brand, row.card_last4
            )
            for row in buyers
        },
    )


def claim(connection: Connection, purchase: Purchase) -> bool:
    """Make the key ours (Q1)."""
    (claimed,) = trip(connection, [_claiming([purchase])])
    return bool(claimed)


def _claiming(purchases: Sequence[Purchase]) -> Statement:
    return _CLAIM, {**_identities(purchases), "hashes": [purchase.request_sha256 for purchase in purchases]}


def stored(connection: Connection, purchases: Sequence[Purchase]) -> dict[Identity, Stored]:
    rows = connection.execute(_STORED, _identities(purchases))
    return {
        (row.customer_id, row.key): Stored(row.request_sha256, Answer(row.status, row.answer, replayed=True))
        for row in rows
    }


def hold_month(connection: Connection) -> None:
    """For isolation levels with one snapshot: it is older than the gate, so a month closed since must be a conflict."""
    connection.execute(_HOLD_MONTH)


def lock_buyers(connection: Connection, customer_ids: Iterable[int]) -> None:
    """Hold back other tabs of these customers that put something in their carts (distributor/holds, H7)."""
    connection.execute(_LOCK_BUYERS, {"customer_ids": list(customer_ids)})


def lock_carts(connection: Connection, customer_ids: Iterable[int]) -> dict[int, list[CartLine]]:
    """Each customer's cart, sorted by stock id, locked against a second tab that buys or changes it."""
    carts: dict[int, list[CartLine]] = {customer_id: [] for customer_id in customer_ids}
    for row in connection.execute(_CARTS, {"customer_ids": list(carts)}):
        carts[row.customer_id].append(CartLine(row.stock_id, row.quantity, row.price_minor_seen))
    return carts


def record_refusals(connection: Connection, refused: Sequence[tuple[Purchase, Refusal]]) -> None:
    """Write the answers of claimed keys, with COMMIT."""
    document = [
        {
            "customer_id": purchase.customer_id,
            "key": purchase.key,
            "request_sha256": purchase.request_sha256,
            "status": refusal.status,
            "answer": refusal.body,
        }
        for purchase, refusal in refused
    ]
    with_commit(connection, (_ANSWER, {"document": _json(document)}))


def record_sales(connection: Connection, sold: Sequence[tuple[Sale, Contention]]) -> None:
    """Write orders with what each met, lines, charges, events and answers, with COMMIT; take the bought lines out of carts."""
    sales = [sale for sale, _met in sold]
    document = {
        "sales": [
            {
                "order_id": sale.order_id,
                "customer_id": sale.customer_id,
                "key": sale.key,
                "request_sha256": sale.request_sha256,
                "month": sale.month,
                "total_minor": sale.total_minor,
                "currency": sale.currency,
                "card_token": sale.card_token,
                "card_brand": sale.card_brand,
                "card_last4": sale.card_last4,
                "created_at": sale.created_at,
                "answer": sale.answer,
                "strategy": met.strategy,
                "queued_us": round(met.queued_seconds * 1_000_000),
                "lock_us": round(met.lock_seconds * 1_000_000),
                "together": met.together,
                "repeats": met.repeats or None,
            }
            for sale, met in sold
        ],
        "lines": [
            {
                "order_id": sale.order_id,
                "stock_id": line.stock_id,
                "quantity": line.quantity,
                "price_minor": line.price_minor,
            }
            for sale in sales
            for line in sale.lines
        ],
        "events": [
            {
                "event_id": str(event.event_id),
                "type": event.type,
                "manufacturer": event.manufacturer,
                "body": event.body,
            }
            for sale in sales
            for event in sale.events
        ],
        "cart_lines": [
            {"customer_id": sale.customer_id, "stock_id": line.stock_id}
            for sale in sales
            if sale.from_cart
            for line in sale.lines
        ],
    }
    values = {"status": STATUS_SOLD, "document": _json(document)}
    with_commit(connection, (_RECORD_SALES, values))


def _identities(purchases: Sequence[Purchase]) -> dict[str, Any]:
    return {
        "customer_ids": [purchase.customer_id for purchase in purchases],
        "keys": [purchase.key for purchase in purchases],
    }


def _json(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
