"""A request as WSGI wants it, and the application's answer as one value (PEP 3333). No I/O: the server reads and sends.

W1  The environ holds bytes as latin-1 text: the path decoded from its percent signs, everything else as it came.
W2  Names of fields with an underscore are left out: in an environ they could not be told from those with a hyphen, and a
    client could write the load balancer's `X-Forwarded-For` with them.
W3  A body is whole and its length known, however it was sent: the application never waits for it.
W4  An answer says its length, unless it can have no body (204, 304): then it says nothing of one.
W5  When an answer was made is said once, by the server: of two Date fields a cache could believe either (RFC 9110, 6.6.1).
"""

import io
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Iterable[bytes]]
Fields = list[tuple[bytes, bytes]]

NAMES_KEPT = 500  # of fields; browsers and load balancers send some fifty in all
WITHOUT_BODY = frozenset({204, 304})

_OF_A_BODY = frozenset({b"content-type", b"content-length"})
_OWN_KEYS = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}  # without HTTP_, as in CGI
_SAME_FOR_ALL: Environ = {
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
    "wsgi.input_terminated": True,
}


class Answer(NamedTuple):
    """``fields``: names in lower case, as they go over the wire."""

    status: int
    fields: Fields
    body: bytes


def environ_of(scope: Any) -> Environ:
    """From ASGI's scope; still without a body (W1, W2)."""
    environ = _SAME_FOR_ALL.copy()
    environ["REQUEST_METHOD"] = scope["method"]
    raw_path: bytes = scope["raw_path"]
    path = unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path
    environ["PATH_INFO"] = path.decode("latin-1")
    environ["QUERY_STRING"] = scope["query_string"].decode("latin-1")
    environ["SERVER_PROTOCOL"] = "HTTP/" + scope["http_version"]
    host, port = scope["server"]
    environ["SERVER_NAME"] = host
    environ["SERVER_PORT"] = str(port)
    client = scope["client"]
    if client is not None:
        environ["REMOTE_ADDR"] = client[0]
        environ["REMOTE_PORT"] = str(client[1])
    for name, value in scope["headers"]:
        key = _key(name)
        if key in environ:
            environ[key] += ("; " if key == "HTTP_COOKIE" else ", ") + value.decode("latin-1").rstrip(" \t")
        elif key is not None:
            environ[key] = value.decode("latin-1").rstrip(" \t")  # the parser leaves what follows the value
    return environ


def has_body(environ: Environ) -> bool:
    return environ.get("CONTENT_LENGTH", "0") != "0" or "HTTP_TRANSFER_ENCODING" in environ


def add_body(environ: Environ, body: bytes, length: int) -> None:
    """W3. ``length`` is greater than that of ``body`` when the rest was not read: the application is to refuse it."""
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ["CONTENT_LENGTH"] = str(length)
    environ["wsgi.input"] = io.BytesIO(body)


def answer_of(application: Application, environ: Environ) -> Answer:
    """Call it, to the end of its answer (W4). Raises what it raises."""
    started: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(status: str, fields: list[tuple[str, str]], exc_info: object = None) -> Callable[[bytes], None]:
        if started and exc_info is None:
            message = "start_response was called twice"
            raise AssertionError(message)
        started[:] = [(status, fields)]
        return written.append

    chunks = application(environ, start_response)
    try:
        for chunk in chunks:
            written.append(chunk)  # noqa: PERF402 - it may write between two chunks
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    status, fields = started[0]
    return _answer(int(status[:3]), fields, b"".join(written), is_head=environ["REQUEST_METHOD"] == "HEAD")


def _answer(status: int, given: list[tuple[str, str]], body: bytes, *, is_head: bool) -> Answer:
    fields = [(field, value.encode("latin-1")) for name, value in given if (field := _name(name)) != b"date"]  # W5
    if status in WITHOUT_BODY:
        return Answer(status, [field for field in fields if field[0] not in _OF_A_BODY], b"")
    if not is_head and not any(name == b"content-length" for name, _value in fields):
        fields.append((b"content-length", b"%d" % len(body)))
    return Answer(status, fields, body)


@lru_cache(maxsize=NAMES_KEPT)
def _key(name: bytes) -> str | None:
    """The field's name in an environ, or None: it is left out (W2)."""
    text = name.decode("latin-1").lower()
    if "_" in text:
        return None
    return _OWN_KEYS.get(text) or "HTTP_" + text.upper().replace("-", "_")


@lru_cache(maxsize=NAMES_KEPT)
def _name(name: str) -> bytes:
    return name.lower().encode("latin-1")
