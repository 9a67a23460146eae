"""Request targets: which forms are accepted, and which paths never leave us, however they are written.

The path is forwarded as it came; only the comparison with the hidden ones is done on a normal form. It errs on the
side of hiding: what any server might decode to a hidden path is hidden.
"""

import re
import unicodedata
from typing import Final, NamedTuple
from urllib.parse import unquote

from load_balancer.http1.events import Reserved
from load_balancer.http1.grammar import MalformedError, valid_host

_ABSOLUTE: Final = re.compile(rb"[Hh][Tt][Tt][Pp]://([^/?]*)(/[^?]*)?(\?.*)?")
# Paths that mean what they say: no escapes, no empty or dotted segments, no parameters. Almost all are.
_PLAIN: Final = re.compile(rb"(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*+)*+/?(?:\?.*)?")
_HIDDEN_PLAIN: Final = re.compile(rb"(?i)/(?:metrics|readyz|internal)(?:[/?]|$)")
_HIDDEN: Final = ("/metrics", "/readyz", "/internal")
_DECODING_ROUNDS: Final = 4  # a server decodes once, a chain of them twice; further rounds only hide more


class Target(NamedTuple):
    """Origin form (or ``*``), and the authority if the request named one in absolute form."""

    path: bytes
    authority: bytes | None


def read_target(method: bytes, raw: bytes) -> Target:
    """The target in origin form; raises MalformedError for a form that the method does not allow."""
    if b"#" in raw:
        raise MalformedError(400, "fragment in the target")
    if raw[:1] == b"/":
        return Target(raw, None)
    if raw == b"*" and method == b"OPTIONS":
        return Target(raw, None)
    match = _ABSOLUTE.fullmatch(raw)
    if match is None or not valid_host(match[1]):
        raise MalformedError(400, "the target is neither a path nor an absolute http URL")
    path, query = match[2] or b"", match[3] or b""
    if not path and not query and method == b"OPTIONS":
        return Target(b"*", match[1])
    return Target((path or b"/") + query, match[1])


def same_authority(one: bytes, other: bytes) -> bool:
    """Whether two authorities name the same host and port; http's default port may be left out."""
    return one.lower().removesuffix(b":80") == other.lower().removesuffix(b":80")


def reserved(target: bytes) -> Reserved | None:
    """Why no server may be asked for this target; None if one may."""
    if target == b"*":
        return Reserved.OURSELVES
    if target == b"/healthz" or target.startswith(b"/healthz?"):
        return Reserved.HEALTH
    return Reserved.HIDDEN if is_hidden(target) else None


def is_hidden(target: bytes) -> bool:
    """Whether this is ``/metrics``, ``/readyz`` or below ``/internal/``, in any writing that a server could accept."""
    if _PLAIN.fullmatch(target):
        return _HIDDEN_PLAIN.match(target) is not None
    path = target.partition(b"?")[0].decode("latin-1")
    for _ in range(_DECODING_ROUNDS):
        if any(_below_hidden(form) for form in _forms(path)):
            return True
        decoded = unquote(path, errors="replace")
        if decoded == path:
            return False
        path = decoded
    # Escaped deeper than any honest client does: what it means in the end cannot be told.
    return True


def _forms(path: str) -> list[str]:
    """The path with its dots resolved and, for servers that do not resolve them, without."""
    text = unicodedata.normalize("NFKC", path).casefold().replace("\\", "/").partition("?")[0]
    segments = [segment.partition(";")[0].strip() for segment in text.split("/")]
    segments = [segment for segment in segments if segment not in ("", ".")]
    resolved: list[str] = []
    for segment in segments:
        if segment == "..":
            del resolved[-1:]
        else:
            resolved.append(segment)
    return ["/" + "/".join(segments), "/" + "/".join(resolved)]


def _below_hidden(path: str) -> bool:
    clean = "".join(character for character in path if character.isprintable())
    return any(clean == hidden or clean.startswith(hidden + "/") for hidden in _HIDDEN)
