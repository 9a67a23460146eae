"""The headers with which every answer of the shop forbids what it does not need (ASVS 5.0 3.4, level 2).

X1  Every answer has them: pages, calls, files, errors of ours and of Flask. The load balancer's own answers carry the same
    names (load_balancer/proxy/replies.py).
X2  No page needs code or style within its text: nothing that gets into a page as text can become code.
X3  What is not said to be public and kept is not kept by anybody.
"""

from flask import Response

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


def add(response: Response, *, behind_tls: bool) -> None:
    """Completes an answer; what a view has said itself stays."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    if behind_tls:
        response.headers["Strict-Transport-Security"] = TRANSPORT_POLICY
