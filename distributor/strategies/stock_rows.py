"""What all strategies read of a stock row, and how rows become results. No strategy's locking is hidden here."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Connection, Executable, any_, bindparam, func, select

from distributor.database import send, with_commit
from distributor.errors import ShortLine
from distributor.strategies.contract import Line, Short, Taken, TakenLine
from distributor.tables import Manufacturer, Product, Stock

AVAILABLE = Stock.supplied - Stock.withdrawn - Stock.sold
IDS = bindparam("ids", type_=ARRAY(BigInteger))
QUANTITIES = bindparam("quantities", type_=ARRAY(BigInteger))
WANTED = func.unnest(IDS, QUANTITIES).table_valued("stock_id", "quantity", name="wanted").render_derived()
"""The basket's lines as a table; ``ids`` and ``quantities`` are its columns."""

FACTS = (
    select(
        Stock.id,
        Stock.name,
        Stock.price_minor,
        Stock.currency,
        Stock.sold,
        AVAILABLE.label("available"),
        Product.sku,
        Manufacturer.code,
        Manufacturer.name.label("manufacturer_name"),
    )
    .join(Product, Product.id == Stock.product_id)
    .join(Manufacturer, Manufacturer.id == Stock.manufacturer_id)
    .where(Stock.id == any_(IDS))
    .order_by(Stock.id)
)
"""Facts of the rows ``ids``, in id order, without any lock."""

_ADD_TO_SOLD = """
    UPDATE stock SET sold = stock.sold + wanted.quantity
    FROM unnest(%(ids)s::bigint[], %(quantities)s::bigint[]) AS wanted (stock_id, quantity)
    WHERE stock.id = wanted.stock_id
"""


def ids_of(lines: Sequence[Line]) -> dict[str, list[int]]:
    return {"ids": [line.stock_id for line in lines]}


def columns_of(lines: Sequence[Line]) -> dict[str, list[int]]:
    return {"ids": [line.stock_id for line in lines], "quantities": [line.quantity for line in lines]}


def read(connection: Connection, facts: Executable, lines: Sequence[Line]) -> list[Any]:
    """Rows of a basket by ``facts``, after all that this transaction has written, also for an earlier basket."""
    send(connection)
    return list(connection.execute(facts, ids_of(lines)))


def add_to_sold(connection: Connection, quantities: Mapping[int, int]) -> None:
    """Add units by stock id to the counters, for who holds the rows' locks: one statement locks in no particular order.

    It has no answer that anybody reads, so it travels with COMMIT, and the locks are held for one round trip less.
    """
    values = {"ids": list(quantities), "quantities": list(quantities.values())}
    with_commit(connection, (_ADD_TO_SOLD, values))


def quantities_of(lines: Sequence[Line]) -> dict[int, int]:
    """Units by stock id."""
    return {line.stock_id: line.quantity for line in lines}


def short_lines(lines: Sequence[Line], rows: Mapping[int, Any]) -> tuple[ShortLine, ...]:
    """Every line that cannot be had, not only the first; a row that does not exist has 0 available."""
    available = {stock_id: int(row.available) for stock_id, row in rows.items()}
    return tuple(
        ShortLine(line.stock_id, line.quantity, available.get(line.stock_id, 0))
        for line in lines
        if line.quantity > available.get(line.stock_id, 0)
    )


def judge(lines: Sequence[Line], rows: Sequence[Any]) -> Taken | Short:
    """What taking these lines from these rows, as they were read, comes to."""
    by_id = {row.id: row for row in rows}
    short = short_lines(lines, by_id)
    if short:
        return Short(short)
    return Taken(
        tuple(
            taken_line(line, by_id[line.stock_id], left=by_id[line.stock_id].available - line.quantity)
            for line in lines
        )
    )


def taken_line(line: Line, row: Any, *, left: int) -> TakenLine:
    """The facts of one line at this moment; ``left``: units available after the purchase."""
    return TakenLine(
        stock_id=line.stock_id,
        quantity=line.quantity,
        price_minor=row.price_minor,
        currency=row.currency,
        manufacturer=row.code,
        manufacturer_name=row.manufacturer_name,
        sku=row.sku,
        name=row.name,
        left=left,
    )
