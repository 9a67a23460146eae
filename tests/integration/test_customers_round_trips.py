"""How often each page of a journey waits for the database: counted where the driver waits for the server.

Who adds a statement to a page lets it travel with another one (`database.trip`), or raises a number here and says why.
"""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from flask import Flask
from psycopg.pq import PipelineStatus
from werkzeug.test import TestResponse

from customers.instance import instance_of
from customers.window import window
from tests.customers_world import PASSWORD, Person, field_value, make_app, make_runtime
from tests.distributor_world import World


@pytest.fixture
def app(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flask]:
    """What passers-by see is read once, however slow the machine is."""
    monkeypatch.setattr(window, "SHOWN_SECONDS", 3_600.0)
    app = make_app(make_runtime(tmp_path / "state", database_url))
    yield app
    instance_of(app).close()


class Trips:
    """Counts how often the driver waits for the server: for a statement by itself, for all of a pipeline once."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        wait, leave = psycopg.Connection.wait, psycopg.Pipeline.__exit__

        def counted(work: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
            try:
                what = next(work)
                self.count += 1  # what needs no server ends without asking to wait
                while True:
                    what = work.send((yield what))
            except StopIteration as done:
                return done.value

        def wait_counted(connection: Any, work: Any, *rest: Any, **more: Any) -> Any:
            alone = connection.pgconn.pipeline_status == PipelineStatus.OFF
            return wait(connection, counted(work) if alone else work, *rest, **more)

        def leave_counted(pipeline: Any, *raised: Any) -> None:
            self.count += 1
            leave(pipeline, *raised)

        patch.setattr(psycopg.Connection, "wait", wait_counted)
        patch.setattr(psycopg.Pipeline, "__exit__", leave_counted)

    def of(self, ask: Callable[[], object]) -> int:
        before = self.count
        ask()
        return self.count - before


MOST = {
    "log-in page": 0,
    "log in": 4,
    "list": 1,
    "search": 1,
    "product": 2,
    "add": 3,
    "cart": 2,
    "checkout": 2,
    "buy": 5,
    "order": 2,
    "list after buying": 2,
}
"""A page asks twice: who reads it, with what all pages tell them, and what it is about. The latter is in the window for who
sees what passers-by see (window.W2)."""


def test_a_journey_waits_for_the_database_as_seldom_as_it_did(
    app: Flask, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """N4 of identity.py."""
    ada, guest = Person(app.test_client()).sign_up().with_card(), Person(app.test_client())
    for page in ("/", "/?q=product"):  # what passers-by see is read now, and lists are counted
        assert guest.get(page).status_code == 200
    form = {"email": ada.email, "password": PASSWORD, "next": "/"} | {
        "form_token": field_value(guest.get("/log-in").text, "form_token")
    }
    add = {"quantity": "1", "form_token": field_value(ada.get("/account").text, "form_token")}
    driver = Trips(monkeypatch)
    trips = {
        "log-in page": driver.of(lambda: guest.get("/log-in")),
        "log in": driver.of(lambda: guest.client.post("/log-in", data=form)),
        "list": driver.of(lambda: ada.get("/")),
        "search": driver.of(lambda: ada.get("/?q=product")),
        "product": driver.of(lambda: ada.get(f"/product/{world.stock[0]}")),
        "add": driver.of(lambda: ada.client.post(f"/cart/{world.stock[0]}/add", data=add)),
        "cart": driver.of(lambda: ada.get("/cart")),
        "checkout": driver.of(lambda: ada.get("/checkout")),
    }
    bought = ada.checkout()
    answers: list[TestResponse] = []
    trips["buy"] = driver.of(lambda: answers.append(ada.buy(bought, pay="saved")))
    assert answers[0].status_code == 303, answers[0].text
    trips["order"] = driver.of(lambda: ada.get(answers[0].headers["Location"]))
    trips["list after buying"] = driver.of(lambda: ada.get("/"))
    assert trips == MOST
