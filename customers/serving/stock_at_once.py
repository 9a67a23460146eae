"""Quantities for open pages without Flask and without a thread: most requests are this one, and its answer is in memory.

O1  The answer is that of pages/stock_views.py, header for header; a test compares them.
O2  It never waits: not for the database, not for a lock, not for another request. It is given on the event
    loop, which reads all connections.
O3  Whatever is not quite ordinary is not answered here but in the usual way: another method or version, a body, a list
    that is wrong, not in memory or so long that it is sent coded, a visitor whose own holds would have to be known.
O4  An open page asks in the same words again and again, but for what the load balancer numbers and the validator. A head
    that was answered here once is remembered without these, and what it asks for is then not read again. It is known by
    all its other bytes, so nothing is taken for it that the parser would read otherwise.
"""

import re
import time
from typing import Any, NamedTuple

from werkzeug.http import parse_etags

from customers import compression, metrics, request_id, security_headers
from customers.instance import Instance
from customers.pages import stock_views
from customers.serving.connections import HEAD
from customers.serving.wsgi import Answer, Fields
from customers.window.stock_watch import Ids

PATH = "/stock"
RAW_PATH = PATH.encode()
PREFIX = b"ids="
HEADS_KEPT = 2_000  # open pages; about 1 KB each

_NUMBER, _VALIDATOR, _TRACE = b"X-Request-Id", b"If-None-Match", b"traceparent"
# As the load balancer writes them.
_VARYING = re.compile(rb"\r\n(X-Request-Id|If-None-Match|traceparent): ([!-~]+)(?=\r\n)")
_VARYING_NAMES = frozenset({_NUMBER.lower(), _VALIDATOR.lower(), _TRACE})
_A_BODY = frozenset({b"content-length", b"transfer-encoding"})
_OF_CONNECTION = frozenset({b"connection", b"keep-alive", b"upgrade", b"expect", b"te", b"trailer"})


class _Head(NamedTuple):
    """A head in two parts: what it is known by, and what differs each time, by name."""

    known_by: tuple[bytes, ...]
    varying: dict[bytes, bytes]

    @classmethod
    def of(cls, head: bytes) -> "_Head":
        parts = _VARYING.split(head)
        return cls((*parts[::3], *parts[1::3]), dict(zip(parts[1::3], parts[2::3], strict=True)))


class StockAtOnce:
    """One object an instance; called with ASGI's scopes, or by `again` with a whole head."""

    def __init__(self, instance: Instance) -> None:
        self._shop = instance.shop
        on_all = dict(security_headers.fields(behind_tls=instance.runtime.settings.customers.secure_cookies))
        own = {"Cache-Control": stock_views.CACHE_CONTROL, "Vary": "Accept-Encoding", "X-Served-By": instance.name}
        self._fields: Fields = [(name.lower().encode(), value.encode()) for name, value in (on_all | own).items()]
        self._fields_of_a_body: Fields = [*self._fields, (b"content-type", stock_views.CONTENT_TYPE.encode())]
        self._begin_unchanged = b"HTTP/1.1 304 Not Modified\r\n" + _written(self._fields)
        self._heads: dict[tuple[bytes, ...], Ids] = {}

    def __call__(self, scope: Any) -> Answer | None:
        """The whole answer, or None: then the request takes the usual way."""
        if scope["raw_path"] != RAW_PATH or scope["method"] != "GET" or scope["http_version"] != "1.1":
            return None
        began = time.perf_counter()
        sent = dict(scope["headers"])
        ids = self._ids(scope, sent)
        found = None if ids is None else self._shop.window.stock.at_once(ids)
        if ids is None or found is None:
            return None
        tag, told = stock_views.told(ids, found)
        if _has(sent.get(b"if-none-match"), tag):
            status, body, fields = 304, b"", self._fields
        else:
            status, body, fields = 200, told, self._fields_of_a_body
            if len(body) >= compression.BYTES_MIN:
                return None
        self._remember(scope, ids)
        metrics.request_answered(PATH, "GET", status, time.perf_counter() - began)
        return Answer(status, [*fields, *_own_fields(sent, tag, body)], body)

    def again(self, head: bytes) -> bytes | None:
        """The whole answer to a page that has seen nothing else since (304), if the head is known (O4), but for its Date."""
        if not head.startswith(b"GET /stock?"):
            return None
        began = time.perf_counter()
        known_by, varying = _Head.of(head)
        ids = self._heads.get(known_by)
        found = None if ids is None else self._shop.window.stock.at_once(ids)
        if ids is None or found is None:
            return None
        tag = b'W/"%b"' % stock_views.told(ids, found).tag.encode()
        if varying.get(_VALIDATOR) != tag:
            return None
        number = request_id.chosen(varying.get(_NUMBER, b"").decode())
        metrics.request_answered(PATH, "GET", 304, time.perf_counter() - began)
        return b"%betag: %b\r\nx-request-id: %b\r\n" % (self._begin_unchanged, tag, number.encode())

    def _ids(self, scope: Any, sent: dict[bytes, bytes]) -> Ids | None:
        if not _A_BODY.isdisjoint(sent) or (self._shop.carts_hold and b"cookie" in sent):
            return None
        query: bytes = scope["query_string"]
        return stock_views.read_ids(query[len(PREFIX) :].decode("latin-1")) if query.startswith(PREFIX) else None

    def _remember(self, scope: Any, ids: Ids) -> None:
        """O4: unless its other fields say something of the connection, or one of those that vary stands there twice."""
        head: bytes | None = scope.get(HEAD)
        if head is None:
            return
        names = [name for name, _value in scope["headers"]]
        known_by, varying = _Head.of(head)
        if not _OF_CONNECTION.isdisjoint(names) or sum(map(_VARYING_NAMES.__contains__, names)) != len(varying):
            return
        if len(self._heads) >= HEADS_KEPT:
            del self._heads[next(iter(self._heads))]
        self._heads[known_by] = ids


def _written(fields: Fields) -> bytes:
    return b"".join(b"%b: %b\r\n" % field for field in fields)


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
