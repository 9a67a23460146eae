"""One transaction of purchases: from their keys to their answers. Knows neither how it is committed nor repeated.

S1  Order: keys, gate, month and cards, carts, stock, everything else. The stock is locked last, so shortest. What is
    written afterwards is left for COMMIT, in the same round trip.
S2  A purchase that cannot be answered in this transaction leaves it: ``TakenOut`` makes the caller roll back, settle
    that purchase by itself and sell the others again. So a batch never mixes one's refusal with another's goods.
S3  When ``sell`` returns, every claimed key has its answer, in the same transaction.
S4  A sale is stored with what it met on its way (`Contention`), which is what its buyer is told: every wait lies before
    the statement that writes it.
S5  Where carts hold goods (``holding``), what was taken is compared with what others hold after the strategy has written
    the stock rows: they are locked then, so no hold can begin behind the comparison (distributor/holds, H4).

Called by committer.py, with one purchase or with several.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from distributor import holds
from distributor.database import send
from distributor.errors import DistributorError, KeyReused, ShopClosed, UnknownCustomer
from distributor.sales import holding, records, rules
from distributor.sales.contention import Contention, Watch
from distributor.sales.holding import Shortage
from distributor.sales.rules import STATUS_SOLD, Answer, Basket, Buyer, Purchase, Refusal, Sale
from distributor.strategies.contract import Short, Strategy, TakenLine

Outcome = Answer | DistributorError
"""What becomes of one purchase: an answer (stored), or an error (definite, nothing stored)."""


class TakenOut(Exception):
    """These purchases cannot stay in this transaction (S2): what is to become of each, by its position."""

    def __init__(self, settled: dict[int, Refusal | Shortage | DistributorError]) -> None:
        super().__init__(f"{len(settled)} purchases leave the transaction")
        self.settled = settled


def sell(
    connection: Connection,
    strategy: Strategy,
    purchases: Sequence[Purchase],
    watch: Watch,
    *,
    new_id: Callable[[], uuid.UUID] = uuid.uuid4,
    carts_hold: bool = False,
) -> list[Outcome]:
    """Outcomes in the order of ``purchases``, whose keys must all differ. Raises TakenOut or what the database raises."""
    with watch.locking():
        opened = records.open_purchases(connection, purchases)
    ours = {index: purchase for index, purchase in enumerate(purchases) if purchase.identity in opened.claimed}
    others = {index: purchase for index, purchase in enumerate(purchases) if index not in ours}
    outcomes = answered_before(connection, others)
    buyers = {index: opened.buyers[index] for index in ours}
    together = len(purchases)
    outcomes.update(
        _sell_claimed(
            connection, strategy, ours, buyers, watch, together=together, new_id=new_id, carts_hold=carts_hold
        )
    )
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
    connection: Connection,
    strategy: Strategy,
    purchases: dict[int, Purchase],
    buyers: dict[int, Buyer],
    watch: Watch,
    *,
    together: int,
    new_id: Callable[[], uuid.UUID],
    carts_hold: bool,
) -> dict[int, Outcome]:
    if not purchases:
        return {}
    baskets = _prepare(connection, strategy, purchases, buyers, carts_hold=carts_hold)
    refused = {
        index: refusal
        for index, basket in baskets.items()
        if (refusal := rules.refusal_before(buyers[index], basket)) is not None
    }
    wanted = {index: basket for index, basket in baskets.items() if index not in refused}
    takings = _take(connection, strategy, wanted, watch, carts_hold=carts_hold)
    refused.update(takings.refused)
    sales = {
        index: rules.sale_of(purchases[index], buyers[index], baskets[index], lines, new_id)
        for index, lines in takings.taken.items()
    }
    holds.use(connection, takings.used)
    met = {index: watch.seen(strategy.name, together, purchases[index].earlier) for index in sales}
    _record(
        connection,
        [(sale, met[index]) for index, sale in sales.items()],
        [(purchases[index], refusal) for index, refusal in refused.items()],
    )
    return {
        **{index: Answer.first(refusal.status, refusal.body) for index, refusal in refused.items()},
        **{index: Answer(STATUS_SOLD, sale.answer, contention=met[index]) for index, sale in sales.items()},
    }


def _prepare(
    connection: Connection,
    strategy: Strategy,
    purchases: dict[int, Purchase],
    buyers: dict[int, Buyer],
    *,
    carts_hold: bool,
) -> dict[int, Basket]:
    """Everything else that is read before stock is touched; a purchase outside an open month leaves the transaction."""
    if strategy.isolation != "READ COMMITTED":
        records.hold_month(connection)
    closed = [index for index, buyer in buyers.items() if buyer.month is None]
    if closed:
        raise TakenOut({index: ShopClosed() for index in closed})
    carts_of = {purchase.customer_id for purchase in purchases.values() if purchase.lines is None}
    if carts_hold:  # goods bought beside the cart use up a hold in it, whose lines are locked before stock (H7)
        beside = {purchase.customer_id for purchase in purchases.values() if purchase.lines is not None}
        if beside:
            records.lock_buyers(connection, beside)
        carts_of |= beside
    carts = records.lock_carts(connection, carts_of) if carts_of else {}
    return {
        index: rules.basket_of(purchase, carts.get(purchase.customer_id, [])) for index, purchase in purchases.items()
    }


@dataclass(frozen=True)
class Takings:
    """By index: lines that were taken, and refusals that changed nothing. ``used``: what holds were for (holding.py)."""

    taken: dict[int, tuple[TakenLine, ...]]
    refused: dict[int, Refusal]
    used: Sequence[holds.Bought] = ()


def _take(
    connection: Connection, strategy: Strategy, baskets: dict[int, Basket], watch: Watch, *, carts_hold: bool
) -> Takings:
    """Take all baskets; a refusal that changed stock raises (S2)."""
    if not baskets:
        return Takings({}, {})
    with watch.locking():
        taken_each = strategy.take(connection, [basket.lines for basket in baskets.values()])
    results = dict(zip(baskets, taken_each, strict=True))
    short = {index: result.lines for index, result in results.items() if isinstance(result, Short)}
    taken = {index: result.lines for index, result in results.items() if not isinstance(result, Short)}
    compared: holding.Comparison | holding.NothingHeld = holding.NothingHeld()
    if carts_hold:
        send(connection)  # the comparison reads what the strategy wrote
        compared = holding.compare(connection, baskets, taken)
    undo: dict[int, Refusal | Shortage | DistributorError] = {}
    for index, lines in taken.items():
        if refusal := rules.refusal_after(baskets[index], lines):
            undo[index] = refusal
    undo.update(compared.crowded_out)
    if strategy.groups_max == 1:  # what it took beside the short lines must be given back
        undo.update({index: compared.why_short(baskets[index], missing) for index, missing in short.items()})
    if undo:
        raise TakenOut(undo)
    refused = {
        index: rules.refusal_short(compared.short_here(baskets[index], missing)) for index, missing in short.items()
    }
    return Takings(taken, refused, compared.used)


def _record(
    connection: Connection, sales: Sequence[tuple[Sale, Contention]], refused: Sequence[tuple[Purchase, Refusal]]
) -> None:
    if sales:
        records.record_sales(connection, sales)
    if refused:
        records.record_refusals(connection, refused)


def refuse(connection: Connection, purchase: Purchase, why: Refusal | Shortage) -> Outcome:
    """Store a refusal whose transaction was rolled back; if the key was answered meanwhile, that answer holds."""
    if not records.claim(connection, purchase):
        return answered_before(connection, {0: purchase})[0]
    refusal = rules.refusal_short(holding.what_is_left(connection, why)) if isinstance(why, Shortage) else why
    records.record_refusals(connection, [(purchase, refusal)])
    return Answer.first(refusal.status, refusal.body)
