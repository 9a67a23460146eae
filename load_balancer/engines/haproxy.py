"""Our options as a haproxy.cfg (HAProxy 2.6 and newer): a pure function of them.

H1  What reaches a server, and what a client gets, carries the same fields as with our own engine: X-Forwarded-*,
    X-Request-Id, traceparent, Via, X-Served-By; what they claim about the way is dropped first.
H2  The same paths stay inside, the same methods and framings are refused. HAProxy's own parser reads the bytes: where
    it is more tolerant than ours (docs/http-rows.md), it stays so.
H3  A request whose bytes left is sent once more only if it is GET or HEAD; connections are tried as often.
H4  503 means that nothing reached a server, and says so.

What HAProxy has no word for: a budget of repeats, a limit of ejected servers, the limit of all collected bodies, requests
per connection, a rate that bodies must keep. Who comes when maxconn is reached waits in the kernel's queue instead of being told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from load_balancer.balancing.members import Observe, ServerOptions
from load_balancer.engines.error_pages import ERRORS, RETRIED_LATER, error_page, own_headers
from load_balancer.engines.haproxy_fields import request_fields
from load_balancer.http1.headers import PSEUDONYM
from load_balancer.http1.request_heads import METHODS
from load_balancer.options import Address, Limits, Options, ServerAddress, TlsOptions
from load_balancer.proxy.redirecting import HTTPS_PORT
from load_balancer.proxy.replies import RETRY_AFTER_SECONDS, SERVED_BY

_READING: Final = "GET HEAD"
_FASTINTER_SECONDS: Final = 0.25
_BUFFER_BYTES_MIN: Final = 16_384  # its default; a head has to fit into one
# Paths that a server could read as a hidden one: its plain writing, and whatever has escapes, dots, parameters or doubled
# slashes and one of the words anywhere. It errs on the side of hiding.
_HIDDEN_PLAIN: Final = "^/(metrics|readyz|internal)(/|$)"
_ODD: Final = r"(%|//|/\.|;|\\|[^!-~])"
_HIDDEN_ODD: Final = "(metrics|readyz|internal)"


@dataclass(frozen=True)
class Extras:
    """What is not the balancer's own: ``socket`` of the runtime API (None: none); whether the exporter is built in.

    ``certificates``: files that hold the keys, too (none: the certificates' own, with the key in it or in a ``.key`` beside it);
    ``names``: the hosts that they are for. ``sockets``: descriptors of those that listen at an address already.
    """

    socket: Path | None = None
    prometheus: bool = True
    certificates: tuple[Path, ...] = ()
    names: tuple[str, ...] = ()
    sockets: Mapping[Address, Sequence[int]] = field(default_factory=dict)


def haproxy_cfg(options: Options, extras: Extras | None = None) -> str:
    """The whole file."""
    extras = extras or Extras()
    sections = [
        ("global", _global(options, extras)),
        ("defaults", _defaults(options)),
        ("frontend shop", _frontend(options, extras)),
        ("backend servers", _backend(options)),
    ]
    if options.redirect is not None:
        sections.append(("frontend redirect", _redirect(options, options.redirect, extras)))
    if options.admin is not None:
        sections.append(("frontend admin", _admin(options.admin, extras)))
    body = "\n\n".join("\n".join([name, *(f"  {line}" for line in lines)]) for name, lines in sections)
    return f"# Generated from the load balancer's settings; changes belong there.\n{body}\n"


def _global(options: Options, extras: Extras) -> list[str]:
    lines = [
        f"nbthread {options.workers}",
        f"maxconn {options.connections_max}",
        f"hard-stop-after {_ms(options.timeouts.drain_seconds)}",
        f"tune.bufsize {max(_BUFFER_BYTES_MIN, options.limits.head.head_bytes)}",
        f"tune.http.maxhdr {options.limits.head.field_lines + 1}",
    ]
    if extras.socket is not None:
        lines.append(f"stats socket {_quoted(str(extras.socket))} mode 600 level admin")
    return lines


def _defaults(options: Options) -> list[str]:
    times = options.timeouts
    return [
        "mode http",
        f"timeout connect {_ms(times.connect_seconds)}",
        f"timeout client {_ms(times.client_seconds)}",
        f"timeout server {_ms(times.server_seconds)}",
        f"timeout queue {_ms(times.queue_seconds)}",
        f"timeout http-request {_ms(times.http_request_seconds)}",
        f"timeout http-keep-alive {_ms(times.keep_alive_seconds)}",
        f"timeout tunnel {_ms(times.tunnel_seconds)}",
        f"timeout client-fin {_ms(times.client_fin_seconds)}",
        f"timeout server-fin {_ms(times.client_fin_seconds)}",
        f"timeout check {_ms(options.check.timeout_seconds)}",
    ]


def _frontend(options: Options, extras: Extras) -> list[str]:
    return [
        *_binds(options.listen, extras, _tls(options.tls, extras)),
        f"maxconn {options.connections_max}",
        *_per_address(options.limits),
        "unique-id-format %[uuid()]",
        *_log_lines(options),
        *_error_lines(),
        "# Who asks for a page gets errors as one.",
        "http-request set-var(txn.html) bool(false)",
        "http-request set-var(txn.html) bool(true) if { req.hdr(accept) -m sub -i text/html }",
        *_refusals(options),
        *_upgrades(options.upgrade),
        *request_fields(options),
        *_response_fields(behind_tls=options.behind_tls),
        "default_backend servers",
    ]


def _binds(address: Address, extras: Extras, words: str = "") -> list[str]:
    given = extras.sockets.get(address)
    if given:
        return [f"bind fd@{number}{words}" for number in given]
    return [f"bind {address} backlog 4096{' v6only' if ':' in address.host else ''}{words}"]


def _tls(tls: TlsOptions | None, extras: Extras) -> str:
    if tls is None:
        return ""
    files = extras.certificates or [files.certificate for files in tls.files]
    words = [f"crt {_quoted(str(file))}" for file in files]  # the first one is the default
    words += ["alpn http/1.1", f"ssl-min-ver TLSv{tls.version_min}", f"ciphers {_quoted(tls.ciphers)}"]
    words += ["strict-sni"] if tls.strict_sni else []
    return f" ssl {' '.join(words)}"


def _redirect(options: Options, address: Address, extras: Extras) -> list[str]:
    """Only to hosts that the certificate is for."""
    host = r"req.hdr(host),lower,regsub(:[0-9]+$,)"
    whole = " ".join(f"[{name}]" if ":" in name else name for name in extras.names if not name.startswith("*."))
    ends = " ".join(name[1:] for name in extras.names if name.startswith("*."))
    acls = [f"acl ours {host} -m str {whole}"] if whole else []
    acls += [f"acl ours {host} -m end {ends}"] if ends else []
    port = "" if options.listen.port == HTTPS_PORT else f":{options.listen.port}"
    return [
        *_binds(address, extras),
        *(acls or ["acl ours always_false"]),
        "http-request deny deny_status 421 unless ours",
        f"http-request redirect code 308 location https://%[{host}]{port}%[capture.req.uri]",
    ]


def _per_address(limits: Limits) -> list[str]:
    """Connections of one IPv4 address, or of one IPv6 network of 64 bits."""
    if not limits.connections_per_address_max:
        return []
    exempt = " ".join(str(network) for network in limits.exempt_networks)
    return [
        "stick-table type ipv6 size 100k expire 1m store conn_cur",
        f"tcp-request connection track-sc0 src,ipmask(32,64){f' unless {{ src {exempt} }}' if exempt else ''}",
        f"http-request deny deny_status 429 if {{ sc0_conn_cur gt {limits.connections_per_address_max} }}",
    ]


def _log_lines(options: Options) -> list[str]:
    """The access log's lines, on standard output beside those about servers; never a query, which may hold secrets."""
    if options.access_log is None:
        return []
    capture = [
        "http-request set-var(txn.referer) req.hdr(referer),regsub(\\?.*,,)",
        "http-request set-var(txn.agent) req.hdr(user-agent)",
    ]
    if options.access_log.kind == "combined":
        form = '%ci - - [%T] \\"%HM %HP %HV\\" %ST %B %{+Q,+E}[var(txn.referer)] %{+Q,+E}[var(txn.agent)]'
    else:
        form = (
            '{\\"time\\":\\"%T\\",\\"client\\":\\"%ci\\",\\"status\\":%ST,\\"bytes\\":%B,\\"milliseconds\\":%Ta,'
            '\\"server\\":\\"%s\\",\\"request_id\\":\\"%ID\\",\\"outcome\\":\\"%tsc\\",\\"method\\":\\"%HM\\",'
            '\\"target\\":\\"%HP\\",\\"protocol\\":\\"%HV\\",\\"referer\\":%{+Q,+E}[var(txn.referer)],'
            '\\"user_agent\\":%{+Q,+E}[var(txn.agent)]}'
        )
    return ["log stdout format raw local0 info", *capture, f'log-format "{form}"']


def _error_lines() -> list[str]:
    lines = []
    for status in ERRORS:
        page = error_page(status, "%[unique-id]")
        before, _, after = page.json.partition("%[unique-id]")
        if status in (400, 408):  # answered before a rule could look at the request
            body = f"'{_strong(before)}%[unique-id]{_strong(after)}'"
        else:
            head, _, tail = page.html.partition("%[unique-id]")
            body = f"'{_either(head, before)}%[unique-id]{_either(tail, after)}'"
        fields = [("X-Not-Dispatched", "1")] if page.not_dispatched else []
        if status in RETRIED_LATER:
            fields.append(("Retry-After", str(RETRY_AFTER_SECONDS)))
        if status == 405:
            fields.append(("Allow", ", ".join(method.decode() for method in METHODS)))
        told = "".join(f" hdr {name} {_quoted(value)}" for name, value in fields)
        lines.append(f"http-error status {status} content-type application/problem+json lf-string {body}{told}")
    return lines


def _refusals(options: Options) -> list[str]:
    """H2."""
    methods = " ".join(method.decode("ascii") for method in METHODS)
    hosts = []
    if options.hosts is not None:
        names = " ".join(sorted(host.decode("ascii") for host in options.hosts))
        hosts.append(f"http-request deny deny_status 421 unless {{ req.hdr(host),lower -m str {names} }}")
    return [
        "http-request deny deny_status 400 if { req.hdr_cnt(host) gt 1 }",
        "http-request deny deny_status 400 if { req.hdr(content-length) -m found } { req.hdr(transfer-encoding) -m found }",
        "http-request deny deny_status 405 if { method CONNECT TRACE QUERY }",
        f"http-request deny deny_status 501 unless {{ method {methods} }}",
        "acl bodiless method GET HEAD DELETE OPTIONS",
        "http-request deny deny_status 400 if bodiless { req.hdr(transfer-encoding) -m found }",
        "http-request deny deny_status 400 if bodiless { req.hdr_val(content-length) gt 0 }",
        f"http-request deny deny_status 413 if {{ req.body_size gt {options.body_bytes_max} }}",
        *hosts,
        f"http-request return status 204 hdr Allow {_quoted(methods.replace(' ', ', '))} if {{ method OPTIONS }} {{ url * }}",
        f'http-request return status 200 content-type text/plain string "alive" if {{ path /healthz }} {{ method {_READING} }}',
        "http-request deny deny_status 405 if { path /healthz }",
        f"http-request deny deny_status 404 if {{ path,lower -m reg {_quoted(_HIDDEN_PLAIN)} }}",
        (
            f"http-request deny deny_status 404 if {{ path -m reg {_quoted(_ODD)} }} "
            f"{{ path,url_dec,url_dec,lower -m reg {_quoted(_HIDDEN_ODD)} }}"
        ),
        "http-request disable-l7-retry unless { method GET HEAD }",
    ]


def _upgrades(protocols: frozenset[bytes]) -> list[str]:
    """Only these may be asked for, one at a time, by GET; the rest is an ordinary request (upgrades.G1, G2)."""
    names = " ".join(sorted(protocol.decode("ascii") for protocol in protocols))
    if not names:
        return ["http-request del-header Upgrade", "http-request del-header Connection"]
    refused = "if !asks_by_get or !asks_for_one or !asks_for_known"
    return [
        "acl asks_by_get method GET",
        "acl asks_for_one req.fhdr_cnt(upgrade) eq 1",
        f"acl asks_for_known req.fhdr(upgrade),lower -m str {names}",
        f"http-request del-header Upgrade {refused}",
        f"http-request del-header Connection {refused}",
    ]


def _response_fields(*, behind_tls: bool) -> list[str]:
    """H1, towards the client; answers of our own carry what ours carry."""
    own = "!{ var(txn.answered) -m bool }"
    html = "{ var(txn.html) -m bool }"
    security = own_headers(behind_tls=behind_tls)
    return [
        "http-response set-var(txn.answered) bool(true)",
        "http-response del-header X-Not-Dispatched",
        f'http-response add-header Via "1.1 {PSEUDONYM.decode()}"',
        "http-response set-header X-Served-By %s unless { res.hdr(x-served-by) -m found }",
        "http-after-response set-header X-Request-Id %[unique-id]",
        f"http-after-response set-header X-Served-By {SERVED_BY.decode()} if {own}",
        (
            f'http-after-response set-header Content-Type "text/html; charset=utf-8" if {own} {html} {{ status ge 401 }} '
            "!{ status 408 }"
        ),
        *(f"http-after-response set-header {name} {_quoted(value)} if {own}" for name, value in security),
    ]


def _backend(options: Options) -> list[str]:
    check, cookie = options.check, []
    if options.cookie:
        attributes = 'indirect nocache httponly attr "SameSite=Lax"'
        cookie.append(f"cookie {options.cookie} insert {attributes}")
    return [
        f"balance {options.algorithm}",
        *(["option allbackups"] if options.allbackups else []),
        *cookie,
        "option http-buffer-request",
        "option abortonclose",
        "http-reuse safe",
        f"retries {options.retry.retries}",
        "option redispatch 1",
        "retry-on conn-failure empty-response",
        "option httpchk",
        f"http-check send meth GET uri {_quoted(check.path)} ver HTTP/1.1 hdr Host {options.listen} hdr User-Agent health-check",
        "http-check expect status 200-499",
        (
            f"default-server inter {_ms(check.intervals.inter)} fastinter {_ms(_fastinter(options))} "
            f"downinter {_ms(check.intervals.down)} fall {check.rules.fall} rise {check.rules.rise}"
        ),
        *(_server(server, sticky=bool(options.cookie)) for server in options.servers),
    ]


def _fastinter(options: Options) -> float:
    """In seconds. A refused connection takes a server of ours down at once; here it has to be seen soon by checks."""
    check = options.check
    return check.fastinter_seconds or min(check.intervals.fast, _FASTINTER_SECONDS)


def _server(server: ServerAddress, *, sticky: bool) -> str:
    words = [f"server {server.name} {server.address}", *_server_words(server.options)]
    if sticky:
        words.append(f"cookie {server.options.cookie or server.name}")
    return " ".join(words)


def _server_words(options: ServerOptions) -> list[str]:
    """A refused connection is a reason to look at once, as with ours; what else is observed only where that is said."""
    words = [f"weight {options.weight}"]
    if options.check and options.observe is Observe.NONE:
        words.append("check observe layer4 error-limit 1 on-error fastinter")
    elif options.check:
        words.append(f"check observe {options.observe.value}")
        words.append(f"error-limit {options.error_limit} on-error {options.on_error.value}")
    words += [
        f"{name} {value}" for name, value in (("maxconn", options.maxconn), ("maxqueue", options.maxqueue)) if value
    ]
    if options.slowstart_seconds:
        words.append(f"slowstart {_ms(options.slowstart_seconds)}")
    return [*words, "backup"] if options.backup else words


def _admin(address: Address, extras: Extras) -> list[str]:
    exporter = ["http-request use-service prometheus-exporter if { path /metrics }"] if extras.prometheus else []
    return [
        *_binds(address, extras),
        *exporter,
        'http-request return status 200 content-type text/plain string "alive" if { path /healthz }',
        'http-request return status 200 content-type text/plain string "ready" if { path /readyz } { nbsrv(servers) gt 0 }',
        'http-request return status 503 content-type text/plain string "no server is ready" if { path /readyz }',
        "http-request redirect code 302 location /stats if { path / }",
        "stats enable",
        "stats uri /stats",
        "stats refresh 5s",
        "stats show-legends",
        (
            "http-request return status 404 content-type text/plain string "
            '"known paths: /healthz, /readyz, /metrics, /stats" unless { path_beg /stats }'
        ),
    ]


def _ms(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


def _quoted(text: str) -> str:
    """One word of a line; nothing in it is special any more."""
    return "'" + text.replace("'", "'\\''") + "'"


def _either(html: str, json: str) -> str:
    """Inside strong quotes: a piece of the page, or of the document for programs."""
    return f'%[var(txn.html),iif("{_argument(html, "&#39;")}","{_argument(json, _JSON_APOSTROPHE)}")]'


_JSON_APOSTROPHE: Final = "\\u0027"


def _argument(text: str, apostrophe: str) -> str:
    return text.replace("'", apostrophe).replace("\\", "\\\\").replace('"', '\\"')


def _strong(text: str) -> str:
    return text.replace("'", _JSON_APOSTROPHE).replace("%", "%%")
