"""PEP 3333's environ, and an application's answer as one value."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from customers.serving.wsgi import add_body, answer_of, environ_of, has_body

Start = Callable[..., Callable[[bytes], None]]


def scope(path: bytes = b"/", query: bytes = b"", *fields: tuple[bytes, bytes], method: str = "GET") -> dict[str, Any]:
    return {
        "method": method,
        "raw_path": path,
        "query_string": query,
        "http_version": "1.1",
        "server": ("127.0.0.1", 8201),
        "client": ("10.0.0.7", 5000),
        "headers": [*fields],
    }


def test_bytes_become_latin_1_text() -> None:
    """W1: whatever the bytes are, the application gets all of them, and decodes them itself."""
    environ = environ_of(scope(b"/a%2Fb%C3%A4%ff;x", b"q=%20%C3", (b"x-name", "ä".encode())))
    assert environ["PATH_INFO"].encode("latin-1") == b"/a/b\xc3\xa4\xff;x"
    assert environ["QUERY_STRING"] == "q=%20%C3"
    assert environ["HTTP_X_NAME"].encode("latin-1") == "ä".encode()
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("127.0.0.1", "8201")
    assert (environ["REMOTE_ADDR"], environ["SERVER_PROTOCOL"]) == ("10.0.0.7", "HTTP/1.1")


def test_fields_of_one_name_are_one_list_and_end_without_blanks() -> None:
    fields = [(b"x-a", b"1 \t"), (b"x-a", b"2"), (b"cookie", b"a=1"), (b"cookie", b"b=2")]
    environ = environ_of(scope(b"/", b"", *fields))
    assert environ["HTTP_X_A"] == "1, 2"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"


def test_a_client_cannot_write_what_the_load_balancer_says() -> None:
    """W2"""
    fields = [(b"x_forwarded_for", b"6.6.6.6"), (b"x-forwarded-for", b"10.1.1.1"), (b"content_length", b"5")]
    environ = environ_of(scope(b"/", b"", *fields))
    assert environ["HTTP_X_FORWARDED_FOR"] == "10.1.1.1"
    assert not has_body(environ)
    assert not [name for name in environ if "6.6.6.6" in str(environ[name])]


def test_one_request_leaves_nothing_to_the_next() -> None:
    environ_of(scope(b"/", b"", (b"x-secret", b"1")))["wsgi.other"] = 1
    assert {"HTTP_X_SECRET", "wsgi.other"}.isdisjoint(environ_of(scope()))


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ((b"content-length", b"3"), True),
        ((b"content-length", b"0"), False),
        ((b"transfer-encoding", b"chunked"), True),
        ((b"x", b"3"), False),
    ],
)
def test_a_body_is_announced_by_its_length_or_its_coding(field: tuple[bytes, bytes], *, expected: bool) -> None:
    assert has_body(environ_of(scope(b"/", b"", field))) is expected


def test_a_body_has_a_length_however_it_was_sent() -> None:
    """W3"""
    environ = environ_of(scope(b"/", b"", (b"transfer-encoding", b"chunked"), (b"content-type", b"text/plain")))
    add_body(environ, b"abc", 3)
    assert (environ["CONTENT_LENGTH"], environ["CONTENT_TYPE"]) == ("3", "text/plain")
    assert environ["wsgi.input"].read() == b"abc"
    assert "HTTP_TRANSFER_ENCODING" not in environ


class Chunks:
    """An answer that says whether it was closed."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.chunks = chunks
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield from self.chunks

    def close(self) -> None:
        self.is_closed = True


def test_an_answer_is_whole_and_says_its_length() -> None:
    """W4, for an application that writes, yields, and closes."""
    chunks = Chunks([b"b", b"c"])

    def application(_environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start("200 OK", [("X-Name", "ä")])(b"a")
        return chunks

    answer = answer_of(application, environ_of(scope()))
    assert answer == (200, [(b"x-name", b"\xe4"), (b"content-length", b"3")], b"abc")
    assert chunks.is_closed


def test_the_application_does_not_date_its_answers() -> None:
    """W5: whatever makes an answer conditional adds a date; the server adds one to every answer."""

    def application(_environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start("200 OK", [("Date", "Sat, 21 Nov 2026 14:03:02 GMT"), ("ETag", '"1"')])
        return [b"abc"]

    assert answer_of(application, environ_of(scope())).fields == [(b"etag", b'"1"'), (b"content-length", b"3")]


@pytest.mark.parametrize("status", ["204 NO CONTENT", "304 NOT MODIFIED"])
def test_an_answer_that_can_have_no_body_says_nothing_of_one(status: str) -> None:
    """W4: a length would make the reader, or our own server, wait for it."""

    def application(_environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start(status, [("Content-Length", "5"), ("Content-Type", "text/html"), ("ETag", '"1"')])
        return [b"never"]

    assert answer_of(application, environ_of(scope())) == (int(status[:3]), [(b"etag", b'"1"')], b"")


def test_the_answer_to_head_keeps_the_length_that_get_would_have() -> None:
    def application(_environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start("200 OK", [("Content-Length", "5")])
        return []

    assert answer_of(application, environ_of(scope(method="HEAD"))).fields == [(b"content-length", b"5")]


def test_an_error_is_raised_after_the_answer_was_closed() -> None:
    def failing() -> Iterator[bytes]:
        yield b"a"
        raise RuntimeError

    chunks = Chunks(failing())

    def application(_environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        start("200 OK", [])
        return chunks

    with pytest.raises(RuntimeError):
        answer_of(application, environ_of(scope()))
    assert chunks.is_closed
