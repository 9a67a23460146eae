-- Everything that sales write, in one statement and one round trip: orders, lines, charges, events, answers, and the
-- bought lines leave the carts. Each sale's rows come as arrays, so that one purchase and a batch of them are the same.
-- Stock was taken before, by the strategy. Foreign keys among these rows are checked when the statement ends.
WITH sale (order_id, customer_id, key, month, total_minor, currency, card_token, created_at, answer) AS (
    SELECT * FROM unnest(
        CAST(:order_ids AS bigint[]), CAST(:customer_ids AS bigint[]), CAST(:keys AS text[]), CAST(:months AS integer[]),
        CAST(:totals AS bigint[]), CAST(:currencies AS text[]), CAST(:card_tokens AS text[]),
        CAST(:created_at AS timestamptz[]), CAST(:answers AS text[]))
), ordered AS (
    INSERT INTO orders (id, customer_id, idempotency_key, month, total_minor, currency, strategy, created_at)
    SELECT order_id, customer_id, key, month, total_minor, currency, :strategy, created_at FROM sale
), lined AS (
    INSERT INTO order_line (order_id, stock_id, quantity, price_minor)
    SELECT * FROM unnest(
        CAST(:line_order_ids AS bigint[]), CAST(:line_stock_ids AS bigint[]), CAST(:line_quantities AS bigint[]),
        CAST(:line_prices AS bigint[]))
), charged AS (
    INSERT INTO charge (order_id, amount_minor, currency, card_token)
    SELECT order_id, total_minor, currency, card_token FROM sale
), told AS (
    INSERT INTO outbox (event_id, type, manufacturer, body)
    SELECT event_id, type, manufacturer, CAST(body AS jsonb) FROM unnest(
        CAST(:event_ids AS uuid[]), CAST(:event_types AS text[]), CAST(:event_manufacturers AS text[]),
        CAST(:event_bodies AS text[])) WITH ORDINALITY AS event (event_id, type, manufacturer, body, position)
    ORDER BY position
), emptied AS (
    DELETE FROM cart_line
    USING unnest(CAST(:cart_customer_ids AS bigint[]), CAST(:cart_stock_ids AS bigint[])) AS bought (customer_id, stock_id)
    WHERE cart_line.customer_id = bought.customer_id AND cart_line.stock_id = bought.stock_id
)
UPDATE idempotency_key SET status = :status, answer = CAST(sale.answer AS jsonb)
FROM sale
WHERE idempotency_key.customer_id = sale.customer_id AND idempotency_key.key = sale.key
