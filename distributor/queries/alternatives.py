"""The same good from somebody else: what a customer is offered in place of a line that others were faster with."""

from collections.abc import Sequence

from sqlalchemy import Connection
from sqlalchemy.orm import aliased

from distributor.queries.items import AVAILABLE, Item, item_of, select_items
from distributor.tables import Stock

LOST_MAX = 100  # lines that get offers; a page with more of them would help nobody


def alternatives(connection: Connection, stock_ids: Sequence[int]) -> dict[int, tuple[Item, ...]]:
    """For each of these stock rows: the same product of others that have some, in the same currency, cheapest first."""
    lost = aliased(Stock)
    found = connection.execute(
        select_items(lost.id.label("instead_of"))
        .join(lost, (lost.product_id == Stock.product_id) & (lost.id != Stock.id) & (lost.currency == Stock.currency))
        .where(lost.id.in_(sorted(set(stock_ids))[:LOST_MAX]), AVAILABLE > 0)
        .order_by(Stock.price_minor, Stock.id)
    )
    offers: dict[int, list[Item]] = {}
    for row in found:
        offers.setdefault(row.instead_of, []).append(item_of(row))
    return {stock_id: tuple(items) for stock_id, items in offers.items()}
