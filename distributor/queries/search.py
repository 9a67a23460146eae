"""Search: which goods a reader's words mean. PostgreSQL's full text, without a dictionary of any language.

A search is the words that its letters and digits make; ASCII punctuation parts words and means nothing by itself. Every
word must begin a word of the good's name or of its sku, in any case and order. Words without any letter or digit are
ignored; a search that has no other words finds nothing.

The words of each good lie in `stock.words`, those of name and sku together, made by the database's own `good_words`, so that
a row has them whoever made it. Punctuation is taken out there as it is here: PostgreSQL's parser never sees what it would take
for an address, a path or a number with a sign. No sale changes them.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, String, bindparam, func, literal_column

from distributor.tables import Stock
from distributor.words import SEPARATORS

WORDS_MAX = 8  # of a search; more do not make it narrower in practice
WORD_LENGTH_MAX = 100  # PostgreSQL refuses words of 2 KB; no name has one of 100 characters

_PARTED = str.maketrans(dict.fromkeys(SEPARATORS, " "))


def words_of(q: str) -> tuple[str, ...]:
    """The words of a search that can mean something, at most ``WORDS_MAX``."""
    words = (word for word in q.translate(_PARTED).split() if any(letter.isalnum() for letter in word))
    return tuple(word[:WORD_LENGTH_MAX] for word, _ in zip(words, range(WORDS_MAX), strict=False))


def query_of(words: Sequence[str]) -> str:
    """All of the words, each the beginning of one, in the notation of tsquery; a word has neither quotes nor backslashes."""
    return " & ".join(f"'{word}':*" for word in words)


def matches() -> ColumnElement[bool]:
    """Whether a stock row has the words of the parameter ``words`` (`query_of`).

    They are written into the statement, so that PostgreSQL plans for these very words: whether to walk through the list until
    the page is full, or to look up the few that match, differs from one search to the next.
    """
    words = bindparam("words", type_=String, literal_execute=True)
    return Stock.words.op("@@")(func.to_tsquery(literal_column("'simple'::regconfig"), words))
