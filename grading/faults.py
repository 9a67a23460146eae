"""Faults in the middle of a purchase: each must end in the answer that the customer can rely on (P2, P3).

Most are provoked by a trigger on ``stock``, so they strike inside the strategy's own transaction, whatever its SQL is; a
sequence counts them, for it is not rolled back.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Engine, text

from distributor.database import make_engine, transaction
from distributor.sales import Answer, Line
from grading.checks import FAULTS, Check
from grading.crowd import Ground, buy
from grading.relay import Relay
from grading.world import World, make_world
from settings.model import Database

LOCK_TIMEOUT_MS = 300
KILL = "kill"

_PROVOKER = """
    CREATE SEQUENCE IF NOT EXISTS grading_strikes;
    CREATE OR REPLACE FUNCTION grading_strike() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('grading_strikes') > 1 THEN RETURN NEW; END IF;
        IF TG_ARGV[0] = 'kill' THEN
            PERFORM pg_terminate_backend(pg_backend_pid());
            PERFORM pg_sleep(0);
        ELSE
            RAISE EXCEPTION 'provoked while grading' USING ERRCODE = TG_ARGV[0];
        END IF;
        RETURN NEW;
    END $$;
"""


@dataclass(frozen=True)
class Fault:
    """``strike``: an SQLSTATE that the database answers once, or ``kill``. ``ends``: how the purchase must end."""

    name: str
    sentence: str
    strike: str
    ends: str = "201"


STRIKES = (
    Fault("killed", "The connection is killed (pg_terminate_backend) while it writes: sold once all the same.", KILL),
    Fault("deadlock_victim", "PostgreSQL picks it as a deadlock's victim (40P01): repeated, and sold once.", "40P01"),
    Fault("serialization_failure", "A serialization failure (40001): repeated, and sold once.", "40001"),
    Fault(
        "cancelled", "The statement is cancelled (57014): Busy, nothing sold; asked again, sold once.", "57014", "Busy"
    ),
)


def run(ground: Ground) -> None:
    with transaction(ground.engine) as connection:
        connection.exec_driver_sql(_PROVOKER)
    for fault in STRIKES:
        ground.begin(fault.name)
        with _striking(ground.engine, fault.strike):
            _attempt(ground, fault)
    for trial in (lock_timeout, commit_answer_lost):
        ground.begin(trial.__name__)
        trial(ground)


@contextmanager
def _striking(engine: Engine, strike: str) -> Iterator[None]:
    with transaction(engine) as connection:
        connection.execute(text("SELECT setval('grading_strikes', 1, false)"))
        connection.exec_driver_sql(
            "CREATE TRIGGER grading_strike BEFORE UPDATE ON stock FOR EACH ROW "
            f"EXECUTE FUNCTION grading_strike('{strike}')"
        )
    try:
        yield
    finally:
        with transaction(engine) as connection:
            connection.exec_driver_sql("DROP TRIGGER grading_strike ON stock")


def _attempt(ground: Ground, fault: Fault) -> None:
    world = make_world(ground.engine, [5], customers=1)
    sales = ground.sales(attempts_max=6)
    first = _outcome(lambda: buy(sales, world.customers[0], fault.name, Line(world.stock[0], 2)))
    wrong = _ended_as(first, fault.ends)
    if not wrong and fault.ends == "Busy":
        wrong = _sold(ground, world, 0) or _ended_as(
            _outcome(lambda: buy(sales, world.customers[0], fault.name, Line(world.stock[0], 2))), "201"
        )
    _judge(ground, fault.name, fault.sentence, world, wrong)


def _outcome(action: Callable[[], Answer]) -> Any:
    try:
        return action()
    except Exception as error:  # noqa: BLE001 - judged below
        return error


def _ended_as(outcome: Any, expected: str) -> str:
    """Empty if it did."""
    name = str(outcome.status) if isinstance(outcome, Answer) else type(outcome).__name__
    if name == expected:
        return ""
    said = outcome.body if isinstance(outcome, Answer) else str(outcome).partition("\n")[0]
    return f"the purchase ended as {name} ({said!s:.160}), expected {expected}"


def _judge(ground: Ground, name: str, sentence: str, world: World, wrong: str) -> None:
    seen = wrong or ground.books(world.stock) or _sold(ground, world, 2)
    ground.tell(Check(FAULTS, name, sentence, not seen, seen, clause="P2"))


def _sold(ground: Ground, world: World, units: int) -> str:
    """What is wrong, unless so many units of the one row were sold, in one order with one charge (or none)."""
    query = """
        SELECT (SELECT sold FROM stock WHERE id = :stock) AS sold, count(orders.id) AS orders, count(charge.order_id) AS charges
        FROM orders LEFT JOIN charge ON charge.order_id = orders.id WHERE customer_id = :customer
    """
    with transaction(ground.engine) as connection:
        row = connection.execute(text(query), {"stock": world.stock[0], "customer": world.customers[0]}).one()
    orders = 1 if units else 0
    if (row.sold, row.orders, row.charges) == (units, orders, orders):
        return ""
    return f"{row.sold} units sold, {row.orders} orders, {row.charges} charges; expected {units}, {orders}, {orders}"


@contextmanager
def _engine(ground: Ground, port: int | None = None, **waits: int) -> Iterator[Engine]:
    """Another pool on the same database: with other waits, or by way of another port."""
    url = ground.engine.url.set(port=port) if port else ground.engine.url
    database = Database.model_validate(ground.settings.database.model_dump() | waits)
    engine = make_engine(
        url.render_as_string(hide_password=False), database, pool_size=2, application_name="grade fault"
    )
    ground.conduct.watch_engine(engine)
    try:
        yield engine
    finally:
        engine.dispose()


def lock_timeout(ground: Ground) -> None:
    """Somebody else holds the row for longer than anybody waits."""
    world = make_world(ground.engine, [5], customers=1)
    wish = (world.customers[0], "waits", Line(world.stock[0], 2))
    with _engine(ground, lock_timeout_ms=LOCK_TIMEOUT_MS) as engine:
        here = _on(ground, engine)
        with ground.engine.connect() as rival:
            rival.execute(text("SELECT FROM stock WHERE id = :id FOR UPDATE"), {"id": world.stock[0]})
            wrong = _ended_as(_outcome(lambda: buy(here.sales(attempts_max=3), *wish)), "Busy")
        wrong = wrong or _sold(ground, world, 0)
        wrong = wrong or _ended_as(_outcome(lambda: buy(here.sales(attempts_max=3), *wish)), "201")
    sentence = "The row is locked for longer than lock_timeout: Busy, nothing sold; asked again, sold once."
    _judge(ground, lock_timeout.__name__, sentence, world, wrong)


def _on(ground: Ground, engine: Engine) -> Ground:
    return replace(ground, engine=engine)


def commit_answer_lost(ground: Ground) -> None:
    """COMMIT reaches the server, its answer does not reach us."""
    world = make_world(ground.engine, [5], customers=1)
    relay = Relay(ground.engine.url.host or "127.0.0.1", ground.engine.url.port or 5432)
    serving = threading.Thread(target=relay.serve, daemon=True)
    serving.start()
    try:
        with _engine(ground, relay.port) as engine:
            sales = _on(ground, engine).sales(attempts_max=6)
            relay.lose_next_commit()
            outcome = _outcome(lambda: buy(sales, world.customers[0], "lost", Line(world.stock[0], 2)))
            wrong = _ended_as(outcome, "201")
            if not wrong and not relay.lost:
                wrong = "no COMMIT was seen on the way to the database"
    finally:
        relay.close()
    sentence = "The answer to COMMIT is lost: asked again under the same key, sold once."
    _judge(ground, commit_answer_lost.__name__, sentence, world, wrong)
