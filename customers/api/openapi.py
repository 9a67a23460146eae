"""/api/v1/openapi.json: OpenAPI 3.1, put together from the models and one row a call.

Written by hand, not by a framework: the views stay plain functions, and a test compares the rows with the routes.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic.json_schema import models_json_schema

from customers.api import models
from customers.json_input import Body
from customers.query_input import CODE_LENGTH_MAX, PAGE_MAX, PER_PAGE_DEFAULT, PER_PAGE_MAX, SEARCH_LENGTH_MAX, SORTS

SCHEMA_REFERENCE = "#/components/schemas/{model}"
KEY_PATTERN = r"^[!-~]{1,200}$"

_MEANINGS = {
    400: "The request cannot be read.",
    401: "Not signed in, or the session has ended.",
    402: "The account has no valid payment card.",
    403: "The current password is wrong.",
    404: "There is nothing at this address, or it belongs to another customer.",
    409: "Not possible as things are now.",
    413: "The body is too large.",
    415: "The body is not application/json in UTF-8.",
    422: "Some fields are not right; `errors` names them.",
    429: "Too many wrong passwords; come again after Retry-After seconds.",
    503: "Busy, or between two months; come again after Retry-After seconds.",
}
_PROBLEMS: dict[int, type[models.Answer]] = {
    403: models.InvalidProblem,
    409: models.ConflictProblem,
    422: models.InvalidProblem,
}
_BODY_ERRORS = (400, 413, 415, 422)


@dataclass(frozen=True)
class Call:
    """One row: what is asked, what is answered, what can be refused."""

    method: str
    path: str
    name: str
    summary: str
    status: int
    answer: type[models.Answer] | None = None
    body: type[Body] | None = None
    errors: tuple[int, ...] = ()
    parameters: tuple[str, ...] = ()
    public: bool = False


CALLS = (
    Call("post", "/customers", "create_customer", "Open an account.", 201, models.Account, models.NewCustomer,
         (409,), public=True),
    Call("post", "/session", "create_session", "Sign in.", 200, models.Session, models.Credentials,
         (401, 429), public=True),
    Call("delete", "/session", "delete_session", "Sign out, on every instance.", 204),
    Call("get", "/me", "show_me", "The own account.", 200, models.Me),
    Call("patch", "/me", "change_me", "Change the own account.", 200, models.Me, models.AccountChange,
         (403, 409, 429)),
    Call("delete", "/me", "delete_me", "Delete the own account; its orders stay, anonymised.", 204),
    Call("put", "/me/card", "put_card", "Set the payment card.", 200, models.Card, models.NewCard),
    Call("delete", "/me/card", "delete_card", "Remove the payment card.", 204),
    Call("post", "/me/finished", "finish", "Say to be done for this month.", 200, models.Finished),
    Call("get", "/month", "show_month", "The current month.", 200, models.Month, public=True),
    Call("get", "/products", "list_products", "What is in stock.", 200, models.ProductPage, None, (422,),
         ("q", "manufacturer", "sort", "page", "per_page"), public=True),
    Call("get", "/products/{stock_id}", "show_product", "One product, in stock or not.", 200, models.Product, None,
         (404,), ("stock_id",), public=True),
    Call("get", "/cart", "show_cart", "The cart, at current prices.", 200, models.Cart),
    Call("put", "/cart/{stock_id}", "put_in_cart", "Set how many of one product are in the cart.", 200, models.Cart,
         models.NewQuantity, (404, 409), ("stock_id",)),
    Call("delete", "/cart/{stock_id}", "take_out_of_cart", "Take one product out of the cart.", 200, models.Cart,
         None, (404,), ("stock_id",)),
    Call("post", "/orders", "place_order", "Buy the lines, or the cart. The same key gets the same answer.", 201,
         models.Order, models.NewOrder, (402, 409), ("Idempotency-Key",)),
    Call("get", "/orders", "list_orders", "The own orders, newest first.", 200, models.OrderPage, None, (422,),
         ("page", "per_page")),
    Call("get", "/orders/{order_id}", "show_order", "One of the own orders.", 200, models.Order, None, (404,),
         ("order_id",)),
)  # fmt: skip

_NO_CONTROLS = r"^[^\u0000-\u001f\u007f-\u009f]*$"
_ID = {"type": "integer", "minimum": 1, "maximum": models.ID_MAX}
_PARAMETERS: dict[str, dict[str, Any]] = {
    "q": {
        "in": "query",
        "description": "words in the name",
        "schema": {"type": "string", "maxLength": SEARCH_LENGTH_MAX, "pattern": _NO_CONTROLS},
    },
    "manufacturer": {
        "in": "query",
        "description": "a manufacturer's code",
        "schema": {"type": "string", "maxLength": CODE_LENGTH_MAX, "pattern": _NO_CONTROLS},
    },
    "sort": {"in": "query", "schema": {"type": "string", "enum": list(SORTS), "default": SORTS[0]}},
    "page": {"in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": 1}},
    "per_page": {
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": PER_PAGE_MAX, "default": PER_PAGE_DEFAULT},
    },
    "stock_id": {"in": "path", "required": True, "schema": _ID},
    "order_id": {"in": "path", "required": True, "schema": _ID},
    "Idempotency-Key": {
        "in": "header",
        "required": True,
        "description": "chosen by you, new for every purchase that you mean; send it again when an answer was lost",
        "schema": {"type": "string", "pattern": KEY_PATTERN},
    },
}


QUERY_PARAMETERS = frozenset({name for name, described in _PARAMETERS.items() if described["in"] == "query"})


@cache
def document(lines_max: int = models.LINES_MAX, quantity_max: int = models.QUANTITY_MAX) -> dict[str, Any]:
    """The whole description; the same on every instance. The limits are those of the section ``cart``."""
    described = [call.answer for call in CALLS if call.answer] + [call.body for call in CALLS if call.body]
    described += [models.Problem, models.InvalidProblem, models.ConflictProblem]
    unique = list(dict.fromkeys(described))
    _, schemas = models_json_schema(
        [(model, "serialization" if issubclass(model, models.Answer) else "validation") for model in unique],
        ref_template=SCHEMA_REFERENCE,
    )
    schemas["$defs"]["NewOrder"]["properties"]["lines"]["maxItems"] = lines_max
    for model in ("NewQuantity", "OrderLineWanted"):
        schemas["$defs"][model]["properties"]["quantity"]["maximum"] = quantity_max
    paths: dict[str, dict[str, Any]] = {}
    for call in CALLS:
        paths.setdefault("/api/v1" + call.path, {})[call.method] = _operation(call)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Shop", "version": "1", "description": "Errors are application/problem+json (RFC 9457)."},
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"session": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(call: Call) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": call.name,
        "summary": call.summary,
        "security": [] if call.public else [{"session": []}],
        "parameters": [{"name": name} | _PARAMETERS[name] for name in call.parameters],
        "responses": _responses(call),
    }
    if call.body is not None:
        operation["requestBody"] = {"required": True, "content": _content("application/json", call.body)}
    return operation


def _responses(call: Call) -> dict[str, Any]:
    done: dict[str, Any] = {"description": "Done."}
    if call.answer is not None:
        done["content"] = _content("application/json", call.answer)
    errors = {*call.errors, 422, 503}
    if call.body is not None:
        errors |= set(_BODY_ERRORS)
    if not call.public:
        errors.add(401)
    return {str(call.status): done} | {str(status): _error(status) for status in sorted(errors)}


def _error(status: int) -> dict[str, Any]:
    model = _PROBLEMS.get(status, models.Problem)
    response: dict[str, Any] = {
        "description": _MEANINGS[status],
        "content": _content("application/problem+json", model),
    }
    if status in {429, 503}:
        response["headers"] = {"Retry-After": {"description": "seconds", "schema": {"type": "integer"}}}
    return response


def _content(media_type: str, model: type[models.Answer] | type[Body]) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": SCHEMA_REFERENCE.format(model=model.__name__)}}}
