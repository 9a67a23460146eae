"""Parameters, response headers: what the description says of everything in a request and an answer but their bodies."""

from typing import Any

from customers.api.examples import REQUEST_ID
from customers.numbers import ROW_ID_MAX
from customers.purchase import KEY_PATTERN
from customers.query_input import (
    CODE_LENGTH_MAX,
    PAGE_MAX,
    PER_PAGE_DEFAULT,
    PER_PAGE_MAX,
    SEARCH_LENGTH_MAX,
    SORTS,
)

_NO_CONTROLS = r"^[^\u0000-\u001f\u007f-\u009f]*$"
_ID = {"type": "integer", "minimum": 1, "maximum": ROW_ID_MAX}

PARAMETERS: dict[str, dict[str, Any]] = {
    "q": {
        "in": "query",
        "description": "Words that must all be in the name or the article number, in any case.",
        "schema": {"type": "string", "maxLength": SEARCH_LENGTH_MAX, "pattern": _NO_CONTROLS},
        "example": "kettle",
    },
    "manufacturer": {
        "in": "query",
        "description": "A manufacturer's code: only its goods.",
        "schema": {"type": "string", "maxLength": CODE_LENGTH_MAX, "pattern": _NO_CONTROLS},
        "example": "m1",
    },
    "sort": {
        "in": "query",
        "description": "By name, by price, or by price with the dearest first.",
        "schema": {"type": "string", "enum": list(SORTS), "default": SORTS[0]},
        "example": "price",
    },
    "page": {
        "in": "query",
        "description": "Which page, from 1. A page beyond the last one, and beyond what a list counts, is empty.",
        "schema": {"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": 1},
        "example": 1,
    },
    "per_page": {
        "in": "query",
        "description": "How many on a page.",
        "schema": {"type": "integer", "minimum": 1, "maximum": PER_PAGE_MAX, "default": PER_PAGE_DEFAULT},
        "example": 20,
    },
    "stock_id": {
        "in": "path",
        "required": True,
        "description": "One good of one manufacturer, as `stock_id` in the list of products.",
        "schema": _ID,
        "example": 17,
    },
    "order_id": {
        "in": "path",
        "required": True,
        "description": "An order's `id`.",
        "schema": _ID,
        "example": 4211,
    },
    "Idempotency-Key": {
        "in": "header",
        "required": True,
        "description": "Chosen by you, new for every purchase that you mean, such as a random UUID; the same again when "
        "an answer was lost. Keys of different customers are unrelated.",
        "schema": {"type": "string", "pattern": f"^{KEY_PATTERN}$"},
        "example": "7f9c2ba4-e88f-4a0b-9e26-1f5d6c2a8f10",
    },
    "If-None-Match": {
        "in": "header",
        "description": "The `ETag` of the answer that you have: 304 without a body if it is still the newest.",
        "schema": {"type": "string"},
        "example": 'W/"0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"',
    },
}
QUERY_PARAMETERS = frozenset({name for name, described in PARAMETERS.items() if described["in"] == "query"})

HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-Id": {
        "description": "The request's number, as the shop's logs have it: the load balancer makes a new one for each request, "
        "whatever is sent. Tell it when you ask for help.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{7,63}$"},
        "example": REQUEST_ID,
    },
    "X-Served-By": {
        "description": "Which instance answered; `load_balancer` if none could.",
        "required": True,
        "schema": {"type": "string"},
        "example": "web-2",
    },
    "ETag": {
        "description": "Names this state of the answer, weakly: it is the same whatever the compression.",
        "required": True,
        "schema": {"type": "string", "pattern": '^W/"[0-9a-f]{40}"$'},
        "example": 'W/"0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"',
    },
    "Cache-Control": {
        "description": "`no-cache`: keep it, but ask again with `If-None-Match` before using it.",
        "required": True,
        "schema": {"type": "string"},
        "example": "no-cache",
    },
    "Link": {
        "description": "Neighbouring pages (RFC 8288): `first`, `prev`, `next`, `last`, as far as there are any.",
        "required": True,
        "schema": {"type": "string"},
        "example": '</api/v1/products?page=1&per_page=20>; rel="first", </api/v1/products?page=2&per_page=20>; rel="next"',
    },
    "Location": {
        "description": "Where to look at what was made.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
        "example": "/api/v1/orders/4211",
    },
    "Idempotency-Replayed": {
        "description": "There, and `true`, if this key was answered before: this is that answer.",
        "schema": {"type": "string", "enum": ["true"]},
        "example": "true",
    },
    "Retry-After": {
        "description": "After how many seconds to ask again.",
        "schema": {"type": "integer", "minimum": 1},
        "example": 3,
    },
    "RateLimit": {
        "description": "What is left of the call's quota: `r` more may come now, all of them again in `t` seconds "
        "(draft-ietf-httpapi-ratelimit-headers).",
        "schema": {"type": "string"},
        "example": '"orders";r=59;t=1',
    },
    "RateLimit-Policy": {
        "description": "The call's quota: `q` requests in `w` seconds, by customer or by network address.",
        "schema": {"type": "string"},
        "example": '"orders";q=60;w=60',
    },
    "WWW-Authenticate": {
        "description": "How to sign in.",
        "required": True,
        "schema": {"type": "string"},
        "example": "Bearer",
    },
}


def header_reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def parameter_reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/parameters/{name}"}
