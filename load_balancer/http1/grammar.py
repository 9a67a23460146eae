"""The byte grammar of RFC 9110 and 9112 as far as we accept it, and the limits on what one message may cost.

Bytes and explicit sets only: Python's int, strip, split and isdigit accept far more than the RFCs do.
"""

import ipaddress
import re
from typing import Final, NamedTuple

_TCHAR: Final = rb"!#$%&'*+\-.^_`|~0-9A-Za-z"
TOKEN: Final = re.compile(rb"[" + _TCHAR + rb"]+")
# A field line without its CR LF: token, colon, value without any control character but TAB.
FIELD_LINE: Final = re.compile(rb"([" + _TCHAR + rb"]++):[ \t]*+([^\x00-\x08\x0a-\x1f\x7f]*+)")
REQUEST_LINE: Final = re.compile(rb"([" + _TCHAR + rb"]++) ([\x21-\x7e]++) HTTP/([0-9])\.([0-9])")
STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?")
CONTENT_LENGTH: Final = re.compile(rb"0|[1-9][0-9]{0,14}")
CHUNK_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,8})"
    rb"(?:;["
    + _TCHAR
    + rb"]++(?:=(?:["
    + _TCHAR
    + rb']++|"(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t\x20-\x7e\x80-\xff])*+"))?)*+'
)
HOST: Final = re.compile(rb"(?:[A-Za-z0-9._-]+|\[([0-9A-Fa-f:.]{2,45})\])(?::([1-9][0-9]{0,4}))?")
OWS: Final = b" \t"

# Limits. Request line: RFC 9112 3 recommends at least 8000; 101 lines: HAProxy's tune.http.maxhdr; the head as a
# whole: twice HAProxy's buffer of 16 KiB, for cookies. A chunk's line: our own choice, no client sends extensions.
REQUEST_LINE_BYTES_MAX: Final = 8_192
HEAD_BYTES_MAX: Final = 32_768
FIELD_LINES_MAX: Final = 100
CHUNK_LINE_BYTES_MAX: Final = 256
TRAILER_BYTES_MAX: Final = 8_192
LEADING_EMPTY_LINES_MAX: Final = 2
PORT_MAX: Final = 65_535


class HeadLimits(NamedTuple):
    """What the head of a request may cost; what a server sends is held to the defaults."""

    request_line_bytes: int = REQUEST_LINE_BYTES_MAX
    head_bytes: int = HEAD_BYTES_MAX
    field_lines: int = FIELD_LINES_MAX


class MalformedError(Exception):
    """The bytes break a rule; ``status`` is what a client is told, ``reason`` is ours and holds none of its bytes."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def valid_host(value: bytes) -> bool:
    """A registered name, IPv4 or bracketed IPv6 address, with an optional port 1..65535; nothing else (no user, no comma)."""
    match = HOST.fullmatch(value)
    if match is None or (match[2] is not None and int(match[2]) > PORT_MAX):
        return False
    return match[1] is None or _is_ipv6(match[1])


def _is_ipv6(text: bytes) -> bool:
    """Brackets hold an IPv6 address, in one of its writings; without a zone, which means nothing to others (RFC 6874)."""
    try:
        ipaddress.IPv6Address(text.decode("ascii"))
    except ValueError:
        return False
    return True
