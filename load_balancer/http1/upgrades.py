"""Changes of protocol on a connection: ``Upgrade``, and its one use today, WebSocket (RFC 9110 7.8, RFC 6455).

G1  A request asks for a protocol only if it is a GET in HTTP/1.1 without a body that names exactly one, and Connection nominates
    it. What else stands there is ignored, as a server may (RFC 9110 7.8), and never passed on: the rest is an ordinary request.
G2  h2c is never asked for (RFC 9113 3.1 took it away): who smuggles requests into such a tunnel gets ordinary answers.
G3  A handshake for WebSocket that is not one by the letter is refused here (RFC 6455 4.2.1): 426 for another version, else 400.
G4  The connection changes only if the answer is a 101 that names the protocol that was asked for, without a body, and for
    WebSocket holds what only a server that has read the key can know (RFC 6455 4.2.2).
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from load_balancer.http1.events import Framing, Request, Reserved, Response
from load_balancer.http1.grammar import TOKEN

WEBSOCKET: Final = b"websocket"
NEVER: Final = frozenset({b"h2c", b"http", b"tls"})  # G2; the others would carry requests past us just so
_ACCEPTED: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")  # 16 bytes in Base64
_VERSION: Final = b"13"


class Refusal(NamedTuple):
    """Why a handshake is refused; ``extra``: lines that the answer has to have."""

    status: int
    reason: str
    extra: bytes = b""


_OTHER_VERSION: Final = Refusal(
    426,
    "WebSocket is spoken in version 13",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: %b\r\n" % _VERSION,
)


def protocol(found: Mapping[bytes, Sequence[bytes]], options: frozenset[bytes]) -> bytes:
    """The one protocol, in lower case, that these fields name and Connection nominates; nothing without one."""
    given = found.get(b"upgrade", ())
    if len(given) != 1 or b"upgrade" not in options:
        return b""
    name, slash, version = given[0].lower().partition(b"/")
    if not TOKEN.fullmatch(name) or (slash and not TOKEN.fullmatch(version)) or name in NEVER:
        return b""
    return given[0].lower()


def asks(method: bytes, minor: int, framing: Framing) -> bool:
    """G1, of one that names a protocol."""
    return method == b"GET" and minor == 1 and framing is Framing.NONE


def refusal(request: Request) -> Refusal | None:
    """G3."""
    if request.fields.facts.upgrade != WEBSOCKET:
        return None
    versions, keys = _values(request, b"sec-websocket-version"), _values(request, b"sec-websocket-key")
    if len(keys) != 1 or len(versions) != 1 or not _KEY.fullmatch(keys[0]):
        return Refusal(400, "not a handshake for WebSocket")
    return None if versions[0] == _VERSION else _OTHER_VERSION


def asking(request: Request) -> Request:
    """The request as it asks a server for the protocol, where that is allowed."""
    lines = b"Connection: Upgrade\r\nUpgrade: %b\r\n" % request.fields.facts.upgrade
    return request._replace(opening=request.opening + lines, reserved=Reserved.SWITCH)


def fault(request: Request, response: Response) -> str | None:
    """What is wrong with a 101 that answers this request (G4); None for a good one."""
    fields, asked = response.fields, request.fields.facts.upgrade
    named = [field.value.lower() for field in fields.all if field.key == b"upgrade"]
    if named != [asked] or b"upgrade" not in fields.facts.options:
        return "the server switched to another protocol than the one that was asked for"
    if fields.facts.chunked or fields.facts.length is not None:
        return "the server switched protocols with a body"
    accepted = [field.value for field in fields.all if field.key == b"sec-websocket-accept"]
    if asked == WEBSOCKET and accepted != [_accept(_values(request, b"sec-websocket-key")[0])]:
        return "the server switched to WebSocket without having read the key"
    return None


def switching_lines(request: Request) -> bytes:
    """What the 101 says of the connection."""
    return b"Connection: Upgrade\r\nUpgrade: %b\r\n" % request.fields.facts.upgrade


def _accept(key: bytes) -> bytes:
    return base64.b64encode(hashlib.sha1(key + _ACCEPTED, usedforsecurity=False).digest())


def _values(request: Request, key: bytes) -> list[bytes]:
    return [field.value for field in request.fields.all if field.key == key]
