"""Checked order lines -> what a run needs: goods with price and demand, customers, baskets in the order of time.

M1  The same code in upper and lower case is one good; the same good twice in a basket is one line.
M2  A good's price is its most frequent price (the lowest of several), for the file's prices vary with the quantity.
M3  A basket without a customer belongs to a guest of its own.
M4  The same file gives the same result, whatever the seed.
"""

import csv
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from scenarios.orders_file import QUANTITY_MAX, LeftOut, OrderLine, OrdersFile, OrdersFileError, Reason

CURRENCY = "GBP"
NAME_CHARACTERS_MAX = 200
BASKET_LINES_MAX = 5_000  # the most that cart.lines_max allows


@dataclass(frozen=True)
class Good:
    sku: str
    name: str
    price_minor: int
    demand: int
    """Units over all baskets."""


@dataclass(frozen=True)
class Basket:
    """What one customer wants at one time. ``customer`` is a position in Import.customers."""

    invoice: str
    customer: int
    at: str
    lines: tuple[tuple[str, int], ...]
    """(sku, quantity), sorted by sku."""


@dataclass(frozen=True)
class Import:
    goods: tuple[Good, ...]
    customers: tuple[str, ...]
    baskets: tuple[Basket, ...]
    left_out: tuple[LeftOut, ...]
    lines_read: int
    lines_merged: int

    def summary(self) -> list[str]:
        """What was taken and what was left out and why, for people."""
        guests = sum(name.startswith("guest ") for name in self.customers)
        units = sum(good.demand for good in self.goods)
        who = f"{len(self.baskets)} baskets of {len(self.customers)} customers ({guests} guests)"
        head = [
            f"{self.lines_read} lines read: {who}, {len(self.goods)} goods, {units} units wanted",
            f"{self.lines_merged} lines named a good that their basket had already; they were merged",
            f"{len(self.left_out)} lines left out:",
        ]
        counted = Counter(line.reason for line in self.left_out)
        return head + [f"  {count:6}  {reason.value}" for reason, count in counted.most_common()]

    @property
    def lines_in_largest_basket(self) -> int:
        return max(len(basket.lines) for basket in self.baskets)


def build(file: OrdersFile) -> Import:
    """Merge, name and price; raises OrdersFileError if no basket is left."""
    taken, left_out, merged = _merge(file.lines)
    if not taken:
        reasons = Counter(line.reason.value for line in (*file.left_out, *left_out)).most_common(3)
        why = "; ".join(f"{count}: {reason}" for reason, count in reasons)
        raise OrdersFileError(f"no basket is left of {file.lines_read} lines" + (f" ({why})" if why else ""))
    names = sorted({customer for _, customer in taken})
    position = {name: index for index, name in enumerate(names)}
    baskets = [
        Basket(invoice, position[customer], first.at.isoformat(), tuple(sorted(quantities.items())))
        for (invoice, customer), (first, quantities) in sorted(taken.items(), key=_by_time)
    ]
    return Import(
        goods=_goods(file, baskets),
        customers=tuple(names),
        baskets=tuple(baskets),
        left_out=tuple(sorted((*file.left_out, *left_out), key=lambda line: line.number)),
        lines_read=file.lines_read,
        lines_merged=merged,
    )


_Taken = dict[tuple[str, str], tuple[OrderLine, dict[str, int]]]


def _by_time(item: tuple[tuple[str, str], tuple[OrderLine, dict[str, int]]]) -> tuple[str, int]:
    first = item[1][0]
    return first.at.isoformat(), first.number


def _merge(lines: tuple[OrderLine, ...]) -> tuple[_Taken, list[LeftOut], int]:
    """Lines -> (invoice, customer) -> its first line and units per sku (M1, M3), what went beyond bounds, merged lines."""
    taken: _Taken = {}
    left_out: list[LeftOut] = []
    merged = 0
    for line in lines:
        identity = (line.invoice, f"customer {line.customer}" if line.customer else f"guest {line.invoice}")
        _, quantities = taken.setdefault(identity, (line, {}))
        known = quantities.get(line.sku)
        wanted = (known or 0) + line.quantity
        if known is None and len(quantities) == BASKET_LINES_MAX:
            left_out.append(LeftOut(line.number, Reason.BASKET_TOO_LARGE, f"{line.invoice},{line.sku}"))
        elif wanted > QUANTITY_MAX:
            left_out.append(LeftOut(line.number, Reason.QUANTITY_TOO_LARGE, f"{line.invoice},{line.sku},{wanted}"))
        else:
            quantities[line.sku] = wanted
            merged += known is not None
    return taken, left_out, merged


def _goods(file: OrdersFile, baskets: list[Basket]) -> tuple[Good, ...]:
    demand: Counter[str] = Counter()
    for basket in baskets:
        demand.update(dict(basket.lines))
    prices: defaultdict[str, Counter[int]] = defaultdict(Counter)
    names: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for line in file.lines:
        prices[line.sku][line.price_minor] += 1
        if line.description:
            names[line.sku][line.description] += 1
    return tuple(
        Good(
            sku=sku,
            name=_name(names[sku], file.descriptions.get(sku, ""), sku),
            price_minor=min(prices[sku], key=lambda price: (-prices[sku][price], price)),  # M2
            demand=demand[sku],
        )
        for sku in sorted(demand)
    )


def _name(own: Counter[str], of_other_lines: str, sku: str) -> str:
    """The most frequent description that has a letter; else one of a line left out; else the code."""
    ranked = sorted(own, key=lambda text: (-own[text], text))
    for text in (*ranked, of_other_lines):
        name = clean_name(text)
        if any(character.isalpha() for character in name):
            return name
    return sku


def clean_name(text: str) -> str:
    """NFC, without control and format characters (bidirectional marks among them), single spaces, bounded."""
    visible = "".join(" " if _invisible(character) else character for character in unicodedata.normalize("NFC", text))
    return unicodedata.normalize("NFC", " ".join(visible.split())[:NAME_CHARACTERS_MAX]).strip()


def _invisible(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def write_left_out(path: Path, left_out: tuple[LeftOut, ...]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("line", "reason", "text"))
        # a leading apostrophe keeps a spreadsheet from reading a field as a formula
        writer.writerows((line.number, line.reason.value, _inert(line.text)) for line in left_out)


def _inert(text: str) -> str:
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
