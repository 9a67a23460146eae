"""The goods of a list as cards, each made once and then taken from memory: a list is the same few thousand again and again.

D1  A card depends on what is given here and on nothing else: the good, whether it can be put in a cart, the language. It
    says nothing about its reader, and has no form of its own: its button belongs to the page's form.
D2  At most ``CARDS_KEPT`` are kept; a good whose quantity or price has changed has a new card.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import cast

from flask import current_app
from markupsafe import Markup

from customers.languages import language
from distributor.queries import Item

# About 2 KB each: those of 10,000 goods for most readers. One that is made costs ten times a kept one.
CARDS_KEPT = 12_000


def cards(items: Iterable[Item], can_add: bool) -> Markup:
    code = language()
    return Markup("").join(_card(item, can_add, code) for item in items)


@lru_cache(maxsize=CARDS_KEPT)
def _card(item: Item, can_add: bool, _language: str) -> Markup:
    """``_language`` is the one that the template finds by itself; here it tells the cards apart."""
    macros = current_app.jinja_env.get_template("card.html").module
    return cast("Markup", macros.card(item, can_add))  # type: ignore[attr-defined]  # made by the template
