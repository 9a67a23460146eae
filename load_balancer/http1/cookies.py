"""The balancer's own cookie, HAProxy's `cookie NAME insert indirect nocache httponly`: read, taken out, set.

K1  A server never sees it, whatever the client sends under its name; all other cookies pass as they are written.
K2  No server can set it: a cookie of its name that a server sets is dropped.
K3  Where it is set, no shared cache may keep the answer: another visitor would be bound with it.
K4  Scripts cannot read it, other sites do not send it along with what they post, and over TLS it stays there.
"""

from typing import Final

from load_balancer.http1.events import Request, Response

_COOKIE: Final = b"cookie"
_SET_COOKIE: Final = b"set-cookie"
_KEPT_PRIVATE: Final = (b"private", b"no-store")


def take(request: Request, name: bytes) -> tuple[bytes | None, Request]:
    """The cookie's value, the first one if it came more than once, and the request without it (K1)."""
    value: bytes | None = None
    for field in request.fields.all:
        if field.key != _COOKIE or name not in field.value:
            continue
        crumbs = field.value.split(b";")
        others = [crumb for crumb in crumbs if _name_of(crumb) != name]
        if len(others) == len(crumbs):
            continue
        if value is None:
            value = next(crumb.partition(b"=")[2].strip(b" \t") for crumb in crumbs if _name_of(crumb) == name)
        rest = b";".join(others).strip(b"; \t")
        line = b"%b: %b\r\n" % (field.name, rest) if rest else b""
        # A line begins behind the end of another one: not just anywhere in it.
        opening = request.opening.replace(b"\r\n" + field.kept, b"\r\n" + line, 1)
        request = request._replace(opening=opening)
    return value, request


def without(response: Response, name: bytes) -> Response:
    """The answer without a cookie of this name (K2); the same value where there is none."""
    fields = response.fields
    if not any(_sets(field.key, field.value, name) for field in fields.all):
        return response
    left = tuple(field for field in fields.all if not _sets(field.key, field.value, name))
    kept = b"".join(field.kept for field in left if field.key not in fields.facts.options)
    return response._replace(fields=fields._replace(all=left, kept=kept))


def setting_lines(response: Response, name: bytes, value: bytes, *, secure: bool) -> bytes:
    """The lines that set it (K3, K4). ``secure``: the client's connection is TLS."""
    secured = b"; Secure" if secure else b""
    said = [field.value.lower() for field in response.fields.all if field.key == b"cache-control"]
    private = any(word in value for value in said for word in _KEPT_PRIVATE)
    uncached = b"" if private else b"Cache-Control: private\r\n"
    return b"Set-Cookie: %b=%b; Path=/; HttpOnly; SameSite=Lax%b\r\n%b" % (name, value, secured, uncached)


def _name_of(crumb: bytes) -> bytes:
    return crumb.partition(b"=")[0].strip(b" \t")


def _sets(key: bytes, value: bytes, name: bytes) -> bool:
    return key == _SET_COOKIE and _name_of(value.partition(b";")[0]) == name
