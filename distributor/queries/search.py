"""Search: which goods a reader's words mean. PostgreSQL's full text index, without a dictionary of any language.

A search is the words that its letters and digits make; whatever parts them means nothing by itself. Every word must begin a
word of the good's name or of its sku, in any case and order. A search that has no words finds nothing.

The words of each good lie in `stock.words`, those of name and sku together, made by the database's own `good_words`, so that
a row has them whoever made it (distributor/words.py). No sale changes them.
"""

import re

from sqlalchemy import ColumnElement, String, bindparam, func

from distributor.tables import Stock

WORDS_MAX = 8  # of a search; more do not make it narrower in practice
WORD_LENGTH_MAX = 100  # no name has one as long, and PostgreSQL refuses words of 2 KB

_WORD = re.compile(r"[^\W_]+")


def words_of(q: str) -> str:
    """The words of a search, at most ``WORDS_MAX``, with spaces between them; empty if it has none."""
    words = (word[0][:WORD_LENGTH_MAX] for word in _WORD.finditer(q))
    return " ".join(word for word, _ in zip(words, range(WORDS_MAX), strict=False))


def matches() -> ColumnElement[bool]:
    """Whether a stock row has the words of the parameter ``words`` (`words_of`).

    They are written into the statement, so that PostgreSQL plans for these very words: whether to walk through the list until
    the page is full, or to look up the few that match, differs from one search to the next.
    """
    return Stock.words.op("@@")(func.words_sought(bindparam("words", type_=String, literal_execute=True)))
