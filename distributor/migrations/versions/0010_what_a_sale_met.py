"""What a sale met on its way, kept with its order: columns without a default, so no row is written by this.

Called together, not group: purchases that one transaction sold, whatever the strategy.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("queued_us", sa.BigInteger(), nullable=True))
    op.add_column("orders", sa.Column("lock_us", sa.BigInteger(), nullable=True))
    op.add_column("orders", sa.Column("together", sa.Integer(), nullable=True))
    op.add_column("orders", sa.Column("repeats", sa.ARRAY(sa.Text()), nullable=True))
