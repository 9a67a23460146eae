"""One transaction of purchases: from their keys to their answers. Knows neither how it is committed nor repeated.

S1  Order: keys, gate, month and cards, carts, stock, everything else. The stock is locked last, so shortest.
S2  A purchase that cannot be answered in this transaction leaves it: ``TakenOut`` makes the caller roll back, settle
    that purchase by itself and sell the others again. So a batch never mixes one's refusal with another's goods.
S3  When ``sell`` returns, every claimed key has its answer, in the same transaction.

Called by committer.py, with one purchase or with several.
"""

import uuid
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from distributor.errors import DistributorError, KeyReused, ShopClosed, UnknownCustomer
from distributor.months.gate import enter
from distributor.sales import records, rules
from distributor.sales.rules import STATUS_SOLD, Answer, Basket, Buyer, Purchase, Refusal, Sale
from distributor.strategies.contract import Short, Strategy, TakenLine

Outcome = Answer | DistributorError
"""What becomes of one purchase: an answer (stored), or an error (definite, nothing stored)."""


class TakenOut(Exception):
    """These purchases cannot stay in this transaction (S2): what is to become of each, by its position."""

    def __init__(self, settled: dict[int, Refusal | DistributorError]) -> None:
        super().__init__(f"{len(settled)} purchases leave the transaction")
        self.settled = settled


def sell(
    connection: Connection,
    strategy: Strategy,
    purchases: Sequence[Purchase],
    new_id: Callable[[], uuid.UUID] = uuid.uuid4,
) -> list[Outcome]:
    """Outcomes in the order of ``purchases``, whose keys must all differ. Raises TakenOut or what the database raises."""
    claimed = records.claim(connection, purchases)
    ours = {index: purchase for index, purchase in enumerate(purchases) if purchase.identity in claimed}
    others = {index: purchase for index, purchase in enumerate(purchases) if index not in ours}
    outcomes = answered_before(connection, others)
    outcomes.update(_sell_claimed(connection, strategy, ours, new_id))
    return [outcomes[index] for index in range(len(purchases))]


def answered_before(connection: Connection, purchases: dict[int, Purchase]) -> dict[int, Outcome]:
    """The stored answers of keys that could not be claimed."""
    if not purchases:
        return {}
    stored = records.stored(connection, list(purchases.values()))
    return {index: _replay(purchase, stored.get(purchase.identity)) for index, purchase in purchases.items()}


def _replay(purchase: Purchase, stored: records.Stored | None) -> Outcome:
    if stored is None:
        return UnknownCustomer()
    return stored.answer if stored.request_sha256 == purchase.request_sha256 else KeyReused()


def _sell_claimed(
    connection: Connection, strategy: Strategy, purchases: dict[int, Purchase], new_id: Callable[[], uuid.UUID]
) -> dict[int, Outcome]:
    if not purchases:
        return {}
    buyers, baskets = _prepare(connection, strategy, purchases)
    refused: dict[int, Refusal] = {}
    for index in purchases:
        refusal = rules.refusal_before(buyers[index], baskets[index])
        if refusal:
            refused[index] = refusal
    wanted = {index: basket for index, basket in baskets.items() if index not in refused}
    taken, short = _take(connection, strategy, wanted)
    refused.update(short)
    sales = {
        index: rules.sale_of(purchases[index], buyers[index], baskets[index], lines, new_id)
        for index, lines in taken.items()
    }
    _record(connection, strategy, sales, [(purchases[index], refusal) for index, refusal in refused.items()])
    return {
        **{index: Answer.first(refusal.status, refusal.body) for index, refusal in refused.items()},
        **{index: Answer.first(STATUS_SOLD, sale.answer) for index, sale in sales.items()},
    }


def _prepare(
    connection: Connection, strategy: Strategy, purchases: dict[int, Purchase]
) -> tuple[dict[int, Buyer], dict[int, Basket]]:
    """Everything that is read before stock is touched; a purchase outside an open month leaves the transaction."""
    enter(connection)
    if strategy.isolation != "READ COMMITTED":
        records.hold_month(connection)
    buyers = dict(zip(purchases, records.buyers(connection, list(purchases.values())), strict=True))
    closed = [index for index, buyer in buyers.items() if buyer.month is None]
    if closed:
        raise TakenOut({index: ShopClosed() for index in closed})
    carts_of = {purchase.customer_id for purchase in purchases.values() if purchase.lines is None}
    carts = records.lock_carts(connection, carts_of) if carts_of else {}
    baskets = {
        index: rules.basket_of(purchase, carts.get(purchase.customer_id, [])) for index, purchase in purchases.items()
    }
    return buyers, baskets


def _take(
    connection: Connection, strategy: Strategy, baskets: dict[int, Basket]
) -> tuple[dict[int, tuple[TakenLine, ...]], dict[int, Refusal]]:
    """The lines that were taken and the refusals that changed nothing; a refusal that changed stock raises (S2)."""
    if not baskets:
        return {}, {}
    results = strategy.take(connection, [basket.lines for basket in baskets.values()])
    taken: dict[int, tuple[TakenLine, ...]] = {}
    refused: dict[int, Refusal] = {}
    undo: dict[int, Refusal | DistributorError] = {}
    for (index, basket), result in zip(baskets.items(), results, strict=True):
        if isinstance(result, Short):
            leaves_a_mess = strategy.groups_max == 1
            (undo if leaves_a_mess else refused)[index] = rules.refusal_short(result.lines)
        elif refusal := rules.refusal_after(basket, result.lines):
            undo[index] = refusal
        else:
            taken[index] = result.lines
    if undo:
        raise TakenOut(undo)
    return taken, refused


def _record(
    connection: Connection, strategy: Strategy, sales: dict[int, Sale], refused: Sequence[tuple[Purchase, Refusal]]
) -> None:
    if sales:
        records.record_sales(connection, list(sales.values()), strategy.name)
    if refused:
        records.record_refusals(connection, refused)


def refuse(connection: Connection, purchase: Purchase, refusal: Refusal) -> Outcome:
    """Store a refusal whose transaction was rolled back; if the key was answered meanwhile, that answer holds."""
    if not records.claim(connection, [purchase]):
        return answered_before(connection, {0: purchase})[0]
    records.record_refusals(connection, [(purchase, refusal)])
    return Answer.first(refusal.status, refusal.body)
