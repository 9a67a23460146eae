"""What servers may send, and what is not believed: the core alone, whole and byte by byte."""

from dataclasses import dataclass
from typing import NamedTuple

import pytest

from load_balancer.http1.events import Response
from load_balancer.http1.responses import INFORMATIONAL_MAX, ResponseParser


@dataclass(frozen=True)
class Row:
    """``broken``: the answer is refused. ``eof``: the server ends the connection in good order after the bytes."""

    name: str
    data: bytes
    broken: bool = False
    status: int = 200
    body: bytes = b""
    for_head: bool = False
    eof: bool = False
    surplus: bool = False
    reusable: bool = True


OK = b"HTTP/1.1 200 OK\r\n"

ROWS = [
    Row("U00 Content-Length", OK + b"Content-Length: 5\r\n\r\nhello", body=b"hello"),
    Row("U00 chunked", OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", body=b"hello"),
    Row("U00 no reason", b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
    Row("U00 Connection: close", OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n", reusable=False),
    Row("U00 HTTP/1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", reusable=False),
    Row("U01 CL and TE", OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", broken=True),
    Row("U02 two CL", OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", broken=True),
    Row("U02 CL is no number", OK + b"Content-Length: five\r\n\r\nhello", broken=True),
    Row("U02 CL -1", OK + b"Content-Length: -1\r\n\r\n", broken=True),
    Row("U02 unknown TE", OK + b"Transfer-Encoding: gzip\r\n\r\n", broken=True),
    Row("U02 two TE", OK + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n", broken=True),
    Row("U03 TE with HTTP/1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", broken=True),
    Row("U04 garbage status line", b"HELLO\r\n\r\n", broken=True),
    Row("U04 HTTP/2.0", b"HTTP/2.0 200 OK\r\n\r\n", broken=True),
    Row("U04 status 99", b"HTTP/1.1 99 X\r\n\r\n", broken=True),
    Row("U04 status 600", b"HTTP/1.1 600 X\r\n\r\n", broken=True),
    Row("U04 status 2000", b"HTTP/1.1 2000 X\r\n\r\n", broken=True),
    Row("U04 head of 100 kB", OK + b"A: " + b"b" * 100_000, broken=True),
    Row("U04 101 field lines", OK + b"A: b\r\n" * 101 + b"\r\n", broken=True),
    Row("U04 head without end", OK + b"Content-Length: 5\r\n", broken=True, eof=True),
    Row("U04 nothing at all", b"", broken=True, eof=True),
    Row("U05 obs-fold", OK + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n", broken=True),
    Row("U05 space before the colon", OK + b"Content-Length : 0\r\n\r\n", broken=True),
    Row("U06 bare CR", OK + b"A: b\rc\r\nContent-Length: 0\r\n\r\n", broken=True),
    Row("U06 bare LF", OK + b"A: b\nContent-Length: 0\r\n\r\n", broken=True),
    Row("U06 NUL", OK + b"A: b\x00\r\nContent-Length: 0\r\n\r\n", broken=True),
    Row(
        "U07 103, then 200",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok",
        body=b"ok",
    ),
    Row("U08 103 only", b"HTTP/1.1 103 Early Hints\r\n\r\n", broken=True, eof=True),
    Row("U08 too many 1xx", b"HTTP/1.1 103 Early Hints\r\n\r\n" * (INFORMATIONAL_MAX + 1) + OK, broken=True),
    Row("U09 100", b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok", body=b"ok"),
    Row("U10 101", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", broken=True),
    Row("U11 204 with body", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", status=204, surplus=True),
    Row("U11 304 with body", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", status=304, surplus=True),
    Row("U11 HEAD", OK + b"Content-Length: 5\r\n\r\n", for_head=True),
    Row("U11 HEAD with body", OK + b"Content-Length: 5\r\n\r\nhello", for_head=True, surplus=True),
    Row("U11 HEAD, chunked", OK + b"Transfer-Encoding: chunked\r\n\r\n", for_head=True),
    Row("U12 body cut off", OK + b"Content-Length: 10\r\n\r\nhello", broken=True, eof=True, body=b"hello"),
    Row(
        "U13 last chunk missing",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        broken=True,
        eof=True,
        body=b"hello",
    ),
    Row(
        "U13 bad chunk size", OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n-1\r\n", broken=True, body=b"hello"
    ),
    Row("U14 bytes behind the answer", OK + b"Content-Length: 5\r\n\r\nhelloHTTP/1.1", body=b"hello", surplus=True),
    Row("U16 until the connection ends", OK + b"A: b\r\n\r\nhello", body=b"hello", eof=True, reusable=False),
    Row("U20 Connection is no list", OK + b"Connection: a b\r\nContent-Length: 0\r\n\r\n", broken=True),
    Row("U21 CR LF in a cookie", OK + b"Set-Cookie: a=\r\nb\r\nContent-Length: 0\r\n\r\n", broken=True),
]


class Said(NamedTuple):
    """All that was said of one answer, its body in one piece."""

    head: Response | None
    body: bytes
    ended: bool
    broken: bool


def read(parser: ResponseParser, pieces: list[bytes], *, eof: bool) -> Said:
    """Reads to the end or to what is broken, whatever follows; nothing may be said twice or after that."""
    said = Said(None, b"", ended=False, broken=False)
    for received in [*map(parser.receive, pieces), *([parser.receive_eof()] if eof else [])]:
        assert said.head is None or received.head is None
        assert not (said.broken or said.ended) or received == (None, b"", False, None)
        assert received.head is not None or said.head is not None or not (received.body or received.ended)
        said = Said(
            said.head or received.head,
            said.body + received.body,
            said.ended or received.ended,
            said.broken or received.broken is not None,
        )
    return said


@pytest.mark.parametrize("piece", [1, 7, 10**6])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_kind_of_answer_gets_its_verdict_however_it_arrives(row: Row, piece: int) -> None:
    """A1, A2, A3, A4; and A5: it gets the same one behind an answer with the same head."""
    parser = ResponseParser()
    for _ in range(2):
        parser.expect(for_head=row.for_head)
        pieces = [row.data[start : start + piece] for start in range(0, len(row.data), piece)]
        said = read(parser, pieces, eof=row.eof)
        assert said.body == row.body
        assert said.broken is row.broken
        assert said.ended is not row.broken
        if row.broken:
            return
        assert said.head is not None
        assert said.head.status == row.status
        assert said.head.reusable is row.reusable
        assert parser.surplus is row.surplus
        if row.surplus:
            return
