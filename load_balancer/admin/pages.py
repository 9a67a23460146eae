"""What an operator is answered: health, metrics, the servers and their states. No sockets.

Reading is open (the port listens on the loopback); changing needs the control token.
"""

import hmac
import json
import time
from collections.abc import Callable
from typing import Final

from load_balancer.balancing.servers import Admin
from load_balancer.http1.events import Request
from load_balancer.proxy.balancer import Backend, Balancer
from load_balancer.proxy.replies import ALIVE, Reply, problem
from load_balancer.stats import pages

_JSON: Final = b"application/json"


def answer(balancer: Balancer, request: Request, body: bytes) -> Reply:
    """The answer to one request of an operator."""
    path = request.target.partition(b"?")[0].decode("ascii")
    parts = path.strip("/").split("/")
    if len(parts) == 3 and parts[0] == "servers" and parts[2] == "state":
        return _set_state(balancer, request, parts[1], body)
    page = _PAGES.get(path)
    reply = pages.page(request.target.decode("ascii"), balancer.figures) if page is None else page(balancer)
    if reply is None:
        return refusal(404, f"known paths: {', '.join((*_PAGES, *pages.PATHS))}, /servers/{{name}}/state")
    if request.method not in (b"GET", b"HEAD"):
        return refusal(405, "only GET and HEAD", b"Allow: GET, HEAD\r\n")
    return reply


def describe(backend: Backend) -> dict[str, object]:
    """One row of the table of servers, in HAProxy's words."""
    health, traffic = backend.health, backend.traffic
    return {
        "name": backend.name,
        "address": str(backend.address),
        "state": health.word,
        "check": health.operation.value,
        "admin": health.admin.value,
        "reason": health.reason,
        "since_seconds": round(time.monotonic() - health.since, 1),
        "in_flight": len(backend.serving),
        "idle_connections": len(backend.pool),
        "connections": traffic.connections,
        "requests": traffic.requests,
        "responses": {f"{hundred}xx": count for hundred, count in enumerate(traffic.classes) if hundred},
        "failures": dict(sorted(traffic.failures.items())),
    }


def _ready(balancer: Balancer) -> Reply:
    if balancer.draining:
        return _json(503, {"ready": False, "reason": "draining"})
    ready = balancer.ready_servers
    reason = f"{ready} of {len(balancer.backends)} servers are ready"
    return _json(200 if ready else 503, {"ready": ready > 0, "reason": reason})


def _servers(balancer: Balancer) -> Reply:
    return _json(200, [describe(backend) for backend in balancer.backends.values()])


_PAGES: Final[dict[str, Callable[[Balancer], Reply]]] = {
    "/healthz": lambda _: ALIVE,
    "/readyz": _ready,
    "/servers": _servers,
}


def _set_state(balancer: Balancer, request: Request, name: str, body: bytes) -> Reply:
    token = balancer.options.control_token
    if request.method != b"POST":
        return refusal(405, "only POST", b"Allow: POST\r\n")
    if token is None:
        return refusal(403, "the balancer was started without a control token, so states cannot be changed")
    given = request.fields.first(b"authorization")
    if not hmac.compare_digest(given, b"Bearer " + token.encode()):
        return refusal(401, "the control token is missing or wrong", b"WWW-Authenticate: Bearer\r\n")
    backend = balancer.backends.get(name)
    if backend is None:
        return refusal(404, f"no server of this name; servers: {', '.join(balancer.backends)}")
    try:
        document = json.loads(body.decode("utf-8"))
        wanted = Admin(document["state"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return refusal(422, 'state: expected {"state": "ready"}, "drain" or "maint"')
    balancer.administer(backend, wanted)
    return _json(200, describe(backend))


def _json(status: int, document: object) -> Reply:
    return Reply(status, _JSON, json.dumps(document).encode() + b"\n")


def refusal(status: int, detail: str, extra: bytes = b"") -> Reply:
    reply = problem(status, detail, request_id=b"-", html=False, not_dispatched=False)
    return reply._replace(extra=reply.extra + extra)
