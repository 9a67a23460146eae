"""The words of a good, kept by the database itself: whoever makes a row of stock or renames it, it is found (queries/search.py).

A word is a longest run of letters and digits, in small letters. The goods' side and the side that asks use the one function
``words_in``, so both mean the same. Where a word stands is not kept: nobody asks for phrases, and it would be a third of the row.
PostgreSQL's own parser took three times as long, and parted words that look like a number with an exponent ("2e0bb9").
"""

from typing import Any

from sqlalchemy import DDL, event

FUNCTIONS = (
    """
    CREATE FUNCTION words_in(given text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN array_remove(regexp_split_to_array(lower(given), '[^[:alnum:]]+'), '')
    """,
    """
    CREATE OR REPLACE FUNCTION good_words(name text, sku text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN array_to_tsvector(words_in(name || ' ' || sku))
    """,
    # each of them the beginning of a word; letters and digits need no escape within the quotes
    """
    CREATE FUNCTION words_sought(given text) RETURNS tsquery LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT CAST(string_agg('''' || word || ''':*', ' & ') AS tsquery) FROM unnest(words_in(given)) AS word)
    """,
)

_TRIGGERS = (
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
    for statement in FUNCTIONS + _TRIGGERS:
        event.listen(stock, "after_create", DDL(statement.replace("%", "%%")))  # type: ignore[no-untyped-call]
