"""The words by which a good is found beside it: its name's and its sku's in one column, with statistics and one index.

Half of each page of stock is left free, so that a month's supply, which changes every row of a manufacturer at once, finds
room beside the row that it changes (a HOT update) and writes no index.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_WORDS = r"""
    CREATE FUNCTION good_words(name text, sku text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN to_tsvector('simple'::regconfig,
                       translate(name || ' ' || sku, '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', repeat(' ', 32)))
"""
_SET = """
    CREATE FUNCTION stock_set_words() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.words := good_words(NEW.name, (SELECT sku FROM product WHERE id = NEW.product_id));
        RETURN NEW;
    END $$
"""
_NEW = """
    CREATE TRIGGER stock_words_of_a_new_row BEFORE INSERT ON stock
    FOR EACH ROW WHEN (NEW.words IS NULL) EXECUTE FUNCTION stock_set_words()
"""
_RENAMED = """
    CREATE TRIGGER stock_words_of_another_name BEFORE UPDATE OF name ON stock
    FOR EACH ROW WHEN (NEW.name <> OLD.name) EXECUTE FUNCTION stock_set_words()
"""


def upgrade() -> None:
    op.execute(_WORDS)
    op.execute(_SET)
    op.drop_index("stock_words", table_name="stock")
    op.drop_index("product_words", table_name="product")
    op.add_column("stock", sa.Column("words", postgresql.TSVECTOR(), nullable=True))
    op.execute(
        "UPDATE stock SET words = good_words(stock.name, product.sku) FROM product WHERE product.id = stock.product_id"
    )
    op.create_index("stock_words", "stock", ["words"], unique=False, postgresql_using="gin")
    op.execute(_NEW)
    op.execute(_RENAMED)
    op.execute("ALTER TABLE stock SET (fillfactor = 50)")
