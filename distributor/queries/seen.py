"""Items as one reader sees them: what others hold in their carts is not available to that reader.

Asked for after the items, so that their own statements stay as they are where carts hold nothing back.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from distributor import holds
from distributor.queries.items import Item


def as_seen_by(connection: Connection, items: Sequence[Item], reader: int | None) -> list[Item]:
    """The same items with what ``reader`` (None: a guest, who holds nothing) can buy of each; one statement.

    Counters and holds are read together here: of an item that its holder buys in this moment, no reader ever sees the
    units as free that are the holder's before and sold after.
    """
    readers = [] if reader is None else [reader]
    standings = holds.standings(connection, [item.stock_id for item in items], readers) if items else {}
    return [_seen(item, standings.get(item.stock_id, holds.NOTHING), reader) for item in items]


def _seen(item: Item, standing: holds.Standing, reader: int | None) -> Item:
    return item._replace(available=standing.left_for(reader), in_other_carts=standing.others(reader))
