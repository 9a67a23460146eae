"""The description of the API is true: schemathesis makes requests from it, good ones and bad ones, and compares."""

import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from customers.api.openapi import CALLS, document
from customers.api.views import blueprint
from settings.model import Cart
from tests.customers_world import Program, make_app, make_runtime
from tests.distributor_world import engine_for, make_world

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]


class Callers:
    """A signed-in customer for every request: some of the calls end the session or delete the account."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self._program = Program(app.test_client()).sign_up().with_card()

    def token(self) -> str:
        if self._program.call("GET", "/me").status_code == 401:
            self._program = Program(self._program.client).sign_up().with_card()
        return self._program.token


@pytest.fixture
def callers(database_url: str, tmp_path: Path) -> Callers:
    engine = engine_for(database_url)
    make_world(engine, [1_000_000, 3, 0], customers=0)
    engine.dispose()
    app = make_app(make_runtime(tmp_path, database_url, customers={"login_failures_max": 1_000}))
    return Callers(app)


LIMITS = Cart()
schema = schemathesis.openapi.from_dict(document(LIMITS.lines_max, LIMITS.quantity_max))


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
def test_every_call_is_as_described(case: Any, callers: Callers) -> None:
    answer = case.call(app=callers.app, headers={"Authorization": f"Bearer {callers.token()}"})
    case.validate_response(answer, checks=CHECKS)
    assert answer.headers["x-served-by"] == ["web-1"]


def test_the_description_is_whole_and_small() -> None:
    text = json.dumps(document())
    assert len(text) < 60_000
    names = {call.name for call in CALLS}
    assert len(names) == len(CALLS)
    assert document()["openapi"].startswith("3.1")


def test_no_call_is_left_undescribed(callers: Callers) -> None:
    routes = {
        rule.endpoint for rule in callers.app.url_map.iter_rules() if rule.endpoint.startswith(blueprint.name + ".")
    }
    assert routes == {f"{blueprint.name}.{call.name}" for call in CALLS} | {f"{blueprint.name}.describe"}
