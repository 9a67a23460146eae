"""Trace context: what goes on, what ends here, what is made. Examples after the W3C specification's own."""

from itertools import islice

import pytest

from load_balancer.http1.events import Request
from load_balancer.http1.requests import RequestParser
from load_balancer.http1.traces import NUMBER_DIGITS, numbers, trace_id, trace_parts

TRACE, SPAN = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"
VALID = b"00-" + TRACE + b"-" + SPAN + b"-01"


def opening(fields: bytes) -> bytes:
    """What a server is sent of a request with these field lines."""
    parser = RequestParser(1_000)
    parser.feed(b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n")
    request = parser.next_event()
    assert isinstance(request, Request)
    assert bool(request.fields.facts.trace) == (b"traceparent" in request.opening)
    return request.opening


def sent(*parents: bytes, state: bytes = b"tracestate: a=1\r\n") -> bytes:
    return opening(b"".join(b"traceparent: %b\r\n" % parent for parent in parents) + state)


@pytest.mark.parametrize(
    "parent",
    [VALID, VALID[:-2] + b"00", VALID[:-2] + b"ff", b"cc" + VALID[2:], b"cc" + VALID[2:] + b"-what the future brings"],
)
def test_a_valid_one_goes_on_as_it_came(parent: bytes) -> None:
    """T1, T3."""
    assert b"\r\ntraceparent: %b\r\ntracestate: a=1\r\n" % parent in sent(parent)


@pytest.mark.parametrize(
    "parent",
    [
        b"",
        b"hello",
        VALID + b"-more",
        VALID + b"0",
        VALID[:-1],
        VALID.upper(),
        b"ff" + VALID[2:],
        b"cc" + VALID[2:] + b"0",
        b"0" + VALID,
        VALID.replace(TRACE, b"0" * 32),
        VALID.replace(SPAN, b"0" * 16),
        VALID.replace(b"-", b"_"),
        VALID.replace(TRACE, TRACE[:-1] + b"g"),
        VALID + b"," + VALID,
    ],
)
def test_one_that_is_not_valid_ends_here_with_its_state(parent: bytes) -> None:
    """T2."""
    assert trace_id(parent) is None
    assert b"trace" not in sent(parent)


def test_two_count_for_none() -> None:
    """T2."""
    assert b"trace" not in sent(VALID, VALID)


def test_state_alone_ends_here_and_several_states_go_on_in_order() -> None:
    assert b"trace" not in sent()
    assert b"\r\ntracestate: a=1\r\ntracestate: b=2\r\n" in sent(VALID, state=b"TraceState: a=1\r\nTRACESTATE: b=2\r\n")


def test_a_nominated_one_ends_here() -> None:
    """W2: Connection may name any field."""
    assert b"trace" not in opening(b"Connection: TraceParent\r\ntraceparent: " + VALID + b"\r\n")


def test_new_traces_are_valid_and_never_the_same() -> None:
    """T4: each of the 16 digits begins as many right halves."""
    parts = trace_parts(bytes(18))
    made = [
        parts.line(b"%0*x" % (NUMBER_DIGITS, number)).removeprefix(b"\r\ntraceparent: ")
        for number in (0, *islice(numbers(), 3_199))
    ]
    assert None not in {trace_id(parent) for parent in made}
    right_halves = [parent[19:35] for parent in made]
    assert len(set(right_halves)) == len(made)
    first_digits = [half[:1] for half in right_halves]
    assert all(190 < first_digits.count(digit) < 210 for digit in set(first_digits))
    assert len(set(first_digits)) == 16
