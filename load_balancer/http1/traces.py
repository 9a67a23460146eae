"""W3C Trace Context: which ``traceparent`` is passed on, and how one is made (https://www.w3.org/TR/trace-context/).

T1  A valid traceparent goes on as it came, tracestate with it: we are a part of the way, not a station of the trace.
T2  One that is not valid, or comes twice, counts for none: it and its tracestate end here, and a new trace begins.
T3  A version that we do not know is valid if it begins as version 00 does; ff is no version.
T4  A new trace's id is not all zeros, never comes twice, and its right half is spread evenly, for samplers look there.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

PARENT: Final = b"traceparent"
STATE: Final = b"tracestate"
RANDOM_BYTES: Final = 8  # of each process, in every trace id that it makes
_PARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
_ZERO_TRACE: Final = b"0" * 32
_ZERO_PARENT: Final = b"0" * 16
_UNKNOWN: Final = b"ff"
_64_BITS: Final = 2**64 - 1
# An odd factor turns one count after the other into all 64-bit numbers, none twice (2**64 divided by the golden ratio,
# Knuth's multiplicative hash).
_SPREAD: Final = 0x9E3779B97F4A7C15


def trace_id(parent: bytes) -> bytes | None:
    """The trace that this traceparent names; None if it is not valid (T3)."""
    match = _PARENT.fullmatch(parent)
    if match is None:
        return None
    version, trace, span, more = match.groups()
    if version == _UNKNOWN or trace == _ZERO_TRACE or span == _ZERO_PARENT or (version == b"00" and more is not None):
        return None
    return trace


def trace_lines(found: Mapping[bytes, Sequence[bytes]]) -> bytes:
    """The lines that go on (T1), by the values of the fields by name; nothing if a new trace has to begin (T2)."""
    parents = found.get(PARENT, ())
    if len(parents) != 1 or trace_id(parents[0]) is None:
        return b""
    states = b"".join([b"%b: %b\r\n" % (STATE, state) for state in found.get(STATE, ()) if state])
    return b"%b: %b\r\n%b" % (PARENT, parents[0], states)


def new_parent(process: bytes, count: int) -> bytes:
    """The traceparent of a new trace (T4). ``process``: RANDOM_BYTES in hexadecimal; ``count``: 1, 2, 3 …

    Its flag says "sampled": nobody before us had an opinion, and who records traces behind us, wants them.
    """
    spread = count * _SPREAD & _64_BITS
    return b"00-%b%016x-%016x-01" % (process, spread, spread)
