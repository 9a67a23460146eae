"""The description as the page /api shows it: values taken out of the document, so that both always say the same."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from customers.api.calls import CALLS, PREFIX, TAGS, Call
from customers.api.examples import EXAMPLES
from customers.api.openapi import Document, errors_of
from customers.api.problems import Kind, kinds_of

EXAMPLE_STOCK_ID = 17
NEEDED = "needed"
MAY_BE_ABSENT = "may be absent"
LINE_LENGTH_MAX = 60  # of a body in one line; what fits beside the contents
ADDRESS = re.compile(r"https?://(?:[A-Za-z0-9.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
"""What may stand in a command for a shell."""

_FORMATS = {"date-time": "time", "password": "secret text", "uri-reference": "address"}


@dataclass(frozen=True)
class Field:
    """A field of a body, or a parameter; ``model`` is the schema that its type names, if any."""

    name: str
    kind: str
    model: str
    note: str
    words: str
    place: str = ""


@dataclass(frozen=True)
class Model:
    name: str
    words: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Shown:
    """One call, ready to be shown."""

    name: str
    method: str
    path: str
    summary: str
    words: str
    needs_session: bool
    parameters: tuple[Field, ...]
    takes: str
    status: int
    gives: str
    answer: str
    refusals: tuple[tuple[int, tuple[Kind, ...]], ...]
    command: str


def calls_by_tag(document: Document, address: str, stock_id: int) -> dict[str, list[Shown]]:
    """``address`` of the shop, as the reader sees it; ``stock_id`` of something that can be bought."""
    shown: dict[str, list[Shown]] = {tag: [] for tag in TAGS}
    for call in CALLS:
        operation = document["paths"][PREFIX + call.path][call.method]
        shown[call.tag].append(_shown(call, operation, document, address, stock_id))
    return shown


def models(document: Document) -> list[Model]:
    described = sorted(document["components"]["schemas"].items())
    return [Model(name, schema.get("description", ""), tuple(_fields(schema))) for name, schema in described]


def _shown(call: Call, operation: Document, document: Document, address: str, stock_id: int) -> Shown:
    answer = "" if call.answer is None else json.dumps(EXAMPLES[call.answer.__name__], indent=2, ensure_ascii=False)
    return Shown(
        name=call.name,
        method=call.method.upper(),
        path=PREFIX + call.path,
        summary=operation["summary"],
        words=operation["description"],
        needs_session=bool(operation["security"]),
        parameters=tuple(_parameters(operation, document)),
        takes=call.body.__name__ if call.body else "",
        status=call.status,
        gives=call.answer.__name__ if call.answer else "",
        answer=answer,
        refusals=tuple((status, tuple(kinds_of(call.name, status))) for status in errors_of(call)),
        command=_command(call, address, stock_id),
    )


def _parameters(operation: Document, document: Document) -> Iterator[Field]:
    for reference in operation["parameters"]:
        one = document["components"]["parameters"][reference["$ref"].rpartition("/")[2]]
        kind, model = kind_of(one["schema"])
        note = NEEDED if one.get("required") else ""
        yield Field(one["name"], kind, model, note, one["description"], one["in"])


def _fields(schema: Document) -> Iterator[Field]:
    is_request = schema.get("additionalProperties") is False
    required = schema.get("required", [])
    for name, described in schema["properties"].items():
        kind, model = kind_of(described)
        note = (NEEDED if name in required else "") if is_request else "" if name in required else MAY_BE_ABSENT
        yield Field(name, kind, model, note, described.get("description", ""))


def kind_of(schema: Document) -> tuple[str, str]:
    """A type in words, and the schema that it names."""
    if "$ref" in schema:
        model = schema["$ref"].rpartition("/")[2]
        return model, model
    if "anyOf" in schema:
        parts = [kind_of(part) for part in schema["anyOf"]]
        return " or ".join(kind for kind, _ in parts), next((model for _, model in parts if model), "")
    if schema["type"] == "array":
        kind, model = kind_of(schema["items"])
        return f"list of {kind}", model
    return _plain_kind(schema), ""


def _plain_kind(schema: Document) -> str:
    if "enum" in schema:
        return ", ".join(schema["enum"])
    if schema["type"] == "integer":
        return _whole_number(schema)
    if schema["type"] == "string":
        return _text(schema)
    return {"boolean": "true or false", "null": "null"}.get(schema["type"], "number")


def _whole_number(schema: Document) -> str:
    if "maximum" not in schema:
        return "whole number"
    return f"whole number, {schema['minimum']} to {schema['maximum']}"


def _text(schema: Document) -> str:
    kind = _FORMATS.get(schema.get("format", ""), "text")
    return f"{kind}, at most {schema['maxLength']} characters" if "maxLength" in schema else kind


def _command(call: Call, address: str, stock_id: int) -> str:
    """For a shell in which TOKEN, EMAIL and ORDER_ID are set, as the first steps do."""
    path = call.path.replace("{stock_id}", str(stock_id)).replace("{order_id}", "$ORDER_ID")
    parts = ["curl"] if call.method == "get" else [f"curl -X {call.method.upper()}"]
    parts.append(f'"{address}{PREFIX}{path}{_QUERIES.get(call.name, "")}"')
    if not call.public:
        parts.append('-H "Authorization: Bearer $TOKEN"')
    if "Idempotency-Key" in call.parameters:
        parts.append(f'-H "Idempotency-Key: {_KEY}"')
    if call.body is not None:
        parts.append("-H 'Content-Type: application/json'")
        parts.append(f"-d {_quoted(EXAMPLES[call.body.__name__], stock_id)}")
    return " \\\n  ".join(parts)


_QUERIES = {"list_products": "?sort=price&per_page=5", "list_orders": "?per_page=5"}
_KEY = "7f9c2ba4-e88f-4a0b-9e26-1f5d6c2a8f10"


def _quoted(body: Any, stock_id: int) -> str:
    """In single quotes; where the e-mail address comes from a variable, in double ones."""
    text = json.dumps(body)
    if len(text) > LINE_LENGTH_MAX:
        text = json.dumps(body, indent=2).replace("\n", "\n  ")
    text = text.replace(f'"stock_id": {EXAMPLE_STOCK_ID}', f'"stock_id": {stock_id}')
    if "email" not in body:
        return f"'{text}'"
    escaped = text.replace(f'"{body["email"]}"', '"$EMAIL"').replace('"', '\\"')
    return f'"{escaped}"'


def first_steps(address: str, stock_id: int) -> list[tuple[str, str]]:
    """What somebody does first, each step with its words; in a shell they can be pasted one after another."""
    commands = {call.name: _command(call, address, stock_id) for call in CALLS}
    return [
        ("Choose an e-mail address that is free.", 'EMAIL="ada$RANDOM$RANDOM@example.org"'),
        ("Open an account.", commands["create_customer"]),
        ("Sign in and keep the token.", _kept("TOKEN", commands["create_session"], r'"token":"\([^"]*\)"')),
        ("Add a card. It is charged nothing.", commands["put_card"]),
        ("See what there is.", commands["list_products"]),
        ("Buy two of one product.", _kept("ORDER_ID", commands["place_order"], r'"id":\([0-9]*\)')),
        ("Look at the order.", commands["show_order"]),
    ]


def _kept(variable: str, command: str, pattern: str) -> str:
    return f"{variable}=$({command.replace('curl', 'curl -s', 1)} \\\n  | sed 's/.*{pattern}.*/\\1/')"


def problem_example(kind: Kind) -> str:
    """As the registry shows it."""
    return json.dumps(kind.example(PREFIX), indent=2, ensure_ascii=False)
