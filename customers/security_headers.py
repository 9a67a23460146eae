"""The headers with which every answer of the shop forbids what it does not need (ASVS 5.0 3.4, level 2).

X1  Every answer has them: pages, calls, files, errors of ours and of Flask. The load balancer's own answers carry the same
    names (load_balancer/proxy/replies.py).
X2  No page needs code or style within its text: nothing that gets into a page as text can become code.
X3  What is not said to be public and kept is not kept by anybody.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CONTENT_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; font-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
YEAR_SECONDS = 31_536_000  # ASVS 5.0 3.4.1 asks for one year at least, and from level 2 on for all subdomains
TRANSPORT_POLICY = f"max-age={YEAR_SECONDS}; includeSubDomains"


def fields(*, behind_tls: bool) -> list[tuple[str, str]]:
    """What an answer has unless its view has said something else (X3)."""
    kept = [*HEADERS.items(), ("Cache-Control", "no-store")]
    return [*kept, ("Strict-Transport-Security", TRANSPORT_POLICY)] if behind_tls else kept


class OnEveryAnswer:
    """WSGI middleware: adds these fields to every answer that does not have them. Their names are looked for only once."""

    def __init__(self, application: "WSGIApplication", added: list[tuple[str, str]]) -> None:
        self._application = application
        self._added = [(name.lower(), (name, value)) for name, value in added]

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        def start(status: str, given: list[tuple[str, str]], *exc_info: Any) -> Any:
            said = {name.lower() for name, _value in given}
            missing = [field for name, field in self._added if name not in said]
            return start_response(status, given + missing, *exc_info)

        return self._application(environ, cast("StartResponse", start))
