"""The checker reads real books: every column that it needs exists in the migrated schema, and reading changes nothing."""

import json
from pathlib import Path

import psycopg

from checker.evidence import DATABASE_TABLES, collect, read


def plain(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://")


ROWS = """
    INSERT INTO month (number, state, ends_at) VALUES (1, 'open', now());
    INSERT INTO manufacturer (id, code, name) VALUES (1, 'm1', 'Lamps & Sons');
    INSERT INTO product (id, sku) VALUES (1, 'LAMP');
    INSERT INTO stock (id, product_id, manufacturer_id, name, price_minor, currency, supplied, sold)
        VALUES (7, 1, 1, 'Lamp', 250, 'GBP', 10, 3);
    INSERT INTO customer (id, email, first_name, last_name, password_hash)
        VALUES (5, 'secret@example.org', 'Secret', 'Person', 'secret-hash');
    INSERT INTO orders (id, customer_id, idempotency_key, month, total_minor, currency, strategy)
        VALUES (1, 5, 'k1', 1, 750, 'GBP', 'row_lock');
    INSERT INTO order_line (order_id, stock_id, quantity, price_minor) VALUES (1, 7, 3, 250);
    INSERT INTO idempotency_key (customer_id, key, request_sha256, status, answer)
        VALUES (5, 'k1', repeat('0', 64), 201, '{"id": 1}'), (5, 'k2', repeat('0', 64), 409, '{"lines": []}');
"""


def test_every_table_is_read_as_it_stands_and_no_personal_data_is_copied(database_url: str, tmp_path: Path) -> None:
    """E1, E3."""
    with psycopg.connect(plain(database_url)) as connection:
        connection.execute(ROWS)
    (tmp_path / "run.json").write_text(json.dumps({"drained": True}))
    (tmp_path / "history.jsonl").write_text("")
    collect(database_url, tmp_path / "no-ledgers", tmp_path)
    evidence = read(tmp_path)
    assert set(evidence.database) == set(DATABASE_TABLES)
    assert evidence.database["stock"] == [
        {
            "id": 7,
            "product_id": 1,
            "manufacturer_id": 1,
            "price_minor": 250,
            "currency": "GBP",
            "supplied": 10,
            "withdrawn": 0,
            "sold": 3,
        }
    ]
    answers = {row["key"]: row["order_id"] for row in evidence.database["idempotency_key"]}
    assert answers == {"k1": 1, "k2": None}
    assert "ecret" not in json.dumps(evidence.database)
    with psycopg.connect(plain(database_url)) as connection:
        assert connection.execute("SELECT sold FROM stock").fetchall() == [(3,)]
