"""Our error pages, for programs that can only put a text together."""

from typing import Final, NamedTuple

from load_balancer.proxy.replies import TRANSPORT_SECURITY, problem, security_lines

# What an engine answers by itself, and whether nothing can have happened at a server then.
NOT_DISPATCHED: Final = dict.fromkeys((400, 404, 405, 408, 413, 421, 429, 501, 503), True)
RETRIED_LATER: Final = (429, 503)  # answers with Retry-After
ERRORS: Final = (*NOT_DISPATCHED, 500, 502, 504)
_MARK: Final = "REQUEST-ID"


class ErrorPage(NamedTuple):
    """One status: the page and the problem document, each with ``request_id`` in place of the request's own."""

    status: int
    html: str
    json: str
    not_dispatched: bool


def error_page(status: int, request_id: str) -> ErrorPage:
    """``request_id``: how the engine writes it, such as ``$request_id``."""
    texts = [
        problem(status, "the load balancer answered", request_id=_MARK.encode(), html=html, not_dispatched=True)
        .body.decode("utf-8")
        .strip()
        .replace("\n", " ")
        .replace(_MARK, request_id)
        for html in (True, False)
    ]
    return ErrorPage(status, texts[0], texts[1], NOT_DISPATCHED.get(status, False))


def own_headers(*, behind_tls: bool) -> list[tuple[str, str]]:
    """The security headers that every answer of ours carries."""
    text = security_lines() + (TRANSPORT_SECURITY if behind_tls else b"")
    lines = text.decode("ascii").strip().split("\r\n")
    return [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
