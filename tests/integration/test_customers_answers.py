"""Answers as they go over the wire: coded for who reads gzip, and never telling one visitor about another."""

import gzip
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine

from customers.pages import csrf
from tests.customers_world import Person, field_value, make_app, make_runtime
from tests.distributor_world import World, engine_for, make_world

GZIP = {"Accept-Encoding": "gzip"}


@pytest.fixture
def engine(database_url: str) -> Engine:
    return engine_for(database_url)


@pytest.fixture
def world(engine: Engine) -> World:
    return make_world(engine, [5, 3, 0, 40] * 6, customers=0)


@pytest.fixture
def app(database_url: str, world: World, tmp_path: Path) -> Flask:
    return make_app(make_runtime(tmp_path / "state", database_url))


def test_pages_and_calls_are_sent_coded_and_quantities_too_short_for_it_are_not(app: Flask, world: World) -> None:
    client = app.test_client()
    for path in ("/", "/api/v1/products"):
        plain, coded = client.get(path), client.get(path, headers=GZIP)
        assert coded.headers["Content-Encoding"] == "gzip"
        assert len(coded.data) < len(plain.data) / 2
        assert len(gzip.decompress(coded.data)) == pytest.approx(len(plain.data), abs=200)
        assert "Accept-Encoding" in coded.headers["Vary"]
    assert "Content-Encoding" not in client.get(f"/stock?ids={world.stock[0]}", headers=GZIP).headers


def test_a_token_looks_different_in_every_answer_and_each_is_good(app: Flask) -> None:
    """F4"""
    person = Person(app.test_client())
    tokens = [field_value(person.get("/log-in").text, csrf.FIELD) for _ in range(3)]
    assert len(set(tokens)) == 3
    for token in tokens:
        answer = person.client.post("/log-in", data={csrf.FIELD: token, "email": "a@example.org", "password": "x"})
        assert answer.status_code == 401


@pytest.mark.parametrize("spoil", [str.upper, lambda token: token[:-1], lambda token: token[64:], lambda _: "0" * 128])
def test_a_token_that_is_no_token_is_refused(app: Flask, spoil: object) -> None:
    """F1"""
    assert callable(spoil)
    person = Person(app.test_client())
    token = spoil(field_value(person.get("/log-in").text, csrf.FIELD))
    assert person.client.post("/log-in", data={csrf.FIELD: token}).status_code == 403
