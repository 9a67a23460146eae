"""Smaller answers for who can read them: gzip, by Accept-Encoding (RFC 9110, 12.5.3).

Z1  An answer is coded when the client prefers gzip to the plain text or has no preference among the two; every answer
    that could have been coded says `Vary: Accept-Encoding`.
Z2  A validator of an answer whose coding varies is weak: it promises the same meaning, not the same bytes.
Z3  Secrets are not told by lengths (BREACH). A page that a foreign site made the browser ask for, cookies included, is
    not coded: only such a site could ask again and again with guesses in the address. The one secret that is in all
    pages, the forms' token, is masked anew in each (pages/csrf.py).
Z4  What is coded already, has no body, or would not become smaller stays as it is.
"""

import zlib
from functools import lru_cache

from flask import Response, request

from customers import vary
from customers.errors import PROBLEM_TYPE

CODING = "gzip"
BYTES_MIN = 1_000  # below, head and trailer of gzip and one packet more or less decide; chosen
LEVEL = 3  # measured on a catalogue page of 14 KB: 27 µs and 3.04 KB; level 1: 27 and 3.08; level 5: 48 and 2.88
HEADER_LENGTH_MAX = 500  # of Accept-Encoding; browsers send 30

_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # zlib's way to say: with gzip's head and trailer
_TYPES = frozenset(
    {
        "text/html",
        "text/css",
        "text/plain",
        "text/javascript",
        "application/javascript",
        "application/json",
        PROBLEM_TYPE,
        "image/svg+xml",
    }
)
_WITHOUT_BODY = frozenset({204, 304})
_OWN_SITES = frozenset({"same-origin", "none"})


def is_compressible(mimetype: str) -> bool:
    return mimetype in _TYPES


def gzipped(body: bytes, level: int = LEVEL) -> bytes:
    """The same bytes for the same body: gzip's time stamp is left out."""
    coder = zlib.compressobj(level, zlib.DEFLATED, _GZIP_WINDOW)
    return coder.compress(body) + coder.flush()


@lru_cache(maxsize=256)
def accepts_gzip(header: str) -> bool:
    """Whether gzip is wanted, and wanted no less than the plain text (Z1). A header that cannot be read wants nothing."""
    qualities: dict[str, float] = {}
    for part in header[:HEADER_LENGTH_MAX].lower().split(","):
        coding, _, parameters = part.partition(";")
        quality = _quality(parameters)
        if quality is not None:
            qualities[coding.strip()] = quality
    gzip = qualities.get(CODING, qualities.get("x-gzip", qualities.get("*", 0.0)))
    return gzip > 0 and gzip >= qualities.get("identity", 0.0)


def _quality(parameters: str) -> float | None:
    name, _, value = parameters.strip().partition("=")
    if not name:
        return 1.0
    try:
        quality = float(value) if name.strip() == "q" else -1.0
    except ValueError:
        return None
    return quality if 0 <= quality <= 1 else None


def add(response: Response) -> Response:
    """After everything else that makes an answer."""
    if not is_compressible(response.mimetype or "") or "Content-Encoding" in response.headers:
        return response
    vary.add(response, "Accept-Encoding")
    if "ETag" in response.headers:
        tag, weak = response.get_etag()
        if tag is not None and not weak:
            response.set_etag(tag, weak=True)
    has_body = (
        response.status_code not in _WITHOUT_BODY and not response.is_streamed and not response.direct_passthrough
    )
    if has_body and may_be_coded():
        _code(response)
    return response


def may_be_coded() -> bool:
    """Whether this request's answer may be gzip (Z1, Z3)."""
    if not accepts_gzip(request.headers.get("Accept-Encoding", "")):
        return False
    return "HTTP_COOKIE" not in request.environ or request.headers.get("Sec-Fetch-Site", "none") in _OWN_SITES


def _code(response: Response) -> None:
    body = response.get_data()
    if len(body) < BYTES_MIN:
        return
    coded = gzipped(body)
    if len(coded) < len(body):
        response.set_data(coded)
        response.headers["Content-Encoding"] = CODING
