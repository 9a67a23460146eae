"""What a request carries on its way to a server, in HAProxy's words: the same fields as with our own engine (haproxy.H1)."""

from typing import Final

from load_balancer.http1.headers import PSEUDONYM
from load_balancer.options import Options

_HEX: Final = "[0-9a-f]"


def request_fields(options: Options) -> list[str]:
    """Lines of the frontend; headers.W1 to W5."""
    scheme = "http" if options.tls is None else "https"
    parent = f"^{_HEX}{{2}}-{_HEX}{{32}}-{_HEX}{{16}}-{_HEX}{{2}}(-.*)?$"
    return [
        "http-request del-header Forwarded",
        "http-request del-header X-Real-IP",
        "http-request del-header X-Forwarded- -m beg",
        "http-request del-header Proxy",
        "http-request del-header Proxy- -m beg",
        "http-request del-header _ -m sub",
        "http-request set-header X-Forwarded-For %[src]",
        f"http-request set-header X-Forwarded-Proto {scheme}",
        "http-request set-header X-Forwarded-Host %[req.hdr(host)]",
        *_forwarded(options, scheme),
        f'http-request add-header Via "1.1 {PSEUDONYM.decode()}"',
        "http-request set-header X-Request-Id %[unique-id]",
        "# W3C trace context: a valid one goes on, any other one ends here and a new trace begins.",
        f"acl trace_form req.fhdr(traceparent) -m reg '{parent}'",
        "acl trace_once req.fhdr_cnt(traceparent) eq 1",
        "acl trace_void req.fhdr(traceparent) -m beg ff-",
        f"acl trace_void req.fhdr(traceparent) -m sub -- -{'0' * 32}- -{'0' * 16}-",
        "acl trace_00 req.fhdr(traceparent) -m beg 00-",
        "acl trace_55 req.fhdr(traceparent) -m len 55",
        "http-request set-var(txn.traced) bool(true) if trace_form trace_once !trace_void !trace_00",
        "http-request set-var(txn.traced) bool(true) if trace_form trace_once !trace_void trace_55",
        "acl traced var(txn.traced) -m bool",
        "http-request del-header tracestate if !traced",
        # Twelve hexadecimal digits and the version 4 of a random UUID are never all zeros.
        'http-request set-header traceparent "00-%[uuid(),regsub(-,,g)]-%[uuid(),regsub(-,,g),bytes(0,16)]-01" if !traced',
    ]


def _forwarded(options: Options, scheme: str) -> list[str]:
    """As headers.client_lines; `option forwarded` came with HAProxy 2.8 only."""
    if not options.forwarded:
        return []
    return [
        "acl over_ipv6 src -m sub :",
        f"http-request set-header Forwarded 'for=%[src];proto={scheme}' if !over_ipv6",
        f"http-request set-header Forwarded 'for=\"[%[src]]\";proto={scheme}' if over_ipv6",
    ]
