"""What an operator is answered: health, metrics, the servers; and what changes them. No sockets.

Reading is open (the port listens on the loopback); changing needs the control token. Words and meanings are those of
HAProxy's runtime API: a server is put into maint and idle before it is removed.
"""

import dataclasses
import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Final

from load_balancer.admin import forms
from load_balancer.admin.operator import Operator
from load_balancer.admin.orders import Order, PutServer, RemoveServer, SetState
from load_balancer.admin.system_settings import RefusedError
from load_balancer.balancing.members import ServerOptions
from load_balancer.balancing.servers import Admin
from load_balancer.http1.events import Request
from load_balancer.options import OptionsError
from load_balancer.proxy.replies import ALIVE, Reply, phrase
from load_balancer.stats import pages
from load_balancer.stats.figures import Figures, ServerFigures

SERVERS_MAX: Final = 10_000
_JSON: Final = b"application/json"
_READING: Final = (b"GET", b"HEAD")


async def answer(operator: Operator, request: Request, body: bytes) -> Reply:
    """The answer to one request of an operator."""
    path = request.target.partition(b"?")[0].decode("ascii")
    if path != "/servers" and path.startswith("/servers/"):
        return await _of_server(operator, request, path.removeprefix("/servers/"), body)
    if path == "/reload":
        return _refuse(operator, request, (b"POST",)) or await _reload(operator)
    if path == "/healthz":
        reply: Reply | None = ALIVE
    else:
        figures = await operator.figures()
        page = _PAGES.get(path)
        reply = pages.page(request.target.decode("ascii"), lambda: figures) if page is None else page(figures)
    if reply is None:
        known = ", ".join(("/healthz", *_PAGES, *pages.PATHS))
        return refusal(404, f"known paths: {known}, /servers/{{name}}, /servers/{{name}}/state, /reload")
    return reply if request.method in _READING else _not_allowed(_READING)


def describe(server: ServerFigures) -> dict[str, object]:
    """One row of the table of servers, in HAProxy's words."""
    row, traffic = server.row, server.traffic
    return {
        "name": row.name,
        "address": server.address,
        "state": row.word,
        "check": row.operation.value,
        "admin": row.admin.value,
        "reason": row.reason,
        "since_seconds": round(row.since_seconds, 1),
        "weight": row.weight,
        "maxconn": row.maxconn,
        "maxqueue": row.maxqueue,
        "backup": row.backup,
        "in_flight": row.serving,
        "queued": row.queued,
        "idle_connections": server.idle,
        "connections": traffic.connections,
        "requests": traffic.requests,
        "responses": {f"{hundred}xx": count for hundred, count in enumerate(traffic.classes) if hundred},
        "failures": dict(sorted(traffic.failures.items())),
    }


def _ready(figures: Figures) -> Reply:
    if figures.draining:
        return _json(503, {"ready": False, "reason": "draining"})
    reason = f"{figures.ready} of {len(figures.servers)} servers are ready"
    return _json(200 if figures.ready else 503, {"ready": figures.ready > 0, "reason": reason})


_PAGES: Final[dict[str, Callable[[Figures], Reply]]] = {
    "/readyz": _ready,
    "/servers": lambda figures: _json(200, [describe(server) for server in figures.servers]),
}


async def _of_server(operator: Operator, request: Request, rest: str, body: bytes) -> Reply:
    """``NAME`` or ``NAME/state``."""
    name, slash, part = rest.partition("/")
    if slash and part != "state":
        return refusal(404, "known paths: /servers, /servers/{name}, /servers/{name}/state")
    calls = _STATE_CALLS if slash else _SERVER_CALLS
    refused = _refuse(operator, request, tuple(calls))
    if refused is not None:
        return refused
    exists = name in operator.balancer.backends
    if not exists and request.method != b"PUT":
        return refusal(404, f"no server of this name; servers: {', '.join(list(operator.balancer.backends)[:100])}")
    try:
        return await calls[request.method](operator, name, body)
    except (forms.FormError, OptionsError) as error:
        return refusal(422, str(error))


async def _read(operator: Operator, name: str, _: bytes) -> Reply:
    return await _described(operator, name)


async def _put(operator: Operator, name: str, body: bytes) -> Reply:
    """The server is as it says, all that it does not say as HAProxy has it; a new one is added."""
    return await _change(operator, name, body, whole=True)


async def _patch(operator: Operator, name: str, body: bytes) -> Reply:
    """Only what it says changes."""
    return await _change(operator, name, body, whole=False)


async def _change(operator: Operator, name: str, body: bytes, *, whole: bool) -> Reply:
    """Repeating it changes nothing. ``whole``: what is not given is as for a new server."""
    servers = operator.balancer.configured()
    before = next((server for server in servers if server.name == name), None)
    if before is None and len(servers) >= SERVERS_MAX:
        return refusal(409, f"there are {SERVERS_MAX} servers already")
    over = dataclasses.replace(before, options=ServerOptions()) if whole and before is not None else before
    server, state = forms.read_server(name, forms.read_json(body), over)
    forms.refuse_double_cookie(server, servers)
    orders: list[Order] = []
    if before is None or dataclasses.replace(server, state=before.state) != before:
        orders.append(PutServer(server))
    if before is not None and state is not None and state is not before.state:
        orders.append(SetState(name, state))
    operator.order(*orders)
    return await _described(operator, name, 201 if before is None else 200)


async def _remove(operator: Operator, name: str, _: bytes) -> Reply:
    """As HAProxy's ``del server``."""
    server = _figures_of(name, await operator.figures())
    if server is None:
        return refusal(404, "no server of this name")
    if server.row.admin is not Admin.MAINT:
        return refusal(409, f"state: it is {server.row.admin.value}; a server is removed only in maint")
    if server.row.serving:
        return refusal(
            409, f"in_flight: {server.row.serving} requests are still with it; ask again when they are answered"
        )
    operator.order(RemoveServer(name))
    return _json(200, {"removed": name})


async def _set_state(operator: Operator, name: str, body: bytes) -> Reply:
    state = forms.read_state(forms.read_json(body))
    if operator.balancer.backends[name].health.admin is not state:
        operator.order(SetState(name, state))
    return await _described(operator, name)


async def _reload(operator: Operator) -> Reply:
    try:
        outcome = await operator.reload()
    except RefusedError as error:
        return refusal(422, str(error))
    return _json(200, dataclasses.asdict(outcome))


Call = Callable[[Operator, str, bytes], Awaitable[Reply]]
_SERVER_CALLS: Final[dict[bytes, Call]] = {
    b"GET": _read, b"HEAD": _read, b"PUT": _put, b"PATCH": _patch, b"DELETE": _remove
}  # fmt: skip
_STATE_CALLS: Final[dict[bytes, Call]] = {b"POST": _set_state}


async def _described(operator: Operator, name: str, status: int = 200) -> Reply:
    server = _figures_of(name, await operator.figures())
    return refusal(404, "no server of this name") if server is None else _json(status, describe(server))


def _figures_of(name: str, figures: Figures) -> ServerFigures | None:
    return next((server for server in figures.servers if server.row.name == name), None)


def _refuse(operator: Operator, request: Request, methods: tuple[bytes, ...]) -> Reply | None:
    """Who may not do this, with this method; None: it may be done."""
    if request.method not in methods:
        return _not_allowed(methods)
    if request.method in _READING:
        return None
    token = operator.balancer.options.control_token
    if token is None:
        return refusal(403, "the balancer was started without a control token, so nothing can be changed")
    given = request.fields.first(b"authorization")
    if not hmac.compare_digest(given, b"Bearer " + token.encode()):
        return refusal(401, "the control token is missing or wrong", b"WWW-Authenticate: Bearer\r\n")
    return None


def _not_allowed(methods: tuple[bytes, ...]) -> Reply:
    names = b", ".join(methods)
    return refusal(405, f"only {names.decode('ascii')}", b"Allow: %b\r\n" % names)


def _json(status: int, document: object) -> Reply:
    return Reply(status, _JSON, json.dumps(document).encode() + b"\n")


def refusal(status: int, detail: str, extra: bytes = b"") -> Reply:
    """RFC 9457; ``detail`` names the field that is wrong."""
    document = {"type": "about:blank", "title": phrase(status), "status": status, "detail": detail}
    return Reply(status, b"application/problem+json", json.dumps(document).encode() + b"\n", extra)
