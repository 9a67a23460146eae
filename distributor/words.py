"""The words of a good, kept by the database itself: whoever makes a row of stock or renames it, it is found (queries/search.py).

`good_words` takes punctuation out before PostgreSQL's parser sees it; the side that asks does the same with SEPARATORS.
"""

import string
from typing import Any

from sqlalchemy import DDL, event

SEPARATORS = string.punctuation
"""ASCII punctuation parts words and means nothing by itself."""

_STATEMENTS = (
    rf"""
    CREATE FUNCTION good_words(name text, sku text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN to_tsvector('simple'::regconfig,
                       translate(name || ' ' || sku, '{SEPARATORS.replace("'", "''")}', repeat(' ', {len(SEPARATORS)})))
    """,
    """
    CREATE FUNCTION stock_set_words() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.words := good_words(NEW.name, (SELECT sku FROM product WHERE id = NEW.product_id));
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER stock_words_of_a_new_row BEFORE INSERT ON stock
    FOR EACH ROW WHEN (NEW.words IS NULL) EXECUTE FUNCTION stock_set_words()
    """,
    """
    CREATE TRIGGER stock_words_of_another_name BEFORE UPDATE OF name ON stock
    FOR EACH ROW WHEN (NEW.name <> OLD.name) EXECUTE FUNCTION stock_set_words()
    """,
)


def keep_words(stock: Any) -> None:
    """Functions and triggers are made with the table ``stock``, as the migrations make them."""
    for statement in _STATEMENTS:
        event.listen(stock, "after_create", DDL(statement.replace("%", "%%")))  # type: ignore[no-untyped-call]
