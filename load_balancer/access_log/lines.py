"""The access log's lines: Apache's combined format, or one JSON object each. Pure functions of what was noted.

L1  Whatever a client sends, one answer is one line of printable ASCII: quotes, backslashes and all else are escaped.
L2  Of a request's fields only Referer (without its query) and User-Agent get into a line; never a cookie or a credential.
L3  Of a target's query, values that may be secret or personal are replaced: by their name, or because they look like a
    token, a card's number or an address. Long runs of digits, and tokens, are replaced in paths too.
"""

import re
import time
from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote_plus

from load_balancer.http1.events import Request
from load_balancer.http1.traces import NUMBER_DIGITS, TraceParts, trace_id

HIDDEN: Final = "***"
SHOWN_MAX: Final = 512  # characters of a target, a referer or a user agent; the rest is cut off
CLIENT_CLOSED: Final = 499  # nginx's status for a client that went away before it had an answer
_SECRET_NAMES: Final = re.compile(
    r"(?i)pass|pwd|secret|token|key|auth|sess|sid\b|sig|code|card|cvc|cvv|pin|number|credential|nonce|mail|phone|name"
)
_DIGITS: Final = re.compile(r"(?:\d[ .-]?){11,}\d")
_TOKEN: Final = re.compile(r"(?=[^ ]*\d)(?=[^ ]*[A-Za-z])[\w.~+/=-]{20,}")
_TOKEN_IN_PATH: Final = re.compile(r"(?=[^ ]*\d)(?=[^ ]*[A-Za-z])[\w~+=-]{40,}")
_UNSAFE: Final = re.compile(r'[^\x20-\x7e]|["\\]')


class Outcome(Enum):
    """How an answer ended."""

    COMPLETE = "complete"
    CUT = "cut off by the server"
    CLIENT_GONE = "the client went away"


_OUTCOMES: Final = {outcome: outcome.value for outcome in Outcome}  # an enum's value is found more slowly


class Entry(NamedTuple):
    """What is noted of one answer. ``at``: seconds since 1970; ``server``: who made it; ``body_bytes``: as sent.

    ``request`` is None where the client's bytes were none.
    """

    at: float
    address: bytes
    request: Request | None
    request_id: bytes
    status: int
    body_bytes: int
    seconds: float
    server: bytes
    outcome: Outcome


Formatter = Callable[[Entry], str]


def formatter(kind: str, parts: TraceParts) -> Formatter:
    """Of ``combined`` or ``json``; ``parts``: of the traces that this process begins."""
    return combined if kind == "combined" else lambda entry: json_line(entry, parts)


def combined(entry: Entry) -> str:
    """Apache's combined format, which every log reader knows."""
    line = '"-"'
    referer = agent = "-"
    if entry.request is not None:
        request = entry.request
        line = f'"{request.method.decode("ascii")} {shown_target(request.target)} HTTP/1.{request.minor}"'
        referer, agent = _told_fields(request)
    address, size = entry.address.decode("ascii"), entry.body_bytes or "-"
    return f'{address} - - [{_clf_second(int(entry.at))}] {line} {entry.status} {size} "{referer}" "{agent}"'


def json_line(entry: Entry, parts: TraceParts) -> str:
    """Everything that was noted; times in UTC, durations in seconds. Put together by hand: json.dumps costs three times as much,
    and after ``_shown`` there is only the backslash left to be escaped."""
    at, request = entry.at, entry.request
    told = ""
    if request is not None:
        referer, agent = _told_fields(request)
        told = (
            f', "method": "{request.method.decode("ascii")}", "target": "{shown_target(request.target)}", '
            f'"protocol": "HTTP/1.{request.minor}", "host": "{_shown_text(request.host)}", "referer": "{referer}", '
            f'"user_agent": "{agent}", "trace_id": "{_trace(request, entry.request_id, parts)}"'
        ).replace("\\", "\\\\")
    return (
        f'{{"time": "{_rfc3339_second(int(at))}.{int(at % 1 * 1000):03d}Z", "client": "{entry.address.decode("ascii")}", '
        f'"status": {entry.status}, "bytes": {entry.body_bytes}, "seconds": {entry.seconds:.6f}, '
        f'"server": "{entry.server.decode("ascii")}", "request_id": "{entry.request_id.decode("ascii")}", '
        f'"outcome": "{_OUTCOMES[entry.outcome]}"{told}}}'
    )


def _trace(request: Request, request_id: bytes, parts: TraceParts) -> str:
    trace = request.fields.facts.trace
    if not trace:
        return parts.trace_id(request_id[-NUMBER_DIGITS:]).decode("ascii")
    return (trace_id(trace.split(b": ", 1)[1].split(b"\r\n", 1)[0]) or b"").decode("ascii")


def _told_fields(request: Request) -> tuple[str, str]:
    """Referer and User-Agent (L2), each "-" where there is none."""
    referer = agent = b""
    for key, _, value, _, _ in request.fields.all:
        if key == b"user-agent":
            agent = agent or value
        elif key == b"referer":
            referer = referer or value
    return _shown_referer(referer), _shown_text(agent)


@lru_cache(maxsize=4_096)
def shown_target(target: bytes) -> str:
    """A target as a line has it (L1, L3)."""
    path, mark, query = target.decode("latin-1").partition("?")
    shown = _shown_path(path)
    if mark:
        shown += "?" + "&".join(_shown_pair(pair) for pair in query.split("&"))
    return _shown(shown)


def _shown_path(path: str) -> str:
    return "/".join(
        HIDDEN if _DIGITS.search(decoded := unquote_plus(segment)) or _TOKEN_IN_PATH.fullmatch(decoded) else segment
        for segment in path.split("/")
    )


def _shown_pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    plain = unquote_plus(unquote_plus(value if equals else name))
    secret = _DIGITS.search(plain) or _TOKEN.search(plain) or "@" in plain
    if not equals:
        return HIDDEN if secret else pair
    return f"{name}={HIDDEN}" if value and (secret or _SECRET_NAMES.search(unquote_plus(name))) else pair


@lru_cache(maxsize=1_024)
def _shown_referer(referer: bytes) -> str:
    """Without its query; what stands before the path (a user and password may) only up to the host."""
    text = referer.decode("latin-1").partition("?")[0].partition("#")[0]
    scheme, mark, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    if not mark:
        return _shown(_shown_path(text)) or "-"
    return _shown(f"{scheme}://{host.rpartition('@')[2]}{slash}{_shown_path(path)}")


@lru_cache(maxsize=1_024)
def _shown_text(text: bytes) -> str:
    return _shown(text.decode("latin-1")) or "-"


def _shown(text: str) -> str:
    """L1, as nginx writes it."""
    return _UNSAFE.sub(lambda match: f"\\x{ord(match[0]):02X}", text[:SHOWN_MAX])


@lru_cache(maxsize=4)
def _clf_second(second: int) -> str:
    moment = time.gmtime(second)
    month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[moment.tm_mon - 1]
    return time.strftime(f"%d/{month}/%Y:%H:%M:%S +0000", moment)


@lru_cache(maxsize=4)
def _rfc3339_second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
