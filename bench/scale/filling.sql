-- A shop that has been selling for a year, made of sets: every row that a purchase and its events would have left is there, so
-- that the checker's arithmetic holds (counters, totals, charges, answers), and nothing else is.
-- Values: makers, stock_rows, goods (products; some are made by two), customers, orders, months (the last one is open and half
-- over; its events are still in the outbox, those of all others were pruned), units (supplied of each stock row).
-- A step ends with the line "-- ;".

INSERT INTO calendar (id, epoch, month_seconds) VALUES (1, now() - {months} * interval '30 days' + interval '15 days', 2592000);
INSERT INTO month (number, state, reason, gathering_at, opened_at, closing_at, closed_at, told_at, ends_at)
SELECT n, CASE WHEN n < {months} THEN 'closed' ELSE 'open' END, CASE WHEN n < {months} THEN 'time_over' END,
       epoch + (n - 1) * interval '30 days', epoch + (n - 1) * interval '30 days',
       CASE WHEN n < {months} THEN epoch + n * interval '30 days' END,
       CASE WHEN n < {months} THEN epoch + n * interval '30 days' END,
       CASE WHEN n < {months} THEN epoch + n * interval '30 days' END, epoch + n * interval '30 days'
FROM generate_series(1, {months}) AS n, calendar;
INSERT INTO pruned (kind, up_to) SELECT 'outbox', gathering_at + interval '1 second' FROM month WHERE number = {months};
-- ;
INSERT INTO manufacturer (code, name) SELECT 'works-' || n, 'Works number ' || n FROM generate_series(1, {makers}) AS n;
INSERT INTO product (sku) SELECT 'GOOD-' || lpad(n::text, 7, '0') FROM generate_series(1, {goods}) AS n;
-- ;
-- What each order bought, before anything else knows of it: order, stock row, units, price. Strides that are prime to the
-- number of rows spread orders over goods and customers evenly, yet apart from one another.
CREATE TEMP TABLE bought AS
SELECT n AS order_id, 1 + (n * 7919 + line * 104729) % {stock_rows} AS stock_id, 1 + (n + line) % 2 AS quantity,
       100 + (1 + (n * 7919 + line * 104729) % {stock_rows}) * 7919 % 9000 AS price_minor
FROM generate_series(1, {orders}::bigint) AS n, generate_series(0, 1) AS line
WHERE line = 0 OR (n % 3 = 0 AND (104729 % {stock_rows}) <> 0);
ANALYZE bought;
-- ;
INSERT INTO stock (product_id, manufacturer_id, name, price_minor, currency, supplied, sold, words)
SELECT product_id, manufacturer_id, name, price_minor, 'GBP', {units}, coalesce(total.sold, 0),
       good_words(name, 'GOOD-' || lpad(product_id::text, 7, '0'))
FROM (
SELECT n, 1 + (n - 1) % {goods} AS product_id, 1 + (n + (n - 1) / {goods}) % {makers} AS manufacturer_id,
       (ARRAY['Red', 'Blue', 'Large', 'Small', 'Vintage', 'Wooden', 'Glass', 'Garden'])[1 + n % 8] || ' ' ||
       (ARRAY['lantern', 'kettle', 'teapot', 'clock', 'chair', 'basket', 'candle', 'mirror'])[1 + n / 8 % 8] || ' no ' || n
       AS name, 100 + n * 7919 % 9000 AS price_minor
FROM generate_series(1, {stock_rows}::bigint) AS n) AS made
LEFT JOIN (SELECT stock_id, sum(quantity) AS sold FROM bought GROUP BY stock_id) AS total ON total.stock_id = n
ORDER BY n;
INSERT INTO supply (manufacturer_id, month, content_sha256, accepted_at)
SELECT id, 1, repeat('0', 64), now() FROM manufacturer;
INSERT INTO supply_line (supply_id, stock_id, quantity)
SELECT supply.id, stock.id, {units} FROM stock JOIN supply ON supply.manufacturer_id = stock.manufacturer_id
ORDER BY supply.id, stock.id;
-- ;
INSERT INTO customer (email, email_canonical, first_name, last_name, card_token, card_brand, card_last4, card_expiry)
SELECT 'customer' || n || '@example.org', 'customer' || n || '@example.org', 'Customer', 'Number ' || n,
       'tok_' || n, 'visa', '4242', '2099-12'
FROM generate_series(1, {customers}) AS n;
INSERT INTO customer_session (token_sha256, customer_id, expires_at)
SELECT encode(sha256(convert_to('session ' || n, 'UTF8')), 'hex'), n, now() + interval '1 year'
FROM generate_series(1, {customers}, 10) AS n;
INSERT INTO cart_line (customer_id, stock_id, quantity, price_minor_seen)
SELECT n, stock.id, 1, stock.price_minor
FROM generate_series(1, {customers}, 20) AS n JOIN stock ON stock.id = 1 + n::bigint * 31 % {stock_rows};
-- ;
INSERT INTO orders (id, customer_id, idempotency_key, month, total_minor, currency, strategy, created_at)
SELECT order_id, 1 + order_id * 7879 % {customers}, 'order-' || order_id, 1 + floor(months_before), total_minor, 'GBP',
       'conditional_update', calendar.epoch + months_before * interval '30 days'
FROM calendar, (
    SELECT order_id, sum(quantity * price_minor) AS total_minor, ({months} - 0.5) * (order_id - 0.5) / {orders} AS months_before
    FROM bought GROUP BY order_id
) AS made
ORDER BY order_id;
SELECT setval('orders_id_seq', {orders});
-- ;
INSERT INTO order_line (order_id, stock_id, quantity, price_minor) SELECT * FROM bought ORDER BY order_id, stock_id;
-- ;
INSERT INTO charge (order_id, amount_minor, currency, card_token, card_brand, card_last4, at)
SELECT id, total_minor, currency, 'tok_' || customer_id, 'visa', '4242', created_at FROM orders ORDER BY id;
-- ;
INSERT INTO idempotency_key (customer_id, key, request_sha256, status, answer, created_at)
SELECT orders.customer_id, orders.idempotency_key, repeat('0', 64), 201,
       jsonb_build_object('id', orders.id, 'status', 'confirmed', 'month', orders.month,
                          'total', jsonb_build_object('amount', orders.total_minor, 'currency', orders.currency)),
       orders.created_at
FROM orders ORDER BY orders.id;
-- ;
INSERT INTO outbox (event_id, type, manufacturer, body, created_at, published_at)
SELECT gen_random_uuid(), 'sale.recorded', manufacturer.code,
       jsonb_build_object('order_id', orders.id, 'month', orders.month, 'recorded_at', orders.created_at, 'lines', jsonb_agg(
           jsonb_build_object('sku', product.sku, 'quantity', line.quantity, 'price_minor', line.price_minor,
                              'currency', orders.currency))),
       orders.created_at, orders.created_at + interval '1 second'
FROM orders JOIN order_line AS line ON line.order_id = orders.id JOIN stock ON stock.id = line.stock_id
JOIN product ON product.id = stock.product_id JOIN manufacturer ON manufacturer.id = stock.manufacturer_id
WHERE orders.created_at >= (SELECT up_to FROM pruned WHERE kind = 'outbox')
GROUP BY orders.id, manufacturer.code ORDER BY orders.id;
-- ;
