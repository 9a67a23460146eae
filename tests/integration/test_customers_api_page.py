"""The page /api: all calls, all problems, commands that work as they stand."""

import html
import re
import shlex
from collections.abc import Iterator, Mapping

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from customers.api.calls import CALLS
from customers.api.problems import KINDS
from tests.conftest import Server, fresh_database
from tests.customers_world import Program, make_app, make_runtime, new_email
from tests.distributor_world import engine_for, make_world

ADDRESS = "http://shop.example:8123"
COMMAND = re.compile(
    r"""(?:(?P<name>\w+)=\$\()?(?P<curl>curl .*?)(?: \\\n  \| sed 's/\.\*(?P<kept>.*)\.\*/\\1/'\))?""", re.S
)


@pytest.fixture(scope="module")
def app(postgres_server: Server, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    with fresh_database(postgres_server, template_database) as database_url:
        engine = engine_for(database_url)
        make_world(engine, [1_000, 3], customers=0)
        engine.dispose()
        yield make_app(make_runtime(tmp_path_factory.mktemp("web"), database_url, cart={"hold_seconds": 60}))


def page(client: FlaskClient) -> str:
    answer = client.get("/api", base_url=ADDRESS)
    assert answer.status_code == 200
    return answer.text


def commands(part: str) -> list[str]:
    return [html.unescape(text) for text in re.findall(r"<pre[^>]*><code>(.*?)</code></pre>", part, re.S)]


def part_of(text: str, identity: str) -> str:
    return text.partition(f'id="{identity}"')[2].partition("</article>")[0].partition("</section>")[0]


def run(client: FlaskClient, command: str, variables: Mapping[str, str]) -> TestResponse:
    """As a shell and curl would."""
    expanded = re.sub(r"\$(\w+)", lambda match: variables[match[1]], command).replace("\\\n", "")
    words = shlex.split(expanded)
    assert words.pop(0) == "curl"
    method, headers, body, address = "GET", {}, None, ""
    while words:
        word = words.pop(0)
        if word == "-X":
            method = words.pop(0)
        elif word == "-H":
            name, _, value = words.pop(0).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = words.pop(0)
        elif word != "-s":
            address = word
    assert address.startswith(ADDRESS + "/api/v1/")
    return client.open(address.removeprefix(ADDRESS), method=method, headers=headers, data=body)


def test_the_first_steps_lead_to_an_order(app: Flask) -> None:
    client = app.test_client()
    variables = {"EMAIL": new_email()}
    steps = commands(part_of(page(client), "first-steps"))
    assert steps[0].startswith("EMAIL=")
    for step in steps[1:]:
        match = COMMAND.fullmatch(step)
        assert match, step
        answer = run(client, match["curl"], variables)
        assert answer.status_code in {200, 201}, answer.text
        if match["name"]:
            pattern = match["kept"].replace(r"\(", "(").replace(r"\)", ")")
            found = re.search(pattern, answer.text)
            assert found, answer.text
            variables[match["name"]] = found[1]
    assert answer.json is not None
    assert answer.json["total"]["amount"] > 0


@pytest.mark.parametrize("call", CALLS, ids=[call.name for call in CALLS])
def test_every_command_works_as_it_stands(app: Flask, call: object) -> None:
    name, status = getattr(call, "name", ""), getattr(call, "status", 0)
    ada = Program(app.test_client()).sign_up().with_card()
    text = page(ada.client)
    ada.call("PUT", "/cart/1", {"quantity": 1})
    order = ada.order([(1, 1)]).json
    assert order is not None
    variables = {"EMAIL": new_email(), "TOKEN": ada.token, "ORDER_ID": str(order["id"])}
    if name == "create_session":
        account = {"email": variables["EMAIL"], "password": "correct horse battery staple"}
        ada.call("POST", "/customers", account | {"first_name": "Ada", "last_name": "Lovelace"})
    answer = run(ada.client, commands(part_of(text, name))[0], variables)
    assert answer.status_code == status, answer.text


def test_every_problem_and_every_call_has_its_place(app: Flask) -> None:
    text = page(app.test_client())
    anchors = set(re.findall(r'href="#([^"]+)"', text))
    identities = re.findall(r' id="([^"]+)"', text)
    assert len(identities) == len(set(identities))
    assert anchors - {"main"} <= set(identities)
    assert {f"problem-{kind.type}" for kind in KINDS} | {call.name for call in CALLS} <= set(identities)
    assert "<script>" not in text
    assert "style=" not in text


@pytest.mark.parametrize("host", ['a"b', "a`id`", "$(id)", "a;b", "strange host", "x" * 300])
def test_a_strange_host_gets_into_no_command(app: Flask, host: str) -> None:
    answer = app.test_client().get("/api", headers={"Host": host})
    if answer.status_code == 200:  # else the request was refused before
        assert host not in html.unescape(answer.text)
