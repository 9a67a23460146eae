"""W3C Trace Context: which ``traceparent`` is passed on, and how one is made (https://www.w3.org/TR/trace-context/).

T1  A valid traceparent goes on as it came, tracestate with it: we are a part of the way, not a station of the trace.
T2  One that is not valid, or comes twice, counts for none: it and its tracestate end here, and a new trace begins.
T3  A version that we do not know is valid if it begins as version 00 does; ff is no version.
T4  A new trace's id is not all zeros, never comes twice, and its right half is spread evenly, for samplers look there.
    It is made of the request's number, which has these qualities (``numbers``), so that it costs next to nothing.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

PARENT: Final = b"traceparent"
STATE: Final = b"tracestate"
NUMBER_DIGITS: Final = 12  # hexadecimal, of a request's number
_NUMBER_MAX: Final = 16**NUMBER_DIGITS - 1
# Odd, so that adding it again and again visits every number once before any comes back; 2**48 divided by the golden ratio,
# so that the numbers are spread evenly all the way (a Weyl sequence). At 100,000 requests a second it lasts 89 years.
_STEP: Final = 0x9E3779B97F4B
_PARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
_RANDOM_DIGITS: Final = 16  # the left half of a trace id: of the process
_FILLER_DIGITS: Final = 16 - NUMBER_DIGITS
_ZERO_TRACE: Final = b"0" * 32
_ZERO_PARENT: Final = b"0" * 16
_UNKNOWN: Final = b"ff"


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


class TraceParts(NamedTuple):
    """What stands before and behind the place of a request's number in the line of a new trace.

    Its parent, of which each such trace has only this one, is the process; its flag says "sampled": nobody before us had an
    opinion, and who records traces behind us, wants them.
    """

    before: bytes
    behind: bytes

    def line(self, number: bytes) -> bytes:
        """The line as it follows another one, without its own CR LF."""
        return self.before + number + self.behind

    def trace_id(self, number: bytes) -> bytes:
        """The id of the trace that this request began."""
        return self.before[-_RANDOM_DIGITS:] + number + self.behind[:_FILLER_DIGITS]


def trace_parts(random: bytes) -> TraceParts:
    """Of one process, from 18 random bytes."""
    digits = random.hex().replace("0", "1").encode("ascii")  # no id may be all zeros, and one number is
    left, filler, parent = digits[:_RANDOM_DIGITS], digits[_RANDOM_DIGITS:-_RANDOM_DIGITS], digits[-_RANDOM_DIGITS:]
    return TraceParts(b"\r\n%b: 00-%b" % (PARENT, left), b"%b-%b-01" % (filler, parent))


def numbers() -> Iterator[int]:
    """Of one request after the other: in 16**NUMBER_DIGITS requests none comes twice (T4)."""
    number = 0
    while True:
        number = (number + _STEP) & _NUMBER_MAX
        yield number
