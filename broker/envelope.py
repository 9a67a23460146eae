"""Message <-> bytes, the same on both carriers. No I/O.

V1  What ``encode`` made, ``decode`` gives back equal.
V2  Bytes that ``encode`` cannot have made raise Poison with a reason fit for people; nothing else is ever raised.
V3  A reason quotes at most QUOTED_CHARACTERS_MAX of what came from outside, escaped.
"""

import json
import re
import uuid
from typing import Any, Never

from broker.contract import TYPES, Message, Poison, Rejected, Unroutable

SCHEMA = 1
CONTENT_TYPE = "application/json"
BYTES_MAX = 4_000_000  # chosen: 10,000 products of a month's totals have 1.7 MB at most; RabbitMQ would allow 128 MiB
QUOTED_CHARACTERS_MAX = 60
REASON_CHARACTERS_MAX = 1_000
_KEYS = frozenset({"schema", "id", "type", "recipient", "body"})
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def encode(message: Message) -> bytes:
    """Raises Unroutable for a message that is too large; Rejected for one of a type that no consumer would take.

    Neither is a reason to stop the sender: a row of a newer version must not hold up all that come after it.
    """
    if message.type not in TYPES:
        msg = f"unknown message type {message.type!r}; known: {', '.join(sorted(TYPES))}"
        raise Rejected(msg)
    envelope = {
        "schema": SCHEMA,
        "id": str(message.id),
        "type": message.type,
        "recipient": message.recipient,
        "body": message.body,
    }
    raw = json.dumps(envelope, allow_nan=False, separators=(",", ":")).encode("ascii")
    if len(raw) > BYTES_MAX:
        msg = f"message {message.id} has {len(raw)} bytes, more than {BYTES_MAX}"
        raise Unroutable(msg)
    return raw


def decode(raw: bytes, queue_of: str) -> Message:
    """The message in ``raw``, found in the queue of ``queue_of``; raises Poison."""
    envelope = _parse(raw)
    if envelope.get("schema") != SCHEMA or isinstance(envelope["schema"], bool):
        raise Poison(f"schema: must be {SCHEMA}, is {_quote(envelope.get('schema'))}")
    if missing := _KEYS - envelope.keys():
        raise Poison(f"missing: {', '.join(sorted(missing))}")
    if extra := envelope.keys() - _KEYS:
        raise Poison(f"unknown key: {_quote(min(extra))}")
    identity, kind, recipient, body = (envelope[key] for key in ("id", "type", "recipient", "body"))
    if not isinstance(identity, str) or not _UUID.fullmatch(identity):
        raise Poison(f"id: must be a UUID, is {_quote(identity)}")
    if not isinstance(kind, str) or kind not in TYPES:
        raise Poison(f"type: unknown type {_quote(kind)}")
    if recipient != queue_of:
        raise Poison(f"recipient: is {_quote(recipient)}, but the queue is that of {_quote(queue_of)}")
    if not isinstance(body, dict):
        raise Poison("body: must be an object")
    return Message(uuid.UUID(identity), kind, queue_of, body)


def storable(reason: str) -> str:
    """A dead letter's reason as any carrier can store it: bounded, without NUL and lone surrogates."""
    shown = reason[:REASON_CHARACTERS_MAX].replace("\0", "\\0")
    return shown.encode("utf-8", "backslashreplace").decode("utf-8")


def _parse(raw: bytes) -> dict[str, Any]:
    if len(raw) > BYTES_MAX:
        raise Poison(f"too large: {len(raw)} bytes, at most {BYTES_MAX} are allowed")
    try:
        envelope = json.loads(
            raw.decode("utf-8"), parse_constant=_refuse_constant, object_pairs_hook=_without_duplicate_keys
        )
    except UnicodeDecodeError as error:
        raise Poison(f"is not UTF-8 at byte {error.start}") from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits and endless nesting among them
        raise Poison(f"is not JSON: {str(error)[:QUOTED_CHARACTERS_MAX]}") from error
    if not isinstance(envelope, dict):
        raise Poison(f"must be a JSON object, is {_quote(envelope)}")
    return envelope


def _refuse_constant(name: str) -> Never:
    raise Poison(f"is not JSON: {name} is not a number")


def _without_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise Poison("is ambiguous: a key occurs twice in one object")
    return made


def _quote(value: object) -> str:
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    text = ascii(value)
    return text if len(text) <= QUOTED_CHARACTERS_MAX else text[:QUOTED_CHARACTERS_MAX] + "…"
