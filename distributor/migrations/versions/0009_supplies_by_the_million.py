"""References of supplies checked by the statement instead of row by row, and words without PostgreSQL's parser.

What is here was written by the product; each row is looked at once more all the same, as the foreign keys' last act: they
held until this very transaction.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_FUNCTIONS = (
    """
    CREATE FUNCTION words_in(given text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN array_remove(regexp_split_to_array(lower(given), '[^[:alnum:]]+'), '')
    """,
    """
    CREATE OR REPLACE FUNCTION good_words(name text, sku text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN array_to_tsvector(words_in(name || ' ' || sku))
    """,
    """
    CREATE FUNCTION words_sought(given text) RETURNS tsquery LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT CAST(string_agg('''' || word || ''':*', ' & ') AS tsquery) FROM unnest(words_in(given)) AS word)
    """,
    """
    CREATE FUNCTION check_references() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE missing bigint;
    BEGIN
        FOR n IN 0 .. TG_NARGS - 1 BY 2 LOOP
            EXECUTE format('SELECT %1$I FROM written WHERE NOT EXISTS (SELECT FROM %2$I WHERE id = written.%1$I) LIMIT 1',
                           TG_ARGV[n], TG_ARGV[n + 1]) INTO missing;
            IF missing IS NOT NULL THEN
                RAISE foreign_key_violation USING
                    MESSAGE = format('%s.%s: there is no %s %s', TG_TABLE_NAME, TG_ARGV[n], TG_ARGV[n + 1], missing);
            END IF;
        END LOOP;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION check_not_referenced() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE needed bigint;
    BEGIN
        FOR n IN 0 .. TG_NARGS - 1 BY 2 LOOP
            EXECUTE format('LOCK TABLE %I IN SHARE MODE', TG_ARGV[n]);
            EXECUTE format('SELECT id FROM gone WHERE EXISTS (SELECT FROM %I WHERE %I = gone.id) LIMIT 1',
                           TG_ARGV[n], TG_ARGV[n + 1]) INTO needed;
            IF needed IS NOT NULL THEN
                RAISE foreign_key_violation USING
                    MESSAGE = format('%s %s is pointed at by %s.%s', TG_TABLE_NAME, needed, TG_ARGV[n], TG_ARGV[n + 1]);
            END IF;
        END LOOP;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION refuse_another_reference() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE foreign_key_violation USING MESSAGE = format('%s: neither end of a reference may change', TG_TABLE_NAME);
    END $$
    """,
)
_TRIGGERS = (
    """
    CREATE TRIGGER manufacturer_referenced AFTER DELETE ON manufacturer REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION check_not_referenced('stock', 'manufacturer_id')
    """,
    """
    CREATE TRIGGER manufacturer_references_stay BEFORE UPDATE OF id ON manufacturer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_another_reference()
    """,
    """
    CREATE TRIGGER product_referenced AFTER DELETE ON product REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION check_not_referenced('stock', 'product_id')
    """,
    """
    CREATE TRIGGER product_references_stay BEFORE UPDATE OF id ON product
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_another_reference()
    """,
    """
    CREATE TRIGGER stock_references AFTER INSERT ON stock REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION check_references('product_id', 'product', 'manufacturer_id', 'manufacturer')
    """,
    """
    CREATE TRIGGER stock_referenced AFTER DELETE ON stock REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION check_not_referenced('supply_line', 'stock_id')
    """,
    """
    CREATE TRIGGER stock_references_stay BEFORE UPDATE OF id, product_id, manufacturer_id ON stock
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_another_reference()
    """,
    """
    CREATE TRIGGER supply_referenced AFTER DELETE ON supply REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION check_not_referenced('supply_line', 'supply_id')
    """,
    """
    CREATE TRIGGER supply_references_stay BEFORE UPDATE OF id ON supply
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_another_reference()
    """,
    """
    CREATE TRIGGER supply_line_references AFTER INSERT ON supply_line REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION check_references('supply_id', 'supply', 'stock_id', 'stock')
    """,
    """
    CREATE TRIGGER supply_line_references_stay BEFORE UPDATE OF supply_id, stock_id ON supply_line
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_another_reference()
    """,
)


def upgrade() -> None:
    for table, column in (
        ("supply_line", "stock"),
        ("supply_line", "supply"),
        ("stock", "product"),
        ("stock", "manufacturer"),
    ):
        op.drop_constraint(f"{table}_{column}_id_fkey", table, type_="foreignkey")
    for statement in _FUNCTIONS:
        op.execute(statement)
    op.execute(
        "UPDATE stock SET words = good_words(stock.name, product.sku) FROM product WHERE product.id = stock.product_id"
    )
    for statement in _TRIGGERS:
        op.execute(statement)
