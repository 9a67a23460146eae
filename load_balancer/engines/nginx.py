"""Our options as an nginx.conf: a pure function of them, for those who run nginx in front of the web instances.

As haproxy.py's H1 to H3. What nginx has no word for: active checks (a server is left out for a while after failures of
requests), queues, slow start, a 503 that means that nothing happened: it says 502 for a server that cannot be reached.
Its limit of one address counts IPv6 addresses one by one, not by their network; tunnels have the server's deadline.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from load_balancer.engines.error_pages import ERRORS, RETRIED_LATER, error_page, own_headers
from load_balancer.http1.headers import PSEUDONYM
from load_balancer.http1.request_heads import METHODS
from load_balancer.options import CertificateFiles, Options, TlsOptions, is_address
from load_balancer.proxy.redirecting import HTTPS_PORT
from load_balancer.proxy.replies import RETRY_AFTER_SECONDS, SERVED_BY

_BALANCE: Final = {
    "roundrobin": "",
    "leastconn": "least_conn;",
    "random": "random;",
    "random(2)": "random two least_conn;",
}
_IDLE_PER_SERVER: Final = 128
_ERRORS: Final = tuple(status for status in ERRORS if status != 408)  # nginx closes the connection instead of answering


def nginx_conf(options: Options, folder: Path, names: Sequence[tuple[str, ...]] = ()) -> str:
    """The whole file. ``folder``: where nginx may write (its pid, bodies that it collects); ``names``: of each certificate."""
    temporary = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    lines = [
        "# Generated from the load balancer's settings; changes belong there.",
        "daemon off;",
        f"worker_processes {options.workers};",
        f"worker_rlimit_nofile {2 * options.connections_max + 64};",
        f"pid {_quoted(folder / 'nginx.pid')};",
        "error_log stderr crit;  # below it, whole requests are logged, with their queries",
        f"events {{ worker_connections {2 * options.connections_max}; }}",
        "http {",
        *(f"  {name}_temp_path {_quoted(folder / f'nginx-{name}')};" for name in temporary),
        *_indented(_maps(options), 1),
        *_indented(_upstream(options), 1),
        *_indented(_tls(options.tls), 1),
        *_indented(_servers(options, names), 1),
        *_indented(_redirect(options, names), 1),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _maps(options: Options) -> list[str]:
    digits = {count: f"[0-9a-f]{{{count}}}" for count in (2, 16, 32)}
    valid = f"(?!ff)(?!00-.{{52}}-){digits[2]}-(?!0{{32}}){digits[32]}-(?!0{{16}}){digits[16]}-{digits[2]}"
    asked = "".join(
        f' "~*^GET {re.escape(name)}$" {name};' for name in sorted(name.decode("ascii") for name in options.upgrade)
    )
    lines = [
        "server_tokens off;",
        "default_type application/octet-stream;",
        'map $http_accept $error_kind { default json; "~*text/html" html; }',
        "# W3C trace context: a valid one goes on, any other one ends here and a new trace begins.",
        'map $request_id $new_parent { "~^(?<new_span>.{16})" $new_span; }',
        (
            f'map $http_traceparent $parent {{ default "00-$request_id-$new_parent-01"; '
            f'"~^{valid}(?:-.*)?$" $http_traceparent; }}'
        ),
        f'map $http_traceparent $state {{ default ""; "~^{valid}(?:-.*)?$" $http_tracestate; }}',
        f'map "$request_method $http_upgrade" $asked_upgrade {{ default "";{asked} }}',
        'map $asked_upgrade $asked_connection { "" ""; default Upgrade; }',
        'map $upstream_http_x_served_by $served_by { default ""; "" $upstream_name; }',
    ]
    names = "".join(f' "~(?:^|, ){re.escape(str(server.address))}$" {server.name};' for server in options.servers)
    lines.append(f"map $upstream_addr $upstream_name {{ default {SERVED_BY.decode()};{names} }}")
    if options.forwarded:
        lines.append("""map $remote_addr $forwarded_node { default for=$remote_addr; ~: 'for="[$remote_addr]"'; }""")
    if options.limits.connections_per_address_max:
        exempt = "".join(f" {network} 1;" for network in options.limits.exempt_networks)
        lines += [
            f"geo $exempt {{ default 0;{exempt} }}",
            'map $exempt $place { default ""; 0 $binary_remote_addr; }',
            "limit_conn_zone $place zone=places:10m;",
            "limit_conn_status 429;",
        ]
    if options.access_log is not None:
        # Never a query: it may hold secrets.
        lines.append(
            'log_format trimmed \'$remote_addr - - [$time_local] "$request_method $uri $server_protocol" '
            '$status $body_bytes_sent "-" "$http_user_agent"\';'
        )
    return [*lines, "access_log /dev/stdout trimmed;" if options.access_log is not None else "access_log off;"]


def _upstream(options: Options) -> list[str]:
    check = options.check
    lines = ["upstream servers {"]
    if _BALANCE[options.algorithm]:
        lines.append(f"  {_BALANCE[options.algorithm]}")
    for server in options.servers:
        words = [f"server {server.address} weight={max(1, server.options.weight)}"]
        words.append(f"max_fails={check.rules.fall} fail_timeout={max(1, round(check.intervals.inter))}s")
        words += [f"max_conns={server.options.maxconn}"] if server.options.maxconn else []
        words += ["backup"] if server.options.backup and not _BALANCE[options.algorithm] else []
        words += ["down"] if not server.options.weight else []
        lines.append(f"  {' '.join(words)};")
    return [*lines, f"  keepalive {_IDLE_PER_SERVER};", "}"]


def _tls(tls: TlsOptions | None) -> list[str]:
    if tls is None:
        return []
    versions = "TLSv1.2 TLSv1.3" if tls.version_min == "1.2" else "TLSv1.3"
    return [
        *([] if tls.by_name else _certificate(tls.files[0])),
        f"ssl_protocols {versions};",
        f"ssl_ciphers {_quoted(tls.ciphers)};",
        "ssl_prefer_server_ciphers on;",
        "ssl_session_cache shared:tls:10m;",
    ]


def _certificate(files: CertificateFiles) -> list[str]:
    return [
        f"ssl_certificate {_quoted(files.certificate)};",
        f"ssl_certificate_key {_quoted(files.key or files.certificate)};",
    ]


def _redirect(options: Options, names: Sequence[tuple[str, ...]]) -> list[str]:
    """Only to hosts that the certificates are for."""
    if options.redirect is None:
        return []
    hosts = " ".join(f"[{name}]" if ":" in name else name for name in sorted({name for each in names for name in each}))
    port = "" if options.listen.port == HTTPS_PORT else f":{options.listen.port}"
    ours = f"server {{ listen {options.redirect}; server_name {hosts}; return 308 https://$host{port}$request_uri; }}"
    return [f"server {{ listen {options.redirect} default_server; return 421; }}", *([ours] if hosts else [])]


def _servers(options: Options, names: Sequence[tuple[str, ...]]) -> list[str]:
    if options.tls is not None and options.tls.by_name:
        return _servers_by_name(options, options.tls, names)
    hosts = " ".join(sorted(host.decode("ascii") for host in options.hosts)) if options.hosts else "_"
    secret = "" if options.tls is None else " ssl"
    elsewhere = [f"server {{ listen {options.listen}{secret} default_server; return 421; }}"] if options.hosts else []
    return [
        *elsewhere,
        "server {",
        f"  listen {options.listen}{secret}{'' if options.hosts else ' default_server'} backlog=4096;",
        f"  server_name {hosts};",
        *_indented(_server(options), 1),
        "}",
    ]


def _servers_by_name(options: Options, tls: TlsOptions, names: Sequence[tuple[str, ...]]) -> list[str]:
    """The same server for each certificate: nginx chooses both by name, and reads a key only where it starts."""
    lines = []
    if options.hosts:
        hosts = "".join(f" {host.decode('ascii')} 1;" for host in sorted(options.hosts))
        lines.append(f'map $http_host $served {{ default "";{hosts} }}')
    lines += [
        f"server {{ listen {options.listen} ssl default_server; ssl_reject_handshake on; return 421; }}"
    ] * tls.strict_sni
    known: set[str] = set()
    for place, files in enumerate(tls.files):
        each = names[place] if place < len(names) else ()
        mine = [name for name in each if name not in known and not is_address(name)]  # nobody asks for an address
        default = place == 0
        if not mine and not default:
            continue
        known.update(mine)
        words = " default_server" if default and not tls.strict_sni else ""
        lines += [
            "server {",
            f"  listen {options.listen} ssl{words}{' backlog=4096' if default else ''};",
            f"  server_name {' '.join(mine) or '_'};",
            *_indented(_certificate(files), 1),
            *(['  if ($served = "") { return 421; }'] if options.hosts else []),
            *_indented(_server(options), 1),
            "}",
        ]
    return lines


def _server(options: Options) -> list[str]:
    """What is in it, whatever its address and names."""
    times, limits, head = options.timeouts, options.limits, options.limits.head
    methods = "|".join(method.decode("ascii") for method in METHODS)
    pages = " ".join(f"error_page {status} /.balancer/$error_kind/{status};" for status in _ERRORS)
    places = limits.connections_per_address_max
    return [
        f"client_header_timeout {_ms(times.http_request_seconds)};",
        f"client_body_timeout {_ms(times.client_seconds)};",
        f"send_timeout {_ms(times.client_seconds)};",
        f"keepalive_timeout {_ms(times.keep_alive_seconds)};",
        f"keepalive_requests {limits.requests_per_connection_max};",
        f"client_max_body_size {options.body_bytes_max};",
        f"large_client_header_buffers {-(-head.head_bytes // head.request_line_bytes)} {head.request_line_bytes};",
        *([f"limit_conn places {places};"] if places else []),
        "merge_slashes on;",
        pages,
        f"if ($request_method !~ ^({methods})$) {{ return 501; }}",
        *_locations(options),
        *(line for status in _ERRORS for line in _error_locations(status, behind_tls=options.behind_tls)),
    ]


def _locations(options: Options) -> list[str]:
    times, retry = options.timeouts, options.retry
    fields = {
        "Host": "$http_host",
        "Connection": "$asked_connection",
        "Upgrade": "$asked_upgrade",
        "X-Forwarded-For": "$remote_addr",
        "X-Forwarded-Proto": "$scheme",
        "X-Forwarded-Host": "$http_host",
        "Forwarded": '"$forwarded_node;proto=$scheme"' if options.forwarded else '""',
        "X-Request-Id": "$request_id",
        "traceparent": "$parent",
        "tracestate": "$state",
        "Via": f'"1.1 {PSEUDONYM.decode()}"',
        **dict.fromkeys(("X-Real-IP", "X-Forwarded-Port", "X-Forwarded-Server", "Proxy"), '""'),
    }
    return [
        'location = /healthz { default_type text/plain; return 200 "alive\\n"; }',
        "# nginx compares paths in their normal form.",
        'location ~* "^/(metrics|readyz|internal)(/|;|$)" { return 404; }',
        "location / {",
        "  proxy_pass http://servers;",
        "  proxy_http_version 1.1;",
        *(f"  proxy_set_header {name} {value};" for name, value in fields.items()),
        f"  proxy_connect_timeout {_ms(times.connect_seconds)};",
        f"  proxy_read_timeout {_ms(times.server_seconds)};",
        f"  proxy_send_timeout {_ms(times.server_seconds)};",
        "  # Only GET and HEAD, and what reached no server, is sent once more.",
        "  proxy_next_upstream error;",
        f"  proxy_next_upstream_tries {retry.retries + 1};",
        "  add_header X-Request-Id $request_id always;",
        "  add_header X-Served-By $served_by always;",
        f'  add_header Via "1.1 {PSEUDONYM.decode()}" always;',
        "  proxy_hide_header X-Request-Id;",
        "  proxy_hide_header X-Not-Dispatched;",
        "}",
    ]


def _error_locations(status: int, *, behind_tls: bool) -> list[str]:
    page = error_page(status, "$request_id")
    kinds = {"html": ("'text/html; charset=utf-8'", page.html), "json": ("application/problem+json", page.json)}
    fields = [
        *own_headers(behind_tls=behind_tls),
        ("X-Request-Id", "$request_id"),
        ("X-Served-By", SERVED_BY.decode("ascii")),
    ]
    fields += [("X-Not-Dispatched", "1")] if page.not_dispatched else []
    fields += [("Retry-After", str(RETRY_AFTER_SECONDS))] if status in RETRIED_LATER else []
    headers = " ".join(f"add_header {name} {_quoted(value)} always;" for name, value in fields)
    return [
        f"location = /.balancer/{kind}/{status} {{ internal; default_type {type_}; {headers} return {status} {_quoted(text)}; }}"
        for kind, (type_, text) in kinds.items()
    ]


def _indented(lines: list[str], depth: int) -> list[str]:
    return ["  " * depth + line for line in lines]


def _quoted(text: object) -> str:
    return "'" + str(text).replace("\\", "\\\\").replace("'", "\\'") + "'"


def _ms(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"
