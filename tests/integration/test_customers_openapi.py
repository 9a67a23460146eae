"""The description of the API is true: schemathesis makes requests from it, good and bad, one by one and in a row.

All its checks and phases, against a web instance in a process of its own. More of it on demand: SHOP_API_CASES=10000.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import schemathesis
from schemathesis import engine
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events
from schemathesis.schemas import BaseSchema

from customers.api.calls import CALLS
from customers.api.openapi import document
from customers.api.views import DESCRIPTION, blueprint
from settings.model import Cart, RateLimits
from tests.conftest import Server, fresh_database
from tests.customers_world import ROOT, free_port_base, make_app, make_runtime, running_shop
from tests.distributor_world import engine_for, make_world

CASES = int(os.environ.get("SHOP_API_CASES", "0"))
"""How many requests to make in all; 0 is as many as fit into a run of all tests."""

FEW = 8
STATEFUL_SHARE = 0.5
STEPS = 6  # of one scenario: list, cart, order, look at it, and two more
SEED = 20301
ROUNDS_MAX = 1_000

UNLIMITED = dict.fromkeys(RateLimits.model_fields, 1_000_000)


@pytest.fixture(scope="module")
def address(
    postgres_server: Server, template_database: str, balancer_engine: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    with fresh_database(postgres_server, template_database) as database_url:
        world = engine_for(database_url)
        make_world(world, [1_000_000, 3, 0, 40], customers=0)
        world.dispose()
        runtime = make_runtime(
            tmp_path_factory.mktemp("web"),
            database_url,
            free_port_base(),
            customers={"login_failures_max": 1_000},
            rate_limits=UNLIMITED,
        )
        with running_shop(runtime, balancer_engine) as web:
            yield web.url


def described(address: str) -> BaseSchema:
    config = SchemathesisConfig.from_path(ROOT / "schemathesis.toml")
    return schemathesis.openapi.from_url(f"{address}/api/v1/openapi.json", config=config)


def found_by_trying(address: str, name: str | None, phases: set[str], wanted: int) -> tuple[int, list[str]]:
    """How many requests were made, and everything that was wrong with the answers.

    A round may end early: what answers come depends on what is in the shop, and then Hypothesis cannot repeat itself.
    """
    requests = 0
    wrong: list[str] = []
    for number in range(ROUNDS_MAX):
        schema = described(address) if name is None else described(address).include(operation_id=name)
        for phase in ("examples", "coverage", "fuzzing", "stateful"):
            schema.config.phases.get_by_name(name=phase).enabled = phase in phases
        schema.config.generation.update(max_examples=max(FEW, wanted - requests), database="none")
        schema.config.seed = SEED + number
        schema.config.phases.stateful.max_steps = STEPS
        made, found = one_round(schema)
        requests, wrong = requests + made, wrong + found
        if requests >= wanted or wrong:
            break
    return requests, wrong


def one_round(schema: BaseSchema) -> tuple[int, list[str]]:
    requests = 0
    wrong: list[str] = []
    for event in engine.from_schema(schema).execute():
        if isinstance(event, events.NonFatalError):
            wrong.append(f"{event.label}: {event.info.title} {event.info.message}")
        elif isinstance(event, events.ScenarioFinished):
            requests += len(event.recorder.interactions)
            wrong += [
                f"{check.name}: {check.failure_info.failure.message}\n{check.failure_info.code_sample}"
                for checks in event.recorder.checks.values()
                for check in checks
                if check.failure_info is not None
            ]
    return requests, wrong


@pytest.mark.parametrize("name", [call.name for call in CALLS])
def test_every_call_is_as_described(address: str, name: str, record_property: Callable[[str, object], None]) -> None:
    wanted = int(CASES * (1 - STATEFUL_SHARE) / len(CALLS))
    requests, wrong = found_by_trying(address, name, {"examples", "coverage", "fuzzing"}, wanted)
    record_property("requests", requests)
    assert wrong == []
    assert requests >= max(FEW, wanted)


def test_calls_that_follow_one_another_are_as_described(
    address: str, record_property: Callable[[str, object], None]
) -> None:
    wanted = int(CASES * STATEFUL_SHARE)
    requests, wrong = found_by_trying(address, None, {"stateful"}, wanted)
    record_property("requests", requests)
    assert wrong == []
    assert requests >= max(FEW, wanted)


def test_a_lie_in_the_description_is_found_out(address: str) -> None:
    """The control of both tests above: a limit that is not the shop's."""
    lie = document(Cart().lines_max, quantity_max=10 * Cart().quantity_max)
    config = SchemathesisConfig.from_path(ROOT / "schemathesis.toml")
    schema = schemathesis.openapi.from_dict(lie, config=config).include(operation_id="put_in_cart")
    schema.config.update(base_url=address)
    _, wrong = one_round(schema)
    assert [text for text in wrong if text.startswith("positive_data_acceptance")]


def test_no_call_is_left_undescribed(database_url: str, tmp_path: Path) -> None:
    rules = make_app(make_runtime(tmp_path, database_url)).url_map.iter_rules()
    routes = {rule.endpoint for rule in rules if rule.endpoint.startswith(blueprint.name + ".")}
    assert routes == {f"{blueprint.name}.{call.name}" for call in CALLS} | {f"{blueprint.name}.{DESCRIPTION}"}
