"""The card that an order was charged to, and the way from an order to what its makers were told."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("charge", sa.Column("card_brand", sa.String(length=20), nullable=True))
    op.add_column("charge", sa.Column("card_last4", sa.String(length=4), nullable=True))
    op.create_index(
        "outbox_order",
        "outbox",
        [sa.text("((body ->> 'order_id')::bigint)")],
        unique=False,
        postgresql_where=sa.text("type = 'sale.recorded'"),
    )
