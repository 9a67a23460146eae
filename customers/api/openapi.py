"""/api/v1/openapi.json: OpenAPI 3.1, put together from the models and one row a call.

Written by hand, not by a framework: the views stay plain functions, and a test compares the rows with the routes.
D1  The same on every instance: it depends on the settings, the code and the month of the calendar, on nothing else.
D2  What the shop refuses by a rule that JSON Schema can say is said there; the few rules that it cannot are in words.
D3  Every status that a program may meet is there, those of the load balancer too: a client made from the document knows all.
"""

import datetime as dt
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic.json_schema import models_json_schema

from customers.accounts import cards, names
from customers.api import models
from customers.api.balancer_answers import BalancerAnswer, answers_by_status
from customers.api.calls import CALLS, PREFIX, TAGS, Call, Link
from customers.api.examples import EXAMPLES, MORE_REQUESTS
from customers.api.parameters import HEADERS, PARAMETERS, header_reference, parameter_reference
from customers.api.problems import Kind, kinds_of
from customers.api.prose import DESCRIPTION
from customers.errors import PROBLEM_TYPE
from customers.json_input import Body
from customers.numbers import COUNT_MAX
from customers.rate_limits.requests import LIMIT_OF_VIEW

SCHEMA_REFERENCE = "#/components/schemas/{model}"
OF_EVERY_ANSWER = ("X-Request-Id", "X-Served-By")

_MEANINGS = {
    400: "The request cannot be read.",
    401: "Not signed in, or the session has ended.",
    402: "The account has no valid payment card.",
    403: "The current password is wrong.",
    404: "There is nothing at this address, or it belongs to another customer.",
    409: "Not possible as things are now.",
    412: "`If-Match` can never be met: this API gives weak entity tags.",
    413: "The body is too large.",
    415: "The body is not application/json in UTF-8.",
    422: "Some fields are not right.",
    429: "Too often; come again after `Retry-After` seconds.",
    503: "Not at the moment; come again after `Retry-After` seconds.",
}
_MODELS: dict[int, type[models.Answer]] = {
    402: models.RefusalProblem,
    403: models.InvalidProblem,
    409: models.RefusalProblem,
    422: models.InvalidProblem,
}
_BODY_ERRORS = (400, 413, 415)
_OF_THE_BALANCER = "load-balancer"
_QUOTA = ("RateLimit", "RateLimit-Policy")
_MORE_HEADERS = {401: ("WWW-Authenticate",), 429: ("Retry-After", *_QUOTA), 503: ("Retry-After",)}

Document = dict[str, Any]


def document(
    lines_max: int = models.LINES_MAX, quantity_max: int = COUNT_MAX, today: dt.date | None = None
) -> Document:
    """The whole description (D1). The limits are those of the section ``cart``."""
    day = today or dt.datetime.now(dt.UTC).date()
    return _document(lines_max, quantity_max, day.replace(day=1))


@cache
def encoded(lines_max: int, quantity_max: int, month: dt.date) -> bytes:
    """The description as it is sent, made once a month."""
    return json.dumps(document(lines_max, quantity_max, month), separators=(",", ":")).encode()


@cache
def _document(lines_max: int, quantity_max: int, month: dt.date) -> Document:
    responses: Document = {}
    paths: dict[str, Document] = {}
    for call in CALLS:
        paths.setdefault(PREFIX + call.path, {})[call.method] = _operation(call, responses)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Central Distribution shop",
            "version": "1",
            "summary": "A shop with scarce stock, for programs.",
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "This shop."}],
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": _schemas(lines_max, quantity_max, month),
            "responses": responses,
            "parameters": {name: {"name": name} | described for name, described in PARAMETERS.items()},
            "headers": HEADERS,
            "securitySchemes": {
                "session": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token of POST /api/v1/session. Cookies of the pages are not looked at.",
                }
            },
        },
    }


def _schemas(lines_max: int, quantity_max: int, month: dt.date) -> Document:
    described: list[Any] = [call.answer for call in CALLS if call.answer] + [call.body for call in CALLS if call.body]
    described += [models.Problem, models.InvalidProblem, models.RefusalProblem]
    _, found = models_json_schema(
        [(model, "serialization" if issubclass(model, models.Answer) else "validation")
         for model in dict.fromkeys(described)],
        ref_template=SCHEMA_REFERENCE,
    )  # fmt: skip
    schemas: Document = _tidied(found["$defs"])
    schemas["NewOrder"]["properties"]["lines"]["maxItems"] = lines_max
    for model in ("NewQuantity", "OrderLineWanted"):
        schemas[model]["properties"]["quantity"]["maximum"] = quantity_max
    schemas["NewCard"]["properties"]["expiry"]["pattern"] = expiry_pattern(month)
    return schemas


def _tidied(schema: Any) -> Any:
    """Without pydantic's titles, which repeat the names, and its defaults, which stand for "not sent"."""
    if isinstance(schema, list):
        return [_tidied(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == models.NAME:
        schema = {key: value for key, value in schema.items() if key != "format"} | {"pattern": names.pattern()}
    kept = {key: value for key, value in schema.items() if not _is_noise(key, value)}
    return {key: _tidied(value) for key, value in kept.items()}


def _is_noise(key: str, value: Any) -> bool:
    return (key == "title" and isinstance(value, str)) or (key == "default" and value in ("", []))


def expiry_pattern(today: dt.date) -> str:
    """Exactly the months that a card may end with today (D2)."""
    first, last = today.year % 100, (today.year + cards.YEARS_AHEAD_MAX) % 100
    months = "|".join(f"{month:02}" for month in range(today.month, 13))
    years = "|".join(f"{year:02}" for year in range(first + 1, last + 1))
    return f"^(?:(?:{months})/{first:02}|(?:0[1-9]|1[0-2])/(?:{years}))$"


def _operation(call: Call, responses: Document) -> Document:
    names = call.parameters + (("If-None-Match",) if call.conditional else ())
    operation: Document = {
        "operationId": call.name,
        "tags": [call.tag],
        "summary": call.summary,
        "description": call.description or f"{call.summary}.",
        "security": [] if call.public else [{"session": []}],
        "parameters": [parameter_reference(name) for name in names],
        "responses": _responses(call, responses),
    }
    if call.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": _request(call.body)}}
    return operation


def _request(body: type[Body]) -> Document:
    name = body.__name__
    examples = {"usual": EXAMPLES[name]} | MORE_REQUESTS.get(name, {})
    return _schema_of(body) | {"examples": {key: {"value": value} for key, value in examples.items()}}


def errors_of(call: Call) -> list[int]:
    """Every status with which the shop can refuse this call."""
    errors = {*call.errors, 422, 503}  # 422: a parameter that the call does not know
    if call.body is not None:
        errors |= set(_BODY_ERRORS)
    if not call.is_safe:
        errors.add(412)
    if not call.public:
        errors.add(401)
    if _is_limited(call):
        errors.add(429)
    return sorted(errors)


def _is_limited(call: Call) -> bool:
    return f"api.{call.name}" in LIMIT_OF_VIEW


def _responses(call: Call, shared: Document) -> Document:
    conditional = ("ETag", "Cache-Control") if call.conditional else ()
    headers = call.headers + conditional + (_QUOTA if _is_limited(call) else ())
    done: Document = {"description": f"{call.summary}: done.", "headers": _headers(headers)}
    if call.answer is not None:
        content = _schema_of(call.answer) | {"examples": {"usual": {"value": EXAMPLES[call.answer.__name__]}}}
        done["content"] = {"application/json": content}
    if call.links:
        done["links"] = {name: _link(link) for name, link in call.links.items()}
    answers: Document = {str(call.status): done}
    if call.conditional:
        answers["304"] = {"description": "The answer that you have is the newest.", "headers": _headers(conditional)}
    for status, kinds, own in _refusals(call):
        name = f"{status}-" + "-or-".join([kind.type for kind in kinds] + [_OF_THE_BALANCER] * (own is not None))
        shared.setdefault(name, _error(status, kinds, own))
        answers[str(status)] = {"$ref": f"#/components/responses/{name}"}
    return answers


def _refusals(call: Call) -> Iterator[tuple[int, list[Kind], BalancerAnswer | None]]:
    """Each status of D3 with what the shop, and what the load balancer means by it."""
    by_shop = errors_of(call)
    by_balancer = answers_by_status(has_body=call.body is not None)
    for status in sorted({*by_shop, *by_balancer}):
        yield status, kinds_of(call.name, status) if status in by_shop else [], by_balancer.get(status)


def _link(link: Link) -> Document:
    shown: Document = {"operationId": link.call, "description": link.description}
    if link.parameters:
        shown["parameters"] = dict(link.parameters)
    if link.body is not None:
        shown["requestBody"] = link.body
    return shown


def _error(status: int, kinds: list[Kind], own: BalancerAnswer | None) -> Document:
    examples = {kind.type: {"summary": kind.title, "value": kind.example(PREFIX)} for kind in kinds}
    if own is not None:
        examples[_OF_THE_BALANCER] = {"summary": f"{own.title} (load balancer)", "value": own.example()}
    content = _schema_of(_MODELS.get(status, models.Problem)) | {"examples": examples}
    return {
        "description": own.meaning if own is not None and not kinds else _MEANINGS[status],
        "headers": _headers(_MORE_HEADERS.get(status, ())),
        "content": {PROBLEM_TYPE: content},
    }


def _headers(names: tuple[str, ...]) -> Document:
    return {name: header_reference(name) for name in (*OF_EVERY_ANSWER, *names)}


def _schema_of(model: type[models.Answer] | type[Body]) -> Document:
    return {"schema": {"$ref": SCHEMA_REFERENCE.format(model=model.__name__)}}
