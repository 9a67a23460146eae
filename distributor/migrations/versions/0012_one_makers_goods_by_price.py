"""One manufacturer's goods by price: they were sorted for each page, or all goods cheaper than the page's were passed over."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("stock_manufacturer_price", "stock", ["manufacturer_id", "price_minor", "name", "id"])
