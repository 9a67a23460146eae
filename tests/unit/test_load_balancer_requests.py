"""What a strict proxy answers to each kind of request, on the core alone: whole, byte by byte, and behind a good one."""

from dataclasses import dataclass

import pytest

from load_balancer.http1.events import Body, End, Rejected, Request, RequestEvent
from load_balancer.http1.grammar import FIELD_LINES_MAX, HEAD_BYTES_MAX, REQUEST_LINE_BYTES_MAX
from load_balancer.http1.requests import RequestParser

BODY_MAX = 1_000
HOST = b"Host: shop\r\n"
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
WEBSOCKET = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
GOOD = b"GET /before HTTP/1.1\r\n" + HOST + b"\r\n"


@dataclass(frozen=True)
class Row:
    """``status`` 0: accepted; else what the client is told. ``eof``: the client ends its side after the bytes."""

    name: str
    data: bytes
    status: int
    body: bytes = b""
    eof: bool = False
    requests: int = 1


def get(line: bytes, fields: bytes = HOST) -> bytes:
    return line + b"\r\n" + fields + b"\r\n"


def post(fields: bytes, body: bytes = b"") -> bytes:
    return b"POST /p HTTP/1.1\r\n" + HOST + fields + b"\r\n" + body


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked\r\n", body)


LINES = [
    Row("L01 one leading empty line", b"\r\n" + get(b"GET / HTTP/1.1"), 0),
    Row("L01 two leading empty lines", b"\r\n\r\n" + get(b"GET / HTTP/1.1"), 0),
    Row("L01 three leading empty lines", b"\r\n\r\n\r\n" + get(b"GET / HTTP/1.1"), 400),
    Row("L02 leading bare LF", b"\n" + get(b"GET / HTTP/1.1"), 400),
    Row("L02 bare LF as line end", b"GET / HTTP/1.1\nHost: shop\n\n", 400),
    Row("L03 bare CR as line end", b"GET / HTTP/1.1\rHost: shop\r\r", 400),
    Row("L04 two spaces before the target", get(b"GET  / HTTP/1.1"), 400),
    Row("L04 two spaces before the version", get(b"GET /  HTTP/1.1"), 400),
    Row("L04 space in the target", get(b"GET /a b HTTP/1.1"), 400),
    Row("L05 TAB as separator", get(b"GET\t/ HTTP/1.1"), 400),
    Row("L05 VT as separator", get(b"GET /\x0bHTTP/1.1"), 400),
    Row("L05 NBSP as separator", get(b"GET\xa0/ HTTP/1.1"), 400),
    Row("L06 HTTP/0.9", get(b"GET /"), 400),
    Row("L07 leading space", b" " + get(b"GET / HTTP/1.1"), 400),
    Row("L08 HTTP/1.2", get(b"GET / HTTP/1.2"), 505),
    Row("L08 HTTP/2.0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    Row("L08 HTTP/0.9 with a version", get(b"GET / HTTP/0.9"), 505),
    Row("L09 HTTP/1.10", get(b"GET / HTTP/1.10"), 400),
    Row("L09 HTTP/01.1", get(b"GET / HTTP/01.1"), 400),
    Row("L09 HTTP/1", get(b"GET / HTTP/1"), 400),
    Row("L09 HTTP/1,1", get(b"GET / HTTP/1,1"), 400),
    Row("L10 space after the version", get(b"GET / HTTP/1.1 "), 400),
    Row("L11 lower-case http", get(b"GET / http/1.1"), 400),
    Row("L12 HTTPS/1.1", get(b"GET / HTTPS/1.1"), 400),
    Row("L13 lower-case method", get(b"get / HTTP/1.1"), 501),
    Row("L14 unknown method", get(b"FOO / HTTP/1.1"), 501),
    Row("L15 method that is no token", get(b"GE(T / HTTP/1.1"), 400),
    Row("L15 no method", get(b" / HTTP/1.1"), 400),
    Row("L16 CONNECT", get(b"CONNECT shop:443 HTTP/1.1"), 405),
    Row("L17 TRACE", get(b"TRACE / HTTP/1.1"), 405),
    Row("L17 QUERY", get(b"QUERY / HTTP/1.1"), 405),
    Row("L18 absolute form, same host", get(b"GET http://shop/a?b HTTP/1.1"), 0),
    Row("L18 absolute form, same host in capitals and with port", get(b"GET HTTP://SHOP:80/ HTTP/1.1"), 0),
    Row("L18 absolute form without path", get(b"GET http://shop HTTP/1.1"), 0),
    Row("L19 absolute form, other host", get(b"GET http://evil/ HTTP/1.1"), 400),
    Row("L19 absolute form, other port", get(b"GET http://shop:81/ HTTP/1.1"), 400),
    Row("L19 absolute form with user", get(b"GET http://u@shop/ HTTP/1.1"), 400),
    Row("L19 absolute form, https", get(b"GET https://shop/ HTTP/1.1"), 400),
    Row("L19 absolute form, other scheme", get(b"GET ftp://shop/ HTTP/1.1"), 400),
    Row("L20 authority form with GET", get(b"GET shop:80 HTTP/1.1"), 400),
    Row("L21 star with GET", get(b"GET * HTTP/1.1"), 400),
    Row("L22 OPTIONS *", get(b"OPTIONS * HTTP/1.1"), 0),
    Row("L22 OPTIONS *?x", get(b"OPTIONS *?xyz HTTP/1.1"), 400),
    Row("L23 relative target", get(b"GET admin/a HTTP/1.1"), 400),
    Row("L24 fragment", get(b"GET /a#b HTTP/1.1"), 400),
    Row("L25 NUL in the target", get(b"GET /\x00 HTTP/1.1"), 400),
    Row("L25 control character in the target", get(b"GET /\x1f HTTP/1.1"), 400),
    Row("L25 DEL in the target", get(b"GET /\x7f HTTP/1.1"), 400),
    Row("L26 high byte in the target", get(b"GET /\xe9 HTTP/1.1"), 400),
    Row("L27 request line of 100 kB", get(b"GET /" + b"a" * 100_000 + b" HTTP/1.1"), 414),
    Row("L27 request line at the limit", get(b"GET /" + b"a" * (REQUEST_LINE_BYTES_MAX - 14) + b" HTTP/1.1"), 0),
    Row("L27 request line beyond the limit", get(b"GET /" + b"a" * (REQUEST_LINE_BYTES_MAX - 13) + b" HTTP/1.1"), 414),
    Row("L29 TLS ClientHello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)), 400),
]

HEADS = [
    Row("H01 no Host", get(b"GET / HTTP/1.1", b"A: b\r\n"), 400),
    Row("H01 no Host with HTTP/1.0", get(b"GET / HTTP/1.0", b"A: b\r\n"), 0),
    Row("H02 two differing Hosts", get(b"GET / HTTP/1.1", b"Host: a\r\nHost: b\r\n"), 400),
    Row("H03 two equal Hosts", get(b"GET / HTTP/1.1", HOST + HOST), 400),
    Row("H04 Host with a path", get(b"GET / HTTP/1.1", b"Host: a/b\r\n"), 400),
    Row("H04 Host with a user", get(b"GET / HTTP/1.1", b"Host: u@a\r\n"), 400),
    Row("H04 Host list", get(b"GET / HTTP/1.1", b"Host: a,b\r\n"), 400),
    Row("H04 Host with a space", get(b"GET / HTTP/1.1", b"Host: a b\r\n"), 400),
    Row("H04 Host with port 98777", get(b"GET / HTTP/1.1", b"Host: a:98777\r\n"), 400),
    Row("H04 Host with port 0x50", get(b"GET / HTTP/1.1", b"Host: a:0x50\r\n"), 400),
    Row("H04 Host with bare IPv6", get(b"GET / HTTP/1.1", b"Host: ::1\r\n"), 400),
    Row("H04 Host with IPv6 in brackets", get(b"GET / HTTP/1.1", b"Host: [::1]:8000\r\n"), 0),
    Row("H05 empty Host", get(b"GET / HTTP/1.1", b"Host:\r\n"), 400),
    Row("H07 space before the colon", post(b"Content-Length : 5\r\n", b"hello"), 400),
    Row("H07 TAB before the colon", post(b"Content-Length\t: 5\r\n", b"hello"), 400),
    Row("H08 obs-fold", get(b"GET / HTTP/1.1", HOST + b"A: b\r\n c\r\n"), 400),
    Row("H08 obs-fold with TAB", get(b"GET / HTTP/1.1", HOST + b"A: b\r\n\tc\r\n"), 400),
    Row("H09 space before the first field", get(b"GET / HTTP/1.1", b" " + HOST), 400),
    Row("H10 empty name", get(b"GET / HTTP/1.1", HOST + b": b\r\n"), 400),
    Row("H11 name that is no token", get(b"GET / HTTP/1.1", HOST + b"A(b: c\r\n"), 400),
    Row("H11 high byte in the name", get(b"GET / HTTP/1.1", HOST + b"A\xe9: c\r\n"), 400),
    Row("H12 no colon", get(b"GET / HTTP/1.1", HOST + b"nonsense\r\n"), 400),
    Row("H13 NUL in the value", get(b"GET / HTTP/1.1", HOST + b"A: b\x00c\r\n"), 400),
    Row("H13 control character in the value", get(b"GET / HTTP/1.1", HOST + b"A: b\x01c\r\n"), 400),
    Row("H14 bare CR in the value", get(b"GET / HTTP/1.1", HOST + b"A: b\rc\r\n"), 400),
    Row("H14 bare CR hides a field", get(b"GET / HTTP/1.1", HOST + b"A: b\rContent-Length: 3\r\n"), 400),
    Row("H15 bare LF between fields", get(b"GET / HTTP/1.1", b"Host: shop\nA: b\r\n"), 400),
    Row("H16 CR CR LF", get(b"GET / HTTP/1.1", b"Host: shop\r\r\n"), 400),
    Row("H17 high byte in the value", get(b"GET / HTTP/1.1", HOST + b"A: \xe9\r\n"), 0),
    Row("H18 empty value", get(b"GET / HTTP/1.1", HOST + b"A:\r\n"), 0),
    Row("H19 spaces around the value", get(b"GET / HTTP/1.1", b"Host: \t shop \t\r\n"), 0),
    Row("H20 100 field lines", get(b"GET / HTTP/1.1", HOST + b"A: b\r\n" * (FIELD_LINES_MAX - 1)), 0),
    Row("H21 101 field lines", get(b"GET / HTTP/1.1", HOST + b"A: b\r\n" * FIELD_LINES_MAX), 431),
    Row("H23 value of 100 kB", get(b"GET / HTTP/1.1", HOST + b"A: " + b"b" * 100_000 + b"\r\n"), 431),
    Row("H24 many large fields", get(b"GET / HTTP/1.1", HOST + (b"A: " + b"b" * 1000 + b"\r\n") * 40), 431),
    Row("H26 Connection is no list of tokens", get(b"GET / HTTP/1.1", HOST + b"Connection: a b\r\n"), 400),
    Row("H28 Expect: 100-continue", post(b"Expect: 100-continue\r\nContent-Length: 2\r\n", b"ok"), 0, b"ok"),
    Row("H30 Upgrade: h2c, which is ignored", get(b"GET / HTTP/1.1", HOST + H2C), 0),
    Row(
        "H30 Upgrade without Connection, which is ignored", get(b"GET / HTTP/1.1", HOST + b"Upgrade: websocket\r\n"), 0
    ),
    Row("H30 Upgrade with a body, which is ignored", post(WEBSOCKET + b"Content-Length: 5\r\n", b"hello"), 0, b"hello"),
    Row("H31 WebSocket, which the server declines", get(b"GET / HTTP/1.1", HOST + WEBSOCKET), 0),
    Row(
        "H31 WebSocket with the body of a GET",
        get(b"GET / HTTP/1.1", HOST + WEBSOCKET + b"Content-Length: 5\r\n") + b"hello",
        400,
    ),
    Row("H29 unknown expectation", post(b"Expect: unknown\r\nContent-Length: 2\r\n", b"ok"), 417),
    Row("H29 two expectations", post(b"Expect: 100-continue\r\n" * 2 + b"Content-Length: 2\r\n", b"ok"), 417),
]

SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
FRAMINGS = [
    Row("F00 Content-Length", post(b"Content-Length: 5\r\n", b"hello"), 0, b"hello"),
    Row("F00 POST without body", post(b""), 0),
    Row("F01 CL and TE", post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), 400),
    Row("F02 TE and CL", post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n" + SMUGGLED), 400),
    Row("F03 two differing CL", post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello!"), 400),
    Row("F04 two equal CL", post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"), 400),
    Row("F05 CL list", post(b"Content-Length: 5, 5\r\n", b"hello"), 400),
    Row("F06 CL +5", post(b"Content-Length: +5\r\n", b"hello"), 400),
    Row("F07 CL -5", post(b"Content-Length: -5\r\n", b"hello"), 400),
    Row("F08 CL 0x5", post(b"Content-Length: 0x5\r\n", b"hello"), 400),
    Row("F09 CL 1_0", post(b"Content-Length: 1_0\r\n", b"hello12345"), 400),
    Row("F10 CL empty", post(b"Content-Length:\r\n", b"hello"), 400),
    Row("F11 CL 5.0", post(b"Content-Length: 5.0\r\n", b"hello"), 400),
    Row("F11 CL with 20 digits", post(b"Content-Length: 99999999999999999999\r\n", b"hello"), 400),
    Row("F12 CL 005", post(b"Content-Length: 005\r\n", b"hello"), 400),
    Row("F13 CL with VT", post(b"Content-Length: \x0b5\r\n", b"hello"), 400),
    Row("F13 CL with NBSP", post(b"Content-Length: \xa05\r\n", b"hello"), 400),
    Row("F13 CL in other digits", post("Content-Length: \uff15\r\n".encode(), b"hello"), 400),
    Row("F14 CL with a space inside", post(b"Content-Length: 5 5\r\n", b"hello"), 400),
    Row("F15 CL larger than allowed", post(b"Content-Length: 1001\r\n", b"hello"), 413),
    Row("F15 CL at the limit", post(b"Content-Length: 1000\r\n", b"a" * 1000), 0, b"a" * 1000),
    Row("F16 HTTP/1.0 with chunked", b"POST /p HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    Row(
        "F17 HTTP/1.0 with TE and CL", b"POST /p HTTP/1.0\r\nTransfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\na", 400
    ),
    Row("F18 TE identity", post(b"Transfer-Encoding: identity\r\n"), 501),
    Row("F19 TE gzip, chunked", post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), 501),
    Row("F20 TE chunked, gzip", post(b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n"), 400),
    Row("F21 TE chunked, chunked", post(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"), 400),
    Row("F21 two TE lines", post(b"Transfer-Encoding: chunked\r\n" * 2, b"0\r\n\r\n"), 400),
    Row(
        "F21 two TE lines, second unknown",
        post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", b"0\r\n\r\n"),
        400,
    ),
    Row("F22 TE Chunked", post(b"Transfer-Encoding: Chunked\r\n", b"0\r\n\r\n"), 0),
    Row("F23 TE xchunked", post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"), 501),
    Row("F24 TE VT chunked", post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"), 400),
    Row("F24 TE FF chunked", post(b"Transfer-Encoding: \x0cchunked\r\n", b"0\r\n\r\n"), 400),
    Row("F24 TE NBSP chunked", post(b"Transfer-Encoding: \xa0chunked\r\n", b"0\r\n\r\n"), 400),
    Row("F25 TE quoted chunked", post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n"), 400),
    Row("F26 TE chunked with a parameter", post(b"Transfer-Encoding: chunked;a=b\r\n", b"0\r\n\r\n"), 400),
    Row("F27 TE empty and CL", post(b"Transfer-Encoding:\r\nContent-Length: 5\r\n", b"hello"), 400),
    Row("F27 TE empty", post(b"Transfer-Encoding:\r\n"), 400),
    Row("F28 GET with body", get(b"GET / HTTP/1.1", HOST + b"Content-Length: 5\r\n") + b"hello", 400),
    Row("F28 GET with CL 0", get(b"GET / HTTP/1.1", HOST + b"Content-Length: 0\r\n"), 0),
    Row("F29 GET chunked", get(b"GET / HTTP/1.1", HOST + b"Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n", 400),
    Row("F30 HEAD with body", get(b"HEAD / HTTP/1.1", HOST + b"Content-Length: 5\r\n") + b"hello", 400),
    Row("F30 OPTIONS with body", get(b"OPTIONS / HTTP/1.1", HOST + b"Content-Length: 5\r\n") + b"hello", 400),
    Row("F30 DELETE with body", get(b"DELETE / HTTP/1.1", HOST + b"Content-Length: 5\r\n") + b"hello", 400),
    Row("F30 DELETE with CL 0", get(b"DELETE / HTTP/1.1", HOST + b"Content-Length: 0\r\n"), 0),
    Row(
        "F31 multipart/byteranges has its body",
        post(b"Content-Type: multipart/byteranges; boundary=x\r\nContent-Length: 5\r\n", b"hello"),
        0,
        b"hello",
    ),
]

CHUNKS = [
    Row("C01 one chunk", chunked(b"5\r\nhello\r\n0\r\n\r\n"), 0, b"hello"),
    Row("C01 two chunks", chunked(b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"), 0, b"hello"),
    Row("C02 hexadecimal sizes", chunked(b"A\r\n0123456789\r\n00a\r\n0123456789\r\n0\r\n\r\n"), 0, b"0123456789" * 2),
    Row("C03 size -5", chunked(b"-5\r\nhello\r\n0\r\n\r\n"), 400),
    Row("C03 size +5", chunked(b"+5\r\nhello\r\n0\r\n\r\n"), 400),
    Row("C04 size 0_5", chunked(b"0_5\r\nhello\r\n0\r\n\r\n"), 400),
    Row("C04 size 0x5", chunked(b"0x5\r\nhello\r\n0\r\n\r\n"), 400),
    Row("C05 leading space", chunked(b" 5\r\nhello\r\n0\r\n\r\n"), 400),
    Row("C06 trailing space", chunked(b"5 \r\nhello\r\n0\r\n\r\n"), 400),
    Row("C07 empty size", chunked(b"\r\nhello\r\n0\r\n\r\n"), 400),
    Row("C07 no digits", chunked(b"g\r\nhello\r\n0\r\n\r\n"), 400),
    Row("C08 size line ended by LF", chunked(b"5\nhello\r\n0\r\n\r\n"), 400),
    Row("C08 last size line ended by LF", chunked(b"5\r\nhello\r\n0\n\r\n"), 400),
    Row("C09 size line ended by CR and another byte", chunked(b"5\rXhello\r\n0\r\n\r\n"), 400),
    Row("C10 extension", chunked(b"5;a=b\r\nhello\r\n0;c\r\n\r\n"), 0, b"hello"),
    Row("C10 quoted extension", chunked(b'5;a="b;c"\r\nhello\r\n0\r\n\r\n'), 0, b"hello"),
    Row("C11 extension with bare CR", chunked(b"5;a\rb\r\nhello\r\n0\r\n\r\n"), 400),
    Row("C11 extension with NUL", chunked(b"5;a\x00b\r\nhello\r\n0\r\n\r\n"), 400),
    Row("C11 extension with LF", chunked(b"5;a\nb\r\nhello\r\n0\r\n\r\n"), 400),
    Row("C11 extension without name", chunked(b"5;\r\nhello\r\n0\r\n\r\n"), 400),
    Row("C12 extension of 100 kB", chunked(b"5;" + b"a" * 100_000 + b"\r\nhello\r\n0\r\n\r\n"), 400),
    Row("C13 size beyond 2^63", chunked(b"FFFFFFFFFFFFFFFFF\r\nhello"), 400),
    Row("C13 size of 4 GiB", chunked(b"FFFFFFFF\r\nhello"), 413),
    Row("C14 data longer than the size", chunked(b"3\r\nhello\r\n0\r\n\r\n"), 400),
    Row("C15 data followed by LF", chunked(b"5\r\nhello\n0\r\n\r\n"), 400),
    Row("C16 no CR LF after the data", chunked(b"5\r\nhello0\r\n\r\n"), 400),
    Row("C17 no final CR LF", chunked(b"5\r\nhello\r\n0\r\n"), 400, eof=True),
    Row("C17 no last chunk", chunked(b"5\r\nhello\r\n"), 400, eof=True),
    Row("C18 ended in the data", chunked(b"5\r\nhe"), 400, eof=True),
    Row("C19 trailer", chunked(b"5\r\nhello\r\n0\r\nA: b\r\n\r\n"), 0, b"hello"),
    Row("C19 trailer that frames", chunked(b"5\r\nhello\r\n0\r\nContent-Length: 100\r\n\r\n"), 0, b"hello"),
    Row("C19 malformed trailer", chunked(b"5\r\nhello\r\n0\r\nA b\r\n\r\n"), 400),
    Row("C19 trailer with bare LF", chunked(b"5\r\nhello\r\n0\r\nA: b\n\r\n"), 400),
    Row("C19 101 trailers", chunked(b"0\r\n" + b"A: b\r\n" * 101 + b"\r\n"), 431),
    Row("C19 trailer of 100 kB", chunked(b"0\r\nA: " + b"b" * 100_000 + b"\r\n\r\n"), 431),
    Row("C20 body larger than allowed", chunked(b"1f4\r\n" + b"a" * 500 + b"\r\n1f5\r\n" + b"a" * 501), 413),
]

PIPELINES = [
    Row("P01 two GETs", GOOD + GOOD, 0, requests=2),
    Row("P01 POST, then GET", post(b"Content-Length: 5\r\n", b"hello") + GOOD, 0, b"hello", requests=2),
    Row("P01 chunked POST, then GET", chunked(b"5\r\nhello\r\n0\r\n\r\n") + GOOD, 0, b"hello", requests=2),
    Row("P01 empty line between", post(b"Content-Length: 5\r\n", b"hello") + b"\r\n" + GOOD, 0, b"hello", requests=2),
    Row("P02 GET, then garbage", GOOD + b"\x01\x02\x03\r\n\r\n", 400, requests=1),
    Row("P03 body longer than CL", post(b"Content-Length: 3\r\n", b"hello"), 400, b"hel", eof=True),
]

ROWS = LINES + HEADS + FRAMINGS + CHUNKS + PIPELINES


def events_of(data: bytes, *, piece: int, eof: bool = False) -> list[RequestEvent]:
    """All events when the bytes come ``piece`` at a time; pieces of a body that follow each other are joined."""
    parser = RequestParser(BODY_MAX)
    events: list[RequestEvent] = []
    for start in range(0, len(data), piece):
        parser.feed(data[start : start + piece])
        drain(parser, events)
    if eof:
        parser.feed_eof()
        drain(parser, events)
    return events


def drain(parser: RequestParser, events: list[RequestEvent]) -> None:
    while (event := parser.next_event()) is not None:
        if isinstance(event, Body) and events and isinstance(events[-1], Body):
            events[-1] = Body(events[-1].data + event.data)
        else:
            events.append(event)


def complete(event: RequestEvent) -> bool:
    """Whether a request ends here: its own end, or the end of a head that no body follows."""
    return isinstance(event, End) or (isinstance(event, Request) and event.complete)


@pytest.mark.parametrize("feeding", ["whole", "byte by byte", "behind a good request"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_kind_of_request_gets_its_verdict_however_it_arrives(row: Row, feeding: str) -> None:
    """R1, R3, R4."""
    before = GOOD if feeding == "behind a good request" else b""
    data = before + row.data
    events = events_of(data, piece=1 if feeding == "byte by byte" else len(data), eof=row.eof)
    if before:
        assert isinstance(events[0], Request)
        assert (events[0].target, events[0].complete) == (b"/before", True)
        del events[0]
    rejected = [event for event in events if isinstance(event, Rejected)]
    assert [event.status for event in rejected] == ([row.status] if row.status else [])
    if row.status:
        assert events[-1] is rejected[0]
    else:
        assert sum(complete(event) for event in events) == row.requests
        assert complete(events[-1])
        assert b"".join(event.data for event in events if isinstance(event, Body)) == row.body


@pytest.mark.parametrize("row", [row for row in ROWS if row.status], ids=lambda row: row.name)
def test_nothing_comes_after_a_rejection(row: Row) -> None:
    """R2."""
    parser = RequestParser(BODY_MAX)
    parser.feed(row.data)
    parser.feed_eof() if row.eof else None
    events: list[RequestEvent] = []
    drain(parser, events)
    assert isinstance(events[-1], Rejected)
    parser.feed(GOOD)
    assert parser.next_event() is None


def test_an_incomplete_request_is_waited_for_and_its_end_is_an_error() -> None:
    parser = RequestParser(BODY_MAX)
    parser.feed(b"GET / HT")
    assert parser.next_event() is None
    assert parser.within_message
    parser.feed_eof()
    assert isinstance(parser.next_event(), Rejected)


def test_an_end_between_requests_is_no_error() -> None:
    parser = RequestParser(BODY_MAX)
    parser.feed(GOOD)
    assert isinstance(parser.next_event(), Request)
    assert not parser.within_message
    parser.feed_eof()
    assert parser.next_event() is None


@pytest.mark.parametrize(
    ("line", "fields", "keep_alive"),
    [
        (b"GET / HTTP/1.1", HOST, True),
        (b"GET / HTTP/1.1", HOST + b"Connection: close\r\n", False),
        (b"GET / HTTP/1.1", HOST + b"Connection: x, CLOSE\r\n", False),
        (b"GET / HTTP/1.0", HOST, False),
        (b"GET / HTTP/1.0", HOST + b"Connection: Keep-Alive\r\n", True),
        (b"GET / HTTP/1.0", HOST + b"Connection: keep-alive, close\r\n", False),
    ],
)
def test_keep_alive_follows_version_and_connection(line: bytes, fields: bytes, keep_alive: bool) -> None:
    (request,) = events_of(get(line, fields), piece=1000)
    assert isinstance(request, Request)
    assert request.keep_alive is keep_alive


def test_a_repeated_block_of_fields_means_the_same_again_and_another_one_does_not() -> None:
    """Blocks that were read are remembered; one that only resembles another must be read anew."""
    one = get(b"GET /1 HTTP/1.1", HOST + b"Cookie: a\r\n")
    other = get(b"GET /2 HTTP/1.1", HOST + b"Cookie: b\r\n")
    events = [event for event in events_of(one + one + other, piece=10_000) if isinstance(event, Request)]
    assert [event.fields.first(b"cookie") for event in events] == [b"a", b"a", b"b"]


def test_a_head_at_the_limit_is_accepted_and_one_byte_more_is_not() -> None:
    start = b"GET / HTTP/1.1\r\n" + HOST + b"A: "
    fitting = start + b"a" * (HEAD_BYTES_MAX - len(start) - 4) + b"\r\n\r\n"
    for piece in (1, 10**6):
        assert isinstance(events_of(fitting, piece=piece)[0], Request)
        (rejected,) = events_of(fitting.replace(b"A: ", b"A: a"), piece=piece)
        assert isinstance(rejected, Rejected)
        assert rejected.status == 431
