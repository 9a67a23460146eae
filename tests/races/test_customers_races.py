"""Many at once: the same purchase, the same address, the same guess."""

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine

import main
from customers.accounts.sessions import require_living
from customers.instance import instance_of
from distributor.database import transaction
from settings import Runtime
from tests.conftest import wait_until
from tests.customers_world import PASSWORD, Program, make_app, make_runtime
from tests.distributor_world import World, discrepancies, make_world, rows

AT_ONCE = 16
WAITING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def world(engine: Engine) -> World:
    return make_world(engine, [5, 40], customers=0)


@pytest.fixture
def runtime(database_url: str, tmp_path: Path, world: World) -> Runtime:
    return make_runtime(tmp_path, database_url, customers={"login_failures_max": 3, "threads": AT_ONCE})


@pytest.fixture
def instances(runtime: Runtime) -> list[Flask]:
    return [make_app(runtime, "web-1"), make_app(runtime, "web-2")]


def at_once(work: Callable[[int], int]) -> Counter[int]:
    """Statuses of ``work``, which many threads start at the same moment."""
    statuses: list[int] = []
    start = threading.Barrier(AT_ONCE)

    def run(number: int) -> None:
        start.wait(60)
        statuses.append(work(number))

    threads = [threading.Thread(target=run, args=[number]) for number in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return Counter(statuses)


def again(program: Program, app: Flask) -> Program:
    """The same customer, with a client of its own on this instance."""
    other = Program(app.test_client())
    other.email, other.token = program.email, program.token
    return other


def test_one_key_is_one_order_however_often_it_is_sent(instances: list[Flask], world: World, engine: Engine) -> None:
    """P2, P3: through two instances."""
    ada = Program(instances[0].test_client()).sign_up().with_card()
    lines = [(world.stock[1], 2)]
    statuses = at_once(lambda number: again(ada, instances[number % 2]).order(lines, key="k").status_code)
    assert statuses == {201: AT_ONCE}
    assert len(rows(engine, "SELECT * FROM orders")) == 1
    assert not discrepancies(engine)


def test_another_key_is_another_order_as_long_as_there_is_stock(
    instances: list[Flask], world: World, engine: Engine
) -> None:
    """P1; and the control: without the common key the same storm makes many orders."""
    ada = Program(instances[0].test_client()).sign_up().with_card()
    lines = [(world.stock[0], 1)]
    statuses = at_once(lambda number: again(ada, instances[number % 2]).order(lines).status_code)
    assert statuses == {201: 5, 409: AT_ONCE - 5}
    assert not discrepancies(engine)


def test_an_address_is_taken_once(instances: list[Flask], world: World) -> None:
    body = {"email": "ada@example.org", "password": PASSWORD, "first_name": "Ada", "last_name": "Lovelace"}

    def sign_up(number: int) -> int:
        return Program(instances[number % 2].test_client()).call("POST", "/customers", body).status_code

    assert at_once(sign_up) == {201: 1, 409: AT_ONCE - 1}


def test_parallel_guesses_are_counted_like_guesses_in_a_row(instances: list[Flask], world: World) -> None:
    """H1: attempts are counted before the password is looked at."""
    ada = Program(instances[0].test_client()).sign_up()

    def guess(number: int) -> int:
        body = {"email": ada.email, "password": f"wrong password {number}"}
        return again(ada, instances[number % 2]).call("POST", "/session", body).status_code

    assert at_once(guess) == {401: 3, 429: AT_ONCE - 3}


def test_who_signs_a_customer_out_finds_nothing_under_way_afterwards(
    instances: list[Flask], runtime: Runtime, engine: Engine
) -> None:
    """S7 of sessions.py: a change that has found its session is done before the session is gone."""
    ada = Program(instances[0].test_client()).sign_up()
    found = instance_of(instances[0]).accounts.customer_of_token(ada.token)
    assert found is not None
    arguments = ["sign-out", str(ada.id), "--state", str(runtime.state)]
    signing_out = threading.Thread(target=main.run, args=[arguments])
    with transaction(engine) as connection:
        require_living(connection, found[0])
        signing_out.start()
        wait_until(lambda: bool(rows(engine, WAITING)), 20)
    signing_out.join(20)
    assert ada.call("GET", "/me").status_code == 401
