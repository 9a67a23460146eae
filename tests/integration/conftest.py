"""A small shop with one web instance, for the tests of its pages; files with other wishes define their own."""

from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine

from tests.customers_world import Person, make_app, make_runtime
from tests.distributor_world import World, make_world


@pytest.fixture
def world(engine: Engine) -> World:
    return make_world(engine, [5, 3, 0, 40], customers=0)


@pytest.fixture
def app(database_url: str, tmp_path: Path) -> Flask:
    return make_app(make_runtime(tmp_path, database_url))


@pytest.fixture
def ada(app: Flask, world: World) -> Person:
    return Person(app.test_client()).sign_up().with_card()
