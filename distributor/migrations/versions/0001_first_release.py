"""Every table of the first release.

Later changes are later files: this one is never edited once it was released.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_months()
    _create_goods()
    _create_supplies()
    _create_customers()
    _create_orders()
    _create_charges_and_answers()
    _create_outbox()


def _create_months() -> None:
    """When the shop sells."""
    op.create_table(
        "calendar",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.DateTime(timezone=True), nullable=False),
        sa.Column("month_seconds", sa.Double(), server_default=sa.text("60"), nullable=False),
        sa.CheckConstraint("id = 1", name="calendar_one_row"),
        sa.CheckConstraint("month_seconds > 0", name="calendar_month_seconds_positive"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "month",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=12), nullable=True),
        sa.Column(
            "gathering_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closing_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("close_requested", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.CheckConstraint("(state IN ('closing', 'closed')) = (reason IS NOT NULL)", name="month_reason_when_closing"),
        sa.CheckConstraint(
            "reason IS NULL OR reason IN ('depleted', 'finished', 'time_over', 'by_hand')", name="month_reason"
        ),
        sa.CheckConstraint("state IN ('gathering', 'open', 'closing', 'closed')", name="month_state"),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index(
        "month_one_current",
        "month",
        [sa.literal_column("(true)")],
        unique=True,
        postgresql_where=sa.text("state <> 'closed'"),
    )


def _create_goods() -> None:
    """Who makes what, and how much of it is there."""
    op.create_table(
        "manufacturer",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("code"),
    )
    op.create_table(
        "product",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("sku", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("sku"),
    )
    op.create_table(
        "stock",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("product_id", sa.BigInteger(), nullable=False),
        sa.Column("manufacturer_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("supplied", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("withdrawn", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("sold", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("price_minor > 0", name="stock_price_positive"),
        sa.CheckConstraint("sold >= 0", name="stock_sold_not_negative"),
        sa.CheckConstraint("supplied - withdrawn - sold >= 0", name="stock_available_not_negative"),
        sa.CheckConstraint("supplied >= 0", name="stock_supplied_not_negative"),
        sa.CheckConstraint("withdrawn >= 0", name="stock_withdrawn_not_negative"),
        sa.ForeignKeyConstraint(["manufacturer_id"], ["manufacturer.id"]),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("product_id", "manufacturer_id", name="stock_product_manufacturer"),
    )
    op.create_index("stock_manufacturer", "stock", ["manufacturer_id"], unique=False)
    op.create_index("stock_name", "stock", ["name", "id"], unique=False)


def _create_supplies() -> None:
    """What came in, and what became of asking for it."""
    op.create_table(
        "supply",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("manufacturer_id", sa.BigInteger(), nullable=False),
        sa.Column("month", sa.Integer(), nullable=False),
        sa.Column("content_sha256", sa.String(length=64), nullable=False),
        sa.Column("booked_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["manufacturer_id"], ["manufacturer.id"]),
        sa.ForeignKeyConstraint(["month"], ["month.number"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("manufacturer_id", "month", name="supply_manufacturer_month"),
    )
    op.create_index(
        "supply_not_accepted",
        "supply",
        ["id"],
        unique=False,
        postgresql_where=sa.text("accepted_at IS NULL AND refused_at IS NULL"),
    )
    op.create_table(
        "supply_line",
        sa.Column("supply_id", sa.BigInteger(), nullable=False),
        sa.Column("stock_id", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("quantity > 0", name="supply_line_quantity_positive"),
        sa.CheckConstraint("withdrawn BETWEEN 0 AND quantity", name="supply_line_withdrawn_bounded"),
        sa.ForeignKeyConstraint(["stock_id"], ["stock.id"]),
        sa.ForeignKeyConstraint(["supply_id"], ["supply.id"]),
        sa.PrimaryKeyConstraint("supply_id", "stock_id"),
    )
    op.create_table(
        "gather_attempt",
        sa.Column("manufacturer_id", sa.BigInteger(), nullable=False),
        sa.Column("month", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.ForeignKeyConstraint(["manufacturer_id"], ["manufacturer.id"]),
        sa.ForeignKeyConstraint(["month"], ["month.number"]),
        sa.PrimaryKeyConstraint("manufacturer_id", "month"),
    )


def _create_customers() -> None:
    """Accounts, and how they sign in."""
    op.create_table(
        "customer",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("email_canonical", sa.String(length=254), nullable=True),
        sa.Column("first_name", sa.String(length=80), nullable=False),
        sa.Column("last_name", sa.String(length=80), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("role", sa.String(length=20), server_default=sa.text("'customer'"), nullable=False),
        sa.Column("card_token", sa.String(length=64), nullable=True),
        sa.Column("card_brand", sa.String(length=20), nullable=True),
        sa.Column("card_last4", sa.String(length=4), nullable=True),
        sa.Column("card_expiry", sa.String(length=7), nullable=True),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("email_canonical", name="customer_email_canonical"),
    )
    op.create_table(
        "customer_session",
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"]),
        sa.PrimaryKeyConstraint("token_sha256"),
    )
    op.create_index("customer_session_customer", "customer_session", ["customer_id"], unique=False)
    op.create_index("customer_session_expiry", "customer_session", ["expires_at"], unique=False)
    op.create_table(
        "login_failure",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("login_failure_subject", "login_failure", ["subject", "at"], unique=False)
    op.create_table(
        "finished_customer",
        sa.Column("month", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"]),
        sa.ForeignKeyConstraint(["month"], ["month.number"]),
        sa.PrimaryKeyConstraint("month", "customer_id"),
    )


def _create_orders() -> None:
    """Carts and sales."""
    op.create_table(
        "cart_line",
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("stock_id", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("price_minor_seen", sa.BigInteger(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("quantity > 0", name="cart_line_quantity_positive"),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"]),
        sa.ForeignKeyConstraint(["stock_id"], ["stock.id"]),
        sa.PrimaryKeyConstraint("customer_id", "stock_id"),
    )
    op.create_table(
        "orders",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("idempotency_key", sa.String(length=200), nullable=False),
        sa.Column("month", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=12), server_default=sa.text("'confirmed'"), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("strategy", sa.String(length=40), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.CheckConstraint("status IN ('confirmed', 'packed', 'shipped', 'delivered')", name="orders_status"),
        sa.CheckConstraint("total_minor > 0", name="orders_total_positive"),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"]),
        sa.ForeignKeyConstraint(["month"], ["month.number"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("customer_id", "idempotency_key", name="orders_customer_key"),
    )
    op.create_index("orders_customer", "orders", ["customer_id", "id"], unique=False)
    op.create_index("orders_month", "orders", ["month"], unique=False)
    op.create_table(
        "order_line",
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("stock_id", sa.BigInteger(), nullable=False),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("quantity > 0", name="order_line_quantity_positive"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"]),
        sa.ForeignKeyConstraint(["stock_id"], ["stock.id"]),
        sa.PrimaryKeyConstraint("order_id", "stock_id"),
    )
    op.create_index("order_line_stock", "order_line", ["stock_id"], unique=False)


def _create_charges_and_answers() -> None:
    """What a sale costs the customer, and what the customer's key was answered."""
    op.create_table(
        "charge",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("card_token", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("order_id", name="charge_order"),
    )
    op.create_table(
        "idempotency_key",
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("request_sha256", sa.String(length=64), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("answer", postgresql.JSONB(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.ForeignKeyConstraint(["customer_id"], ["customer.id"]),
        sa.PrimaryKeyConstraint("customer_id", "key"),
    )


def _create_outbox() -> None:
    """Events on their way to the manufacturers."""
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("manufacturer", sa.String(length=32), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("event_id"),
    )
    op.create_index(
        "outbox_unpublished", "outbox", ["id"], unique=False, postgresql_where=sa.text("published_at IS NULL")
    )
