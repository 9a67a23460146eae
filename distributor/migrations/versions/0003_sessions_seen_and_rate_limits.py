"""When and by what a session was used, and quotas that all instances share."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "customer_session",
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
    )
    op.add_column("customer_session", sa.Column("browser", sa.String(length=20), nullable=True))
    op.add_column("customer_session", sa.Column("system", sa.String(length=20), nullable=True))
    op.create_table(
        "rate_limit",
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("whole_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subject"),
    )
    op.create_index("rate_limit_whole", "rate_limit", ["whole_at"], unique=False)
