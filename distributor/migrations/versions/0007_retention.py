"""What has been pruned, and summaries by which old rows are found without reading the others."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pruned",
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("up_to", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rows", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("kind"),
    )
    for table in ("outbox", "idempotency_key"):
        op.create_index(
            f"{table}_created",
            table,
            ["created_at"],
            unique=False,
            postgresql_using="brin",
            postgresql_with={"autosummarize": True},
        )
