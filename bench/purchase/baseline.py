"""What PostgreSQL makes of a purchase's plain statements by itself: pgbench, against the shop's own server."""

import re
import subprocess
import tempfile
from dataclasses import dataclass

import psycopg

from bench.purchase.shop import Shop
from supervisor.postgres import find_binaries

CLIENTS = 16
THREADS = 2
DATABASE = "plain"
_RATE = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)

TABLES = """
    CREATE TABLE stock (id bigint PRIMARY KEY, supplied bigint NOT NULL, sold bigint NOT NULL, CHECK (sold <= supplied));
    CREATE TABLE orders (id bigserial PRIMARY KEY, customer_id bigint NOT NULL, total bigint NOT NULL,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp());
    CREATE TABLE order_line (order_id bigint REFERENCES orders, stock_id bigint REFERENCES stock, quantity bigint NOT NULL,
        price bigint NOT NULL, PRIMARY KEY (order_id, stock_id));
    CREATE TABLE outbox (id bigserial PRIMARY KEY, body jsonb NOT NULL);
    INSERT INTO stock SELECT number, 1000000000, 0 FROM generate_series(1, 1000) AS number;
"""
PURCHASE = r"""
\set stock random(1, :products)
BEGIN;
SELECT supplied - sold FROM stock WHERE id = :stock FOR UPDATE;
UPDATE stock SET sold = sold + 1 WHERE id = :stock;
INSERT INTO orders (customer_id, total) VALUES (:client_id, 100) RETURNING id AS order_id \gset
INSERT INTO order_line VALUES (:order_id, :stock, 1, 100);
INSERT INTO outbox (body) VALUES ('{"order_id": 1, "month": 1, "lines": [{"sku": "A", "quantity": 1, "price_minor": 100}]}');
COMMIT;
"""


@dataclass(frozen=True)
class Baseline:
    """A database of its own on the shop's server."""

    url: str

    def transactions_per_second(self, products: int, seconds: float) -> float:
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
            script.write(PURCHASE)
            script.flush()
            answer = subprocess.run(
                [
                    str(find_binaries() / "pgbench"), "--no-vacuum", f"--file={script.name}", f"--define=products={products}",
                    f"--client={CLIENTS}", f"--jobs={THREADS}", f"--time={round(seconds)}", self.url,
                ],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
        rate = _RATE.search(answer.stdout)
        if rate is None:
            message = f"pgbench printed no rate:\n{answer.stdout}{answer.stderr}"
            raise RuntimeError(message)
        return float(rate[1])


def prepare(shop: Shop) -> Baseline:
    """Make the plain tables. pgbench's default protocol (simple) sends each statement as text, one round trip each."""
    with psycopg.connect(shop.as_superuser("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {DATABASE}")
    url = shop.as_superuser(DATABASE)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLES)
    return Baseline(url)
