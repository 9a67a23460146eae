"""Goods in a cart that are kept from others for a time."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("stock", sa.Column("holds_made", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("cart_line", sa.Column("held", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
    op.add_column("cart_line", sa.Column("held_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("cart_line", sa.Column("holds_begun", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.create_check_constraint("cart_line_held_bounded", "cart_line", "held BETWEEN 0 AND quantity")
    op.create_check_constraint("cart_line_held_until_a_time", "cart_line", "(held > 0) = (held_until IS NOT NULL)")
    op.create_index("cart_line_held", "cart_line", ["stock_id"], unique=False, postgresql_where=sa.text("held > 0"))
