"""Laws of the core, for any bytes: splits change nothing, and what goes to a server means one thing only."""

import itertools
import os
import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from load_balancer.http1 import request_heads
from load_balancer.http1.events import Body, End, Framing, Rejected, Request, RequestEvent
from load_balancer.http1.grammar import FIELD_LINES_MAX, MalformedError
from load_balancer.http1.headers import LAST_CHUNK, chunk, client_lines, request_ending, request_opening, request_passes
from load_balancer.http1.heads import KnownLines
from load_balancer.http1.request_heads import METHODS, forget
from load_balancer.http1.requests import RequestParser
from load_balancer.http1.responses import ResponseParser
from tests.unit.test_load_balancer_requests import BODY_MAX, GOOD, ROWS, drain
from tests.unit.test_load_balancer_responses import ROWS as ANSWERS
from tests.unit.test_load_balancer_responses import Said, read

MUTATIONS = int(os.environ.get("LOAD_BALANCER_MUTATIONS", "20000"))
SEED = int(os.environ.get("LOAD_BALANCER_SEED", "1"))

SAMPLES = [row.data for row in ROWS if len(row.data) < 5_000]
GOOD_SAMPLES = [row.data for row in ROWS if len(row.data) < 5_000 and not row.status]
ANSWER_SAMPLES = [row.data for row in ANSWERS if len(row.data) < 5_000]
NASTY = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\x00",
    b" ",
    b"\t",
    b"\x0b",
    b"\xa0",
    b":",
    b";",
    b",",
    b"_",
    b"0",
    b"+",
    b"#",
    b"\xff",
]
HOSTILE = [
    *NASTY, b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: evil\r\n", b"0\r\n\r\n",
    b"Connection: close\r\n", b"Expect: 100-continue\r\n", GOOD, b"\r\nReferer: /\r\n", b"\r\nCookie: a=b\r\n",
]  # fmt: skip
OUR_LINES = 6  # that a request gets on its way


def request_events(pieces: list[bytes]) -> list[RequestEvent]:
    parser = RequestParser(BODY_MAX)
    events: list[RequestEvent] = []
    for piece in pieces:
        parser.feed(piece)
        drain(parser, events)
    parser.feed_eof()
    drain(parser, events)
    return events


def answer_read(pieces: list[bytes], *, for_head: bool, before: bytes = b"") -> Said:
    """What is said of an answer; ``before``: another one on the same connection."""
    parser = ResponseParser()
    if before:
        parser.expect(for_head=False)
        parser.receive(before)
    parser.expect(for_head=for_head)
    return read(parser, pieces, eof=True)


def split(data: bytes, places: list[int]) -> list[bytes]:
    cuts = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(cuts)]


hostile_bytes = st.lists(
    st.one_of(st.sampled_from(SAMPLES), st.sampled_from(HOSTILE), st.binary(max_size=8)), min_size=1, max_size=6
).map(b"".join)
hostile_answers = st.lists(
    st.one_of(st.sampled_from(ANSWER_SAMPLES), st.sampled_from(NASTY), st.binary(max_size=8)), min_size=1, max_size=4
).map(b"".join)
places = st.lists(st.integers(min_value=0, max_value=100_000), max_size=12)


@given(data=hostile_bytes, cuts=places)
@settings(max_examples=400, deadline=None)
def test_how_requests_are_split_changes_nothing(data: bytes, cuts: list[int]) -> None:
    """R1, for a few pieces and for single bytes."""
    whole = request_events([data])
    assert request_events(split(data, cuts)) == whole
    assert request_events([data[place : place + 1] for place in range(len(data))]) == whole


@given(data=hostile_answers, cuts=places, for_head=st.booleans())
@settings(max_examples=400, deadline=None)
def test_how_answers_are_split_changes_nothing(data: bytes, cuts: list[int], for_head: bool) -> None:
    """A1."""
    whole = answer_read([data], for_head=for_head)
    assert answer_read(split(data, cuts), for_head=for_head) == whole
    assert answer_read([data[place : place + 1] for place in range(len(data))], for_head=for_head) == whole


@given(data=hostile_answers, cuts=places, for_head=st.booleans(), length=st.integers(min_value=0, max_value=9))
@settings(max_examples=400, deadline=None)
def test_an_answers_verdict_does_not_depend_on_the_one_before(
    data: bytes, cuts: list[int], for_head: bool, length: int
) -> None:
    """A5: with a head that is remembered, followed by anything."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length
    before = head + b"x" * length
    for answer in (data, head + data):
        fresh = answer_read([answer], for_head=for_head)
        assert answer_read([answer], for_head=for_head, before=before) == fresh
        assert answer_read(split(answer, cuts), for_head=for_head, before=before) == fresh


def messages(events: list[RequestEvent]) -> list[tuple[Request, bytes]]:
    """Complete requests with their bodies."""
    found: list[tuple[Request, bytes]] = []
    request: Request | None = None
    body = b""
    for event in events:
        if isinstance(event, Request):
            request, body = event, b""
            if event.complete:
                found.append((event, b""))
        elif isinstance(event, Body):
            body += event.data
        elif isinstance(event, End) and request is not None:
            found.append((request, body))
    return found


def written(request: Request, body: bytes, *, as_chunks: bool) -> bytes:
    opening = request.opening
    if not request.host:
        opening = request_opening(request.method, request.target, b"us", request.fields)
    head = opening + client_lines(b"192.0.2.1", b"http") + b"id-1"
    if as_chunks:
        return head + request_ending(request, None) + (chunk(body) if body else b"") + LAST_CHUNK
    return head + request_ending(request, len(body)) + body


def assert_one_meaning(data: bytes) -> None:
    """Whatever came: each request that a server would get is read there as exactly what was decided here."""
    for request, body in messages(request_events([data])):
        if request.target == b"*":
            continue
        for as_chunks in {False, request.framing is Framing.CHUNKED}:
            (head, *rest) = request_events([written(request, body, as_chunks=as_chunks)])
            if len(request.fields.all) > FIELD_LINES_MAX - OUR_LINES:
                continue  # with our own lines it has more of them than this parser takes
            assert isinstance(head, Request)
            assert (head.method, head.target) == (request.method, request.target)
            assert head.host == (request.host or b"us")
            assert b"".join(event.data for event in rest if isinstance(event, Body)) == body
            assert sum(isinstance(event, End) for event in rest) == (0 if head.complete else 1)
            assert not any(isinstance(event, Request | Rejected) for event in rest)
            keys = [field.key for field in head.fields.all]
            assert keys.count(b"host") == keys.count(b"x-forwarded-for") == keys.count(b"x-request-id") == 1
            assert keys.count(b"content-length") + keys.count(b"transfer-encoding") == (
                0 if request.framing is Framing.NONE else 1
            )
            assert not {key for key in keys if b"_" in key}
            assert head.fields.first(b"x-forwarded-for") == b"192.0.2.1"


@given(data=hostile_bytes)
@settings(max_examples=400, deadline=None)
def test_what_reaches_a_server_has_one_meaning(data: bytes) -> None:
    """R3, R4, W1, W3."""
    assert_one_meaning(data)


def taken_whole(data: bytes, before: list[bytes]) -> Request | None:
    """What a new connection takes from memory after others have sent these heads; all twice, for only that is kept."""
    forget()
    for earlier in [*before, data] * 2:
        request_events([earlier])
    return RequestParser(BODY_MAX).take_whole(data)


def assert_memory_changes_nothing(data: bytes, before: list[bytes]) -> bool:
    """R6: what is taken from memory is what reading byte by byte, with nothing remembered, says; True if anything was."""
    taken = taken_whole(data, before)
    whole = request_events([data])
    forget()
    assert RequestParser(BODY_MAX).take_whole(data) == taken
    forget()
    slow = request_events([data[place : place + 1] for place in range(len(data))])
    assert whole == slow
    if taken is not None:
        assert slow == [taken]
        assert taken.complete
    return taken is not None


@given(data=hostile_bytes, before=st.lists(hostile_bytes, max_size=3))
@settings(max_examples=300, deadline=None)
def test_what_is_remembered_changes_no_verdict(data: bytes, before: list[bytes]) -> None:
    """R6, for heads with lines, blocks and request lines in common."""
    assert_memory_changes_nothing(data, before)


# Of those that a block of steady lines ends at, that say more, that are nominated, that are wrong.
FIELD_LINES = [
    b"Host: shop", b"Host: other", b"Accept: */*", b"X-A: 1", b"Referer: /", b"Referer: /2", b"Cookie: a=1", b"cookie: b",
    b"Referer:/", b"Cookie:  x ", b"Connection: close", b"Connection: cookie, accept", b"Connection: referer",
    b"Content-Length: 0", b"Via: 1.0 a", b"Cookie : a", b" Referer: /", b"X\rCookie: a", b"Referer: \x00", b"",
]  # fmt: skip
head_lines = st.lists(st.sampled_from(FIELD_LINES), max_size=7).map(lambda lines: [b"Host: shop", *lines])


@given(lines=head_lines, before=st.lists(head_lines, max_size=2), kept=st.integers(min_value=0, max_value=8))
@settings(max_examples=400, deadline=None)
def test_where_a_block_of_lines_ends_changes_no_verdict(
    lines: list[bytes], before: list[list[bytes]], kept: int
) -> None:
    """R6, for heads that begin with the same lines."""
    heads = [[*lines[:kept], *others] for others in before]
    texts = [b"".join(b"%b\r\n" % line for line in [b"GET /p HTTP/1.1", *all_, b""]) for all_ in [lines, *heads]]
    assert_memory_changes_nothing(texts[0], texts[1:])


@pytest.mark.parametrize("sample", range(len(SAMPLES)))
def test_no_row_is_remembered_as_anything_else(sample: int) -> None:
    """R6: the rows, each behind those whose lines it may share; a refused one is never taken from memory."""
    data = SAMPLES[sample]
    taken = assert_memory_changes_nothing(data, SAMPLES[sample - 3 : sample])
    refused = any(isinstance(event, Rejected) for event in request_events([data]))
    assert not (taken and refused)


def test_a_head_that_came_twice_is_remembered() -> None:
    """The control of the laws about memory: there is one."""
    forget()
    taken = [RequestParser(BODY_MAX).take_whole(GOOD) for _ in range(4)]
    assert None not in taken
    assert taken[1] is not taken[0]
    assert taken[3] is taken[2] is taken[1]


def test_steady_lines_are_remembered_as_one() -> None:
    """The control of the law about blocks: there is one, before the first line that a browser changes."""
    forget()
    for number in range(4):
        changing = b"Referer: /%d\r\nAccept: */*\r\nCookie: %d\r\n" % (number, number)
        assert RequestParser(BODY_MAX).take_whole(b"GET / HTTP/1.1\r\nHost: shop\r\nX-A: 1\r\n%b\r\n" % changing)
    assert list(request_heads._known_blocks.known) == [b"Host: shop\r\nX-A: 1"]


def test_no_more_lines_are_read_than_a_head_may_have() -> None:
    """Thousands of short lines cost no more than a head that is refused at its limit."""
    forget()
    lines = [b"a%d:" % number for number in range(4_000)]
    for texts in ([*lines, b"Cookie: a"], [b"Cookie: a", *lines]):
        data = b"GET / HTTP/1.1\r\nHost: shop\r\n" + b"".join(b"%b\r\n" % text for text in texts) + b"\r\n"
        assert RequestParser(BODY_MAX).take_whole(data) is None
        assert len(request_heads.KNOWN_LINES._seen) < FIELD_LINES_MAX


def mutate(data: bytes, dice: random.Random) -> bytes:
    for _ in range(dice.randint(1, 3)):
        place = dice.randrange(len(data) + 1)
        match dice.randrange(5):
            case 0:
                data = data[:place] + dice.choice(HOSTILE) + data[place:]
            case 1:
                data = data[:place] + data[place + dice.randint(1, 4) :]
            case 2:
                data = data[:place] + bytes([dice.randrange(256)]) + data[place + 1 :]
            case 3:
                data = data[:place] + data[place:].swapcase()
            case _:
                data += dice.choice(SAMPLES)
    return data


def test_mutated_requests_crash_nothing_and_smuggle_nothing() -> None:
    """A seeded fuzzer; more with LOAD_BALANCER_MUTATIONS, another run with LOAD_BALANCER_SEED."""
    print(f"seed {SEED}, {MUTATIONS} mutations")
    dice = random.Random(SEED)
    for number in range(MUTATIONS):
        data = mutate(dice.choice(GOOD_SAMPLES if number % 2 else SAMPLES), dice)
        assert_one_meaning(data)
        if number % 20 == 0:
            assert_memory_changes_nothing(data, [])


token = st.text("abcXYZ019-!~", min_size=1, max_size=10).map(str.encode)
value = st.binary(max_size=20).filter(lambda text: not any((byte < 32 and byte != 9) or byte == 127 for byte in text))


@given(
    method=st.sampled_from(METHODS),
    path=st.text("abc/?&=%25._~", max_size=20),
    fields=st.lists(st.tuples(token, value), max_size=6),
    body=st.binary(max_size=50),
)
def test_every_good_request_is_accepted(
    method: bytes, path: str, fields: list[tuple[bytes, bytes]], body: bytes
) -> None:
    """Strictness refuses nothing that is right."""
    reserved = {b"host", b"content-length", b"transfer-encoding", b"connection", b"expect"}
    assume(not any(name.lower() in reserved for name, _ in fields))
    with_body = method in (b"POST", b"PUT", b"PATCH")
    lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    framing = b"Content-Length: %d\r\n" % len(body) if with_body else b""
    data = b"%b /%b HTTP/1.1\r\nHost: shop\r\n%b%b\r\n" % (method, path.encode(), lines, framing)
    data += body if with_body else b""
    ((request, received),) = messages(request_events([data]))
    assert received == (body if with_body else b"")
    assert [(field.name, field.value) for field in request.fields.all][1 : len(fields) + 1] == [
        (name, text.strip(b" \t")) for name, text in fields
    ]


@given(texts=st.lists(st.lists(st.one_of(st.sampled_from(HOSTILE), st.binary(max_size=6))).map(b"".join), max_size=6))
@settings(max_examples=400)
def test_lines_are_read_the_same_again_and_only_if_all_are_good(texts: list[bytes]) -> None:
    """R3, N1."""
    known = KnownLines(request_passes, frozenset())
    try:
        lines = known.read(texts)
    except MalformedError:
        return
    assert known.read(texts) == known.read(texts) == lines
    for text, line in zip(texts, lines, strict=True):
        name, colon, value = text.partition(b":")
        assert colon
        assert not set(text) & set(b"\r\n\x00")
        assert (name, value.strip(b" \t")) == (line.name, line.value)
        assert line.kept in (b"", b"%b: %b\r\n" % (line.name, line.value))


@given(bodies=st.lists(st.binary(max_size=30), min_size=1, max_size=5), cuts=places, as_chunks=st.booleans())
def test_answers_on_one_connection_belong_to_their_requests(
    bodies: list[bytes], cuts: list[int], as_chunks: bool
) -> None:
    """U1, U2: each answer read to its end leaves nothing over, so the next one is the next request's."""
    parser = ResponseParser()
    for number, body in enumerate(bodies):
        head = b"HTTP/1.1 200 OK\r\nX-Number: %d\r\n" % number
        framed = chunk(body) + LAST_CHUNK if body else LAST_CHUNK
        if as_chunks:
            data = head + b"Transfer-Encoding: chunked\r\n\r\n" + framed
        else:
            data = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
        parser.expect(for_head=False)
        said = read(parser, split(data, cuts), eof=False)
        assert said.head is not None
        assert said.head.fields.all[0].value == b"%d" % number
        assert (said.body, said.ended, said.broken) == (body, True, False)
        assert not parser.surplus


@pytest.mark.parametrize("sample", range(0, len(SAMPLES), 7))
def test_a_request_behind_any_other_is_read_the_same_or_not_at_all(sample: int) -> None:
    """F3: a request that follows is either exactly itself, or refused together with what came before."""
    events = request_events([SAMPLES[sample] + GOOD])
    if not any(isinstance(event, Rejected) for event in events):
        last, _ = messages(events)[-1]
        assert (last.method, last.target) == (b"GET", b"/before")
