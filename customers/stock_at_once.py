"""Quantities for open pages without Flask and without a thread: most requests are this one, and its answer is in memory.

O1  The answer is that of pages/stock_views.py, header for header; a test compares them.
O2  It never waits: not for the database, not for a lock, not for another request. It is given on the thread that reads all
    connections.
O3  Whatever is not quite ordinary is not answered here but in the usual way: another method or version, a body, a list
    that is wrong, not in memory or so long that it is sent coded, a visitor whose own holds would have to be known.
"""

import time
from typing import Any

from flask import Response
from waitress.utilities import build_http_date
from werkzeug.http import parse_etags

from customers import compression, metrics, request_id, security_headers
from customers.instance import Instance
from customers.pages import stock_views

PATH = "/stock"
PREFIX = "ids="


class StockAtOnce:
    """One object an instance; called with waitress's requests."""

    def __init__(self, instance: Instance) -> None:
        self._shop = instance.shop
        usual = Response(content_type=stock_views.CONTENT_TYPE, headers={"Cache-Control": stock_views.CACHE_CONTROL})
        usual.vary.add("Accept-Encoding")
        usual.headers["X-Served-By"] = instance.name
        security_headers.add(usual, behind_tls=instance.runtime.settings.customers.secure_cookies)
        kept = {name: value for name, value in usual.headers.items() if name != "Content-Length"}
        self._head = "".join(f"{name}: {value}\r\n" for name, value in kept.items() if name != "Content-Type")
        self._type = f"Content-Type: {kept['Content-Type']}\r\n"

    def __call__(self, request: Any) -> bytes | None:
        """The whole answer as it goes over the wire, or None: then the request takes the usual way."""
        began = time.perf_counter()
        ids = self._ids(request)
        found = None if ids is None else self._shop.window.stock.at_once(ids)
        if found is None:
            return None
        tag = stock_views.tag_of(found)
        if _has(request.headers.get("IF_NONE_MATCH"), tag):
            status, body = "304 NOT MODIFIED", b""
        else:
            status, body = "200 OK", stock_views.body_of(found)
            if len(body) >= compression.BYTES_MIN:
                return None
        metrics.request_answered(PATH, "GET", int(status[:3]), time.perf_counter() - began)
        return self._head_of(request, status, tag, len(body)) + body

    def _ids(self, request: Any) -> tuple[int, ...] | None:
        if request.error or request.path != PATH or request.command != "GET" or request.version != "1.1":
            return None
        if request.chunked or request.content_length or request.connection_close:
            return None
        if self._shop.carts_hold and "COOKIE" in request.headers:
            return None
        query: str = request.query
        return stock_views.read_ids(query[len(PREFIX) :]) if query.startswith(PREFIX) else None

    def _head_of(self, request: Any, status: str, tag: str, length: int) -> bytes:
        number = request_id.chosen(request.headers.get("X_REQUEST_ID", ""))
        head = f'HTTP/1.1 {status}\r\n{self._head}ETag: W/"{tag}"\r\nX-Request-Id: {number}\r\n'
        if length:
            head += f"{self._type}Content-Length: {length}\r\n"
        return f"{head}Date: {build_http_date(time.time())}\r\n\r\n".encode("latin-1")


def _has(given: str | None, tag: str) -> bool:
    """Whether the client has this very answer (RFC 9110, 13.1.2)."""
    return given is not None and (given == f'W/"{tag}"' or parse_etags(given).contains_weak(tag))
