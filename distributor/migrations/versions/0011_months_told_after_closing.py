"""When a closed month's totals were told: after its end now, and no more in the transaction that ends it."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("month", sa.Column("told_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE month SET told_at = closed_at WHERE state = 'closed'")
