"""Quantities for open pages without Flask and without a thread: most requests are this one, and its answer is in memory.

O1  The answer is that of pages/stock_views.py, header for header; a test compares them.
O2  It never waits: not for the database, not for a lock, not for another request. It is given on the event
    loop, which reads all connections.
O3  Whatever is not quite ordinary is not answered here but in the usual way: another method or version, a body, a list
    that is wrong, not in memory or so long that it is sent coded, a visitor whose own holds would have to be known.
"""

import time
from typing import Any

from werkzeug.http import parse_etags

from customers import compression, metrics, request_id, security_headers
from customers.instance import Instance
from customers.pages import stock_views
from customers.stock_watch import Found
from customers.wsgi import Answer, Fields

PATH = "/stock"
RAW_PATH = PATH.encode()
PREFIX = b"ids="

_A_BODY = frozenset({b"content-length", b"transfer-encoding"})


class StockAtOnce:
    """One object an instance; called with ASGI's scopes."""

    def __init__(self, instance: Instance) -> None:
        self._shop = instance.shop
        on_all = dict(security_headers.fields(behind_tls=instance.runtime.settings.customers.secure_cookies))
        own = {"Cache-Control": stock_views.CACHE_CONTROL, "Vary": "Accept-Encoding", "X-Served-By": instance.name}
        self._fields: Fields = [(name.lower().encode(), value.encode()) for name, value in (on_all | own).items()]
        self._fields_of_a_body: Fields = [*self._fields, (b"content-type", stock_views.CONTENT_TYPE.encode())]

    def __call__(self, scope: Any) -> Answer | None:
        """The whole answer, or None: then the request takes the usual way."""
        if scope["raw_path"] != RAW_PATH or scope["method"] != "GET" or scope["http_version"] != "1.1":
            return None
        began = time.perf_counter()
        sent = dict(scope["headers"])
        found = self._found(scope, sent)
        if found is None:
            return None
        tag = stock_views.tag_of(found)
        if _has(sent.get(b"if-none-match"), tag):
            status, body, fields = 304, b"", self._fields
        else:
            status, body, fields = 200, stock_views.body_of(found), self._fields_of_a_body
            if len(body) >= compression.BYTES_MIN:
                return None
        metrics.request_answered(PATH, "GET", status, time.perf_counter() - began)
        return Answer(status, [*fields, *_own_fields(sent, tag, body)], body)

    def _found(self, scope: Any, sent: dict[bytes, bytes]) -> Found | None:
        if not _A_BODY.isdisjoint(sent) or (self._shop.carts_hold and b"cookie" in sent):
            return None
        query: bytes = scope["query_string"]
        ids = stock_views.read_ids(query[len(PREFIX) :].decode("latin-1")) if query.startswith(PREFIX) else None
        return None if ids is None else self._shop.window.stock.at_once(ids)


def _own_fields(sent: dict[bytes, bytes], tag: str, body: bytes) -> Fields:
    number = request_id.chosen(sent.get(b"x-request-id", b"").decode("latin-1"))
    fields = [(b"etag", f'W/"{tag}"'.encode()), (b"x-request-id", number.encode())]
    return [*fields, (b"content-length", b"%d" % len(body))] if body else fields


def _has(given: bytes | None, tag: str) -> bool:
    """Whether the client has this very answer (RFC 9110, 13.1.2)."""
    if given is None:
        return False
    text = given.decode("latin-1")
    return text == f'W/"{tag}"' or parse_etags(text).contains_weak(tag)
