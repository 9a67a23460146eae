-- Everything that sales write, in one statement and one round trip: orders, lines, charges, events, answers, and the
-- bought lines leave the carts. One purchase and a batch of them are the same to it. Stock was taken before, by the
-- strategy. Foreign keys among these rows are checked when the statement ends.
-- document is one JSON object of row lists; as arrays of text, escaping the documents cost the client more than all
-- the rest of a purchase (measured: 1.2 of 3 ms for 21 lines).
WITH document AS (
    SELECT %(document)s::jsonb AS rows
), sale AS (
    SELECT given.* FROM document, jsonb_to_recordset(document.rows -> 'sales') AS given (
        order_id bigint, customer_id bigint, key text, month integer, total_minor bigint, currency text,
        request_sha256 text, card_token text, card_brand text, card_last4 text, created_at timestamptz, answer jsonb,
        strategy text, queued_us bigint, lock_us bigint, together integer, repeats text[])
), ordered AS (
    INSERT INTO orders (id, customer_id, idempotency_key, month, total_minor, currency, created_at,
                        strategy, queued_us, lock_us, together, repeats)
    SELECT order_id, customer_id, key, month, total_minor, currency, created_at,
           strategy, queued_us, lock_us, together, repeats FROM sale
), lined AS (
    INSERT INTO order_line (order_id, stock_id, quantity, price_minor)
    SELECT given.* FROM document, jsonb_to_recordset(document.rows -> 'lines') AS given (
        order_id bigint, stock_id bigint, quantity bigint, price_minor bigint)
), charged AS (
    INSERT INTO charge (order_id, amount_minor, currency, card_token, card_brand, card_last4)
    SELECT order_id, total_minor, currency, card_token, card_brand, card_last4 FROM sale
), told AS (
    INSERT INTO outbox (event_id, type, manufacturer, body)
    SELECT given.* FROM document, jsonb_to_recordset(document.rows -> 'events') AS given (
        event_id uuid, type text, manufacturer text, body jsonb)
), emptied AS (
    DELETE FROM cart_line
    USING document, jsonb_to_recordset(document.rows -> 'cart_lines') AS bought (customer_id bigint, stock_id bigint)
    WHERE cart_line.customer_id = bought.customer_id AND cart_line.stock_id = bought.stock_id
)
-- The row is there, claimed by this transaction: this is an UPDATE that finds it by its key, whatever the planner believes
-- of the table. As UPDATE … FROM it read all of it, until the next ANALYZE of a table that grows with every purchase.
INSERT INTO idempotency_key AS known (customer_id, key, request_sha256, status, answer)
SELECT customer_id, key, request_sha256, %(status)s::smallint, answer FROM sale
ON CONFLICT (customer_id, key) DO UPDATE SET status = excluded.status, answer = excluded.answer WHERE known.status = 0
