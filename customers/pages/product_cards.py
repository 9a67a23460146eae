"""The goods of a list as cards: each kind of card is made once by its template, with holes, and goods are written into it.

D1  A card depends on what is given here and on nothing else: the good, whether it can be put in a cart, the language. It
    says nothing about its reader, and has no form of its own: its button belongs to the page's form.
D2  What goes into a hole is escaped as the template would do it.
"""

import re
from functools import lru_cache
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from customers.languages import language, macros
from customers.pages import assets, filters
from distributor.queries import Item

BADGES_KEPT = 5_000  # numbers of units that are left, in each language; 300 bytes each
LISTS_KEPT = 100  # 20 KB each

_HOLE = re.compile("\ue000(.*?)\ue001")  # of the private use area: in no text of ours


class _Holes(NamedTuple):
    """What the template shows of a good, with a hole for each."""

    stock_id: str = "\ue000stock_id\ue001"
    picture: str = "\ue000picture\ue001"
    name: str = "\ue000name\ue001"
    maker: str = "\ue000maker\ue001"
    makers: str = "\ue000makers\ue001"
    price: str = "\ue000price\ue001"
    left: str = "\ue000left\ue001"


class _LeftOf(NamedTuple):
    """What the template's badge asks of a good."""

    available: int
    in_other_carts: int
    stock_id: str = _Holes().stock_id


class _This:
    """A list as itself: to compare the goods would cost as much as to write them."""

    __slots__ = ("items",)

    def __init__(self, items: tuple[Item, ...]) -> None:
        self.items = items

    def __hash__(self) -> int:
        return id(self.items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _This) and self.items is other.items


def cards(items: tuple[Item, ...], can_add: bool) -> Markup:
    """One reader's list is the next one's, too, as long as the window shows it (D1)."""
    return _cards(_This(items), can_add, language())


@lru_cache(maxsize=LISTS_KEPT)
def _cards(these: _This, can_add: bool, code: str) -> Markup:
    return Markup("".join([_card(item, can_add, code) for item in these.items]))  # noqa: S704 - D2


def _card(item: Item, can_add: bool, code: str) -> str:
    of_id = {"stock_id": item.stock_id}
    return _stencil(can_add and item.available > 0, item.makers > 1, code) % {
        "stock_id": item.stock_id,
        "picture": assets.picture_address(item.sku, item.good_name),
        "name": escape(item.name),
        "maker": escape(item.manufacturer.name),
        "makers": _others(item.makers - 1, code),
        "price": escape(filters.money(item.price_minor, item.currency)),
        "left": _badge(item.available, item.in_other_carts, code) % of_id,
    }


# The language is the one that the templates find by themselves; here it tells what is kept apart.


@lru_cache
def _stencil(has_button: bool, has_several_makers: bool, _language: str) -> str:
    """To be filled by ``%`` with a value for each hole."""
    return _with_holes(macros("card.html").card(_Holes(), has_button, has_several_makers))


@lru_cache(maxsize=BADGES_KEPT)
def _badge(available: int, in_other_carts: int, _language: str) -> str:
    return _with_holes(macros("parts.html").left(_LeftOf(available, in_other_carts)))


@lru_cache
def _others(number: int, _language: str) -> str:
    return str(macros("card.html").several(number))


def _with_holes(made: Any) -> str:
    return _HOLE.sub(r"%(\1)s", str(made).replace("%", "%%"))
