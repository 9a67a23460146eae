"""Every order of the catalogue and its search by an index."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_SEPARATORS = "!\"#$%&''()*+,-./:;<=>?@[\\]^_`{|}~"


def upgrade() -> None:
    op.create_index("stock_price", "stock", ["price_minor", "name", "id"], unique=False)
    op.create_index("stock_manufacturer_name", "stock", ["manufacturer_id", "name", "id"], unique=False)
    op.drop_index("stock_manufacturer", table_name="stock")
    op.create_index("stock_words", "stock", [_words_in("name")], unique=False, postgresql_using="gin")
    op.create_index("product_words", "product", [_words_in("sku")], unique=False, postgresql_using="gin")


def _words_in(column: str) -> "sa.ColumnClause[str]":
    return sa.literal_column(f"to_tsvector('simple'::regconfig, translate({column}, '{_SEPARATORS}', repeat(' ', 32)))")
