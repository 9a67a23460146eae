"""The API's description without a shop: whole, valid, its examples true to its schemas, its problems those of the code."""

import datetime as dt
import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from customers import error_pages, errors
from customers.accounts import names
from customers.api import problems
from customers.api.__main__ import whole
from customers.api.balancer_answers import ANSWERS, BalancerAnswer, answers_by_status
from customers.api.calls import CALLS, PREFIX, TAGS
from customers.api.examples import REQUEST_ID
from customers.api.openapi import document, encoded, errors_of, expiry_pattern
from customers.api.paging import links
from distributor.queries import Page
from load_balancer.proxy.replies import problem

DOCUMENT = document()


def validator(schema: Any) -> Any:
    return Draft202012Validator(schema | {"components": DOCUMENT["components"]})


def resolved(part: Any) -> Any:
    if "$ref" not in part:
        return part
    found: Any = DOCUMENT
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return found


def operations() -> Iterator[tuple[str, Any]]:
    for methods in DOCUMENT["paths"].values():
        for operation in methods.values():
            yield operation["operationId"], operation


def contents() -> Iterator[tuple[str, Any]]:
    """Every request's and answer's content, with a name for the message."""
    for name, operation in operations():
        for media in operation.get("requestBody", {"content": {}})["content"].values():
            yield f"{name} request", media
        for status, response in operation["responses"].items():
            for media in resolved(response).get("content", {}).values():
                yield f"{name} {status}", media


def test_every_call_is_described_in_words_and_with_examples() -> None:
    assert DOCUMENT["openapi"].startswith("3.1")
    assert DOCUMENT["info"]["license"]["identifier"] == "MIT"
    assert {call.tag for call in CALLS} == set(TAGS)
    for name, operation in operations():
        assert operation["summary"], name
        assert operation["description"].endswith("."), name
        for parameter in map(resolved, operation["parameters"]):
            assert parameter["description"], name
            assert "example" in parameter, name
    assert [name for name, media in contents() if not media["examples"]] == []


def test_every_answer_says_which_headers_it_has() -> None:
    for _, operation in operations():
        for response in map(resolved, operation["responses"].values()):
            assert {"X-Request-Id", "X-Served-By"} <= response["headers"].keys()
            for header in map(resolved, response["headers"].values()):
                assert header["description"]


def test_every_example_is_true_to_its_schema() -> None:
    for name, media in contents():
        for example in media["examples"].values():
            assert not list(validator(media["schema"]).iter_errors(example["value"])), name
    for described in [*DOCUMENT["components"]["parameters"].values(), *DOCUMENT["components"]["headers"].values()]:
        assert validator(described["schema"]).is_valid(described["example"]), described


def test_every_schema_is_json_schema() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    with pytest.raises(AssertionError):  # the control: a wrong example is seen
        assert validator({"$ref": "#/components/schemas/NewQuantity"}).is_valid({"quantity": 0})


def test_links_lead_to_calls_that_take_what_they_give() -> None:
    by_name = dict(operations())
    for name, operation in operations():
        for response in operation["responses"].values():
            for link in resolved(response).get("links", {}).values():
                target = by_name[link["operationId"]]
                known = {resolved(parameter)["name"] for parameter in target["parameters"]}
                assert set(link.get("parameters", {})) <= known, name
                assert ("requestBody" in link) <= ("requestBody" in target), name


def test_every_problem_of_the_code_is_in_the_registry_and_the_other_way_round() -> None:
    told = {(rule.type, rule.status) for rule in errors.RULES.values()}
    told |= {(rule.type, rule.status) for rule, _ in error_pages.REFUSED_BY_FLASK.values()}
    told |= {(reason.replace("_", "-"), 402 if reason == "no_card" else 409) for reason in errors.REFUSED_PURCHASES}
    told.add((error_pages.FAULT.rule.type, error_pages.FAULT.rule.status))
    described = {(kind.type, kind.status) for kind in problems.KINDS}
    assert {pair for pair in told if pair[0] not in problems.PAGES_ONLY} == described
    assert {name for name, _ in told} >= problems.PAGES_ONLY


def test_every_error_of_a_call_has_its_problems() -> None:
    for call in CALLS:
        for status in errors_of(call):
            kinds = problems.kinds_of(call.name, status)
            assert kinds
            assert {kind.status for kind in kinds} == {status}


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.status)
def test_the_load_balancers_answers_are_described_in_its_own_words(answer: BalancerAnswer) -> None:
    reply = problem(answer.status, "why", request_id=REQUEST_ID.encode(), html=False, not_dispatched=True)
    told = json.loads(reply.body)
    assert told == answer.example() | {"detail": f"{answer.meaning} (why)"}
    assert reply.content_type.decode() == errors.PROBLEM_TYPE


def test_every_call_says_what_the_load_balancer_may_answer() -> None:
    """D3: a client made from the document knows each of them, told apart from the shop's own by its type."""
    for call in CALLS:
        responses = DOCUMENT["paths"][PREFIX + call.path][call.method]["responses"]
        for status, answer in answers_by_status(has_body=call.body is not None).items():
            media = resolved(responses[str(status)])["content"][errors.PROBLEM_TYPE]
            assert media["examples"]["load-balancer"]["value"] == answer.example(), call.name
        assert ("413" in responses) == (call.body is not None), call.name


def test_the_description_is_small_and_the_same_all_month() -> None:
    """D1 of openapi.py."""
    first, last = dt.date(2030, 1, 1), dt.date(2030, 1, 31)
    assert encoded(10, 10, first) == json.dumps(document(10, 10, last), separators=(",", ":")).encode()
    assert len(encoded(10, 10, first)) < 100_000
    assert document(7, 9)["components"]["schemas"]["NewQuantity"]["properties"]["quantity"]["maximum"] == 9


@pytest.mark.parametrize(
    ("expiry", "is_good"),
    [("10/26", False), ("11/26", True), ("12/26", True), ("01/27", True), ("12/46", True), ("01/47", False),
     ("00/30", False), ("13/30", False), ("1/30", False), ("01/2030", False)],
)  # fmt: skip
def test_the_expiry_is_described_as_it_is_checked(expiry: str, is_good: bool) -> None:
    """D2 of openapi.py."""
    assert bool(re.search(expiry_pattern(dt.date(2026, 11, 21)), expiry)) == is_good


def test_names_are_described_as_they_are_checked() -> None:
    """D2 of openapi.py."""
    pattern = re.compile(names.pattern())
    for code in [*range(0xD800), *range(0xE000, 0x20000), *range(0xE0000, 0xE0100)]:
        name = f"A{chr(code)}b"
        refused = unicodedata.category(chr(code)) in {"Cc", "Cf", "Zl", "Zp"} and chr(code) not in names.JOINERS
        assert bool(pattern.search(name)) != refused, hex(code)
    for name in ("Ada", "  Ada ", "é", "李"):
        assert pattern.search(name)
        assert names.normalised(name) == name.strip()
    for blank in (" ", "\u2003", "\u3000", "\u200d", " \u200c "):
        assert not pattern.search(blank)
        with pytest.raises(ValueError, match="must not be empty"):
            names.normalised(blank)


@pytest.mark.parametrize(
    ("page", "total", "wanted"),
    [
        (1, 0, {"first": 1, "last": 1}),
        (1, 30, {"first": 1, "next": 2, "last": 3}),
        (2, 30, {"first": 1, "prev": 1, "next": 3, "last": 3}),
        (3, 30, {"first": 1, "prev": 2, "last": 3}),
        (9, 30, {"first": 1, "prev": 3, "last": 3}),
    ],
)
def test_a_page_links_its_neighbours(page: int, total: int, wanted: dict[str, int]) -> None:
    header = links("/api/v1/products", {"q": 'a>b,"c', "page": str(page)}, Page((), page, 10, total))
    found = re.findall(r'<(/api/v1/products\?q=a%3Eb%2C%22c&page=(\d+))>; rel="(\w+)"', header)
    assert {name: int(number) for _, number, name in found} == wanted
    assert PREFIX + "/products" in header


def test_the_list_of_problems_in_docs_is_up_to_date() -> None:
    listed = (Path(__file__).parents[2] / "docs" / "problems.md").read_text(encoding="utf-8")
    assert listed == whole(), "run: python -m customers.api > docs/problems.md"
