"""Search: which goods a reader's words mean. PostgreSQL's full text, without a dictionary of any language.

A search is the words that its letters and digits make; ASCII punctuation parts words and means nothing by itself. Every
word must begin a word of the good's name or of its sku, in any case and order. Words without any letter or digit are
ignored; a search that has no other words finds nothing.

Both sides of the comparison go through the same expression, so that PostgreSQL's parser never sees what it would take for
an address, a path or a number with a sign. The indexes are on the names alone, which no sale changes.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, any_, bindparam, func, literal_column, or_, select

from distributor import tables
from distributor.tables import SEPARATORS, Stock, words_in

WORDS_MAX = 8  # of a search; more do not make it narrower in practice
WORD_LENGTH_MAX = 100  # PostgreSQL refuses words of 2 KB; no name has one of 100 characters
SKU_MATCHES_MAX = 10_000  # goods that one word may find by their sku: bounds what a search for "A" costs

_PARTED = str.maketrans(dict.fromkeys(SEPARATORS, " "))


def words_of(q: str) -> tuple[str, ...]:
    """The words of a search that can mean something, at most ``WORDS_MAX``."""
    words = (word for word in q.translate(_PARTED).split() if any(letter.isalnum() for letter in word))
    return tuple(word[:WORD_LENGTH_MAX] for word, _ in zip(words, range(WORDS_MAX), strict=False))


def prefix(word: str) -> str:
    """In the notation of tsquery; a word has neither quotes nor backslashes left."""
    return f"'{word}':*"


def matches(number: int) -> ColumnElement[bool]:
    """Whether a stock row has the word of the parameter ``word_<number>``; one index serves each side of the OR."""
    query = func.to_tsquery(literal_column("'simple'::regconfig"), bindparam(f"word_{number}"))
    by_sku = (
        select(tables.Product.id).where(words_in("product.sku").op("@@")(query)).limit(SKU_MATCHES_MAX)
    ).scalar_subquery()
    return or_(words_in("stock.name").op("@@")(query), Stock.product_id == any_(func.array(by_sku)))


def parameters(words: Sequence[str]) -> dict[str, str]:
    return {f"word_{number}": prefix(word) for number, word in enumerate(words)}
