"""A web instance as a process: ready, draining, stopped, killed, refused."""

import json
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from customers.__main__ import main
from distributor.migrate import upgrade
from settings import Runtime
from settings.addresses import HOST
from tests.conftest import wait_until
from tests.customers_world import WebProcess, free_port_base, make_runtime, running_web, start_web
from tests.distributor_world import engine_for, make_world

pytestmark = pytest.mark.asks_the_instance("how it starts, drains and ends")
QUICK_CHECKS = {"check_inter_ms": 300, "check_timeout_ms": 200, "check_fall": 2, "drain_seconds": 60.0}


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = engine_for(database_url)
    make_world(engine, [5], customers=0)
    yield engine
    engine.dispose()


@pytest.fixture
def runtime(database_url: str, tmp_path: Path, engine: Engine) -> Runtime:
    return make_runtime(tmp_path, database_url, free_port_base(), load_balancer=QUICK_CHECKS)


def readiness(web: WebProcess) -> tuple[int, object]:
    status, body = web.get("/readyz")
    return status, json.loads(body)["reason"] if body else None


def test_it_is_not_ready_without_its_schema(empty_database_url: str, tmp_path: Path) -> None:
    runtime = make_runtime(tmp_path, empty_database_url, free_port_base())
    web = start_web(runtime)
    try:
        wait_until(lambda: readiness(web)[0] == 503, 20, "it answers")
        assert "schema" in str(readiness(web)[1])
        assert web.get("/healthz")[0] == 200
        assert web.get("/")[0] == 500 or web.get("/")[0] == 503
        upgrade(empty_database_url)
        wait_until(lambda: readiness(web)[0] == 200, 10, "it is ready once the schema is there")
    finally:
        web.end()


def test_it_is_not_ready_without_its_database_and_says_so_at_once(tmp_path: Path) -> None:
    runtime = make_runtime(tmp_path, "postgresql+psycopg://cds:x@127.0.0.1:1/cds", free_port_base())
    web = start_web(runtime)
    try:
        wait_until(lambda: readiness(web)[0] == 503, 20, "it answers")
        assert "database" in str(readiness(web)[1])
        status, page = web.get("/")
        assert status == 503
        assert "Your cart and your orders are as you left them" in page
        assert ">Try again</a>" in page
    finally:
        assert web.end() == 0


def test_it_drains_before_it_stops(runtime: Runtime, engine: Engine) -> None:
    """G1, G2, V3: while a purchase-like request waits for a lock, it tells the load balancer first, then finishes."""
    with running_web(runtime) as web, engine.connect() as holder:
        holder.execute(text("LOCK TABLE stock IN ACCESS EXCLUSIVE MODE"))
        answers: list[int] = []
        shopper = threading.Thread(target=lambda: answers.append(web.get("/api/v1/products", seconds=60)[0]))
        shopper.start()
        wait_until(lambda: waiting_for_a_lock(engine), 10, "the request waits in the database")
        web.process.send_signal(signal.SIGTERM)
        wait_until(lambda: readiness(web) == (503, "draining"), 5, "it says that it drains")
        wait_until(lambda: readiness(web) == (503, "draining"), 5, "it goes on saying so")
        assert web.process.poll() is None
        holder.rollback()
        assert web.process.wait(30) == 0
        shopper.join(30)
        assert answers == [200]


def waiting_for_a_lock(engine: Engine) -> bool:
    with engine.connect() as connection:
        return bool(connection.scalar(text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")))


def test_it_says_how_it_is_also_while_all_threads_wait(runtime: Runtime, engine: Engine) -> None:
    """V2."""
    threads = runtime.settings.customers.threads
    with running_web(runtime) as web, engine.connect() as holder:
        assert web.get("/healthz") == (200, '{"alive":true,"name":"web-1"}\n')
        assert readiness(web) == (200, None)
        status, metrics = web.get("/metrics")
        assert status == 200
        assert 'cds_shop_requests_total{method="GET",route="/readyz",status_class="2xx"}' in metrics
        assert "cds_shop_pool_connections_max 9.0" in metrics
        holder.execute(text("LOCK TABLE stock IN ACCESS EXCLUSIVE MODE"))
        shoppers = [threading.Thread(target=web.get, args=["/api/v1/products"]) for _ in range(threads + 2)]
        for shopper in shoppers:
            shopper.start()
        wait_until(lambda: waiting_for_a_lock(engine), 10, "the requests wait in the database")
        assert web.get("/readyz", seconds=10.0)[0] == 200  # the others wait for the lock until it is given back
        holder.rollback()
        for shopper in shoppers:
            shopper.join(30)


def test_the_second_signal_ends_it_at_once(runtime: Runtime, engine: Engine) -> None:
    with running_web(runtime) as web, engine.connect() as holder:
        holder.execute(text("LOCK TABLE stock IN ACCESS EXCLUSIVE MODE"))
        shopper = threading.Thread(target=web.get, args=["/"])
        shopper.start()
        wait_until(lambda: waiting_for_a_lock(engine), 10, "the request waits in the database")
        web.process.send_signal(signal.SIGINT)
        wait_until(lambda: "draining" in web.log.read_text(), 5, "it drains")
        web.process.send_signal(signal.SIGINT)
        assert web.process.wait(30) != 0
        shopper.join(30)


def test_killing_it_leaves_nothing_behind(runtime: Runtime) -> None:
    """One process: nobody else holds the port, and a new one takes it at once."""
    with running_web(runtime) as web:
        web.process.kill()
        web.process.wait(30)
        assert web.get("/healthz")[0] == 0
    with running_web(runtime) as web:
        assert web.end() == 0


def test_a_taken_port_is_one_clear_line(runtime: Runtime) -> None:
    """V1."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((HOST, runtime.addresses.web(1)))
        taken.listen()
        web = start_web(runtime)
        assert web.process.wait(60) == 70
        assert web.log.read_text() == (
            f"web-1 cannot listen on {HOST}:{runtime.addresses.web(1)}: Address already in use\n"
        )


@pytest.mark.parametrize(("state", "name"), [("nowhere", "web-1"), (".", "web-0"), (".", "distributor")])
def test_a_wrong_start_is_refused(runtime: Runtime, capfd: pytest.CaptureFixture[str], state: str, name: str) -> None:
    assert main(["--state", str(runtime.state / state), "--name", name]) == 64
    assert len(capfd.readouterr().err.splitlines()) == 1
