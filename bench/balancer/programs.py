"""The programs that are compared, and the servers behind them, each a process of its own that ends with the run.

All proxies get the same three servers (one nginx with one worker: a short page, so that it is never the bottleneck of a
proxy), active checks where they have them, keep-alive on both sides, no access log, one thread (or so many as ``Place``
says). HAProxy and nginx do less than ours with a request: no Via, no request id, none of the checks that their
configuration leaves off; ``haproxy_as_ours`` does the same.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from load_balancer.commands import read_options
from load_balancer.engines.haproxy import haproxy_cfg

ROOT = Path(__file__).resolve().parents[2]
PORT_BASE = 28_000
SERVER_PORTS = (PORT_BASE + 1, PORT_BASE + 2, PORT_BASE + 3)
PROXY_CORE, OTHERS_CORE = "0", "1"
CONNECTIONS_MAX = 8_000
START_SECONDS_MAX = 15.0
PACKAGES = {"wrk": "wrk", "nginx": "nginx", "haproxy": "haproxy"}
BODY = "<p>" + "x" * 1_000 + "</p>"

_NGINX = """daemon off; pid {folder}/{name}.pid; error_log {folder}/{name}.err; worker_processes {workers};
worker_rlimit_nofile 18000; events {{ worker_connections 16384; }}
http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
{inner} }}
"""
_PAGE_SERVER = """keepalive_requests 1000000000; server {{ {listens} default_type text/html;
location / {{ add_header Cache-Control "private, no-store"; add_header X-Content-Type-Options nosniff; return 200 "{body}"; }}
location /varied {{ add_header Set-Cookie "session=$request_id; HttpOnly; Path=/; SameSite=Lax";
add_header Cache-Control "private, no-store"; add_header X-Content-Type-Options nosniff; return 200 "{body}"; }} }}"""
_NGINX_PROXY = """keepalive_requests 1000000000;
upstream servers {{ {servers} keepalive 128; keepalive_requests 1000000000; }}
server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ proxy_pass http://servers; proxy_http_version 1.1;
proxy_set_header Connection ""; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;
proxy_set_header X-Forwarded-Proto http; }} }}"""
_HAPROXY = """global
  nbthread {workers}
  maxconn {connections}
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 15s
  option forwardfor
  http-reuse always
frontend shop
  bind 127.0.0.1:{port} backlog 4096
  http-request set-header X-Forwarded-Proto http
  default_backend servers
backend servers
  balance roundrobin
  option httpchk GET /healthz
  default-server check inter 1s fall 2 rise 1
{servers}
"""


def missing_packages() -> list[str]:
    """Debian packages without which the comparison means nothing."""
    return [package for program, package in PACKAGES.items() if shutil.which(program) is None]


@dataclass
class Program:
    """A running program: ``processes`` all that compute for it."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    @property
    def processes(self) -> list[psutil.Process]:
        first = psutil.Process(self.process.pid)
        return [first, *first.children(recursive=True)]

    def cpu_seconds(self) -> float:
        return sum(sum(process.cpu_times()[:2]) for process in self.processes)

    def kernel_seconds(self) -> float:
        """Those of ``cpu_seconds`` that the kernel computed for it."""
        return float(sum(process.cpu_times().system for process in self.processes))

    def rss_mb(self) -> float:
        return sum(process.memory_info().rss for process in self.processes) / 1e6

    def descriptors(self) -> int:
        return sum(process.num_fds() for process in self.processes)


@dataclass(frozen=True)
class Place:
    """Where and how a proxy runs. ``cores``: as taskset has them; ``workers``: its threads or processes."""

    server_ports: Sequence[int] = SERVER_PORTS
    cores: str = PROXY_CORE
    workers: int = 1


ALONE = Place()


def pinned(command: Sequence[str], cores: str) -> list[str]:
    """On these cores, where there are two."""
    if shutil.which("taskset") is None or (os.cpu_count() or 1) < 2:
        return list(command)
    return ["taskset", "-c", cores, *command]


@contextlib.contextmanager
def page_servers(folder: Path, cores: str = OTHERS_CORE) -> Iterator[Program]:
    """Three addresses of one nginx, on the core that the proxies do not have."""
    listens = " ".join(f"listen 127.0.0.1:{port} backlog=4096;" for port in SERVER_PORTS)
    place = Place(cores=cores)
    with _nginx(folder, "servers", SERVER_PORTS[0], _PAGE_SERVER.format(listens=listens, body=BODY), place) as it:
        yield it


@contextlib.contextmanager
def haproxy(folder: Path, place: Place = ALONE) -> Iterator[Program]:
    port = PORT_BASE + 20
    servers = "".join(f"  server s{number} 127.0.0.1:{at}\n" for number, at in enumerate(place.server_ports, 1))
    config = folder / "haproxy.cfg"
    config.write_text(_HAPROXY.format(connections=CONNECTIONS_MAX, port=port, servers=servers, workers=place.workers))
    with _running("haproxy", port, ["haproxy", "-db", "-f", str(config)], folder, place.cores) as it:
        yield it


@contextlib.contextmanager
def haproxy_as_ours(folder: Path, place: Place = ALONE) -> Iterator[Program]:
    """With all that ours does to a request, as `load_balancer.engine: haproxy` has it; on as many threads as the others."""
    port = PORT_BASE + 23
    servers = [f"s{number}=127.0.0.1:{at}" for number, at in enumerate(place.server_ports, 1)]
    text = haproxy_cfg(read_options(f"127.0.0.1:{port}", servers, None, "/healthz", ()))
    config = folder / "haproxy_as_ours.cfg"
    config.write_text(text.replace("global\n", f"global\n  nbthread {place.workers}\n", 1))
    with _running("haproxy_as_ours", port, ["haproxy", "-db", "-f", str(config)], folder, place.cores) as it:
        yield it


@contextlib.contextmanager
def nginx(folder: Path, place: Place = ALONE) -> Iterator[Program]:
    port = PORT_BASE + 21
    servers = " ".join(f"server 127.0.0.1:{at};" for at in place.server_ports)
    with _nginx(folder, "nginx", port, _NGINX_PROXY.format(servers=servers, port=port), place) as it:
        yield it


@contextlib.contextmanager
def ours(
    folder: Path,
    place: Place = ALONE,
    body_bytes_max: int = 1_048_576,
    *,
    log_kind: str = "none",
) -> Iterator[Program]:
    """``log_kind``: none, combined or json."""
    port = PORT_BASE + 10 + ("none", "combined", "json").index(log_kind)
    log = "None" if log_kind == "none" else f"AccessLogOptions(Path({str(folder / log_kind)!r}), {log_kind!r})"
    servers = [f"s{number}=127.0.0.1:{at}" for number, at in enumerate(place.server_ports, 1)]
    code = (
        "import dataclasses, sys; from pathlib import Path; from load_balancer.commands import read_options;"
        "from load_balancer.options import AccessLogOptions; from load_balancer.service import run;"
        f"options = read_options('127.0.0.1:{port}', {servers!r}, None, '/healthz', ());"
        f"options = dataclasses.replace(options, body_bytes_max={body_bytes_max}, access_log={log}, workers={place.workers});"
        "sys.exit(run(options))"
    )
    with _running("ours", port, [sys.executable, "-c", code], folder, place.cores) as it:
        yield it


@contextlib.contextmanager
def aiohttp_proxy(folder: Path) -> Iterator[Program]:
    port = PORT_BASE + 22
    command = [sys.executable, "-m", "bench.balancer.aiohttp_proxy", str(port), *map(str, SERVER_PORTS)]
    with _running("aiohttp", port, command, folder, PROXY_CORE) as it:
        yield it


@contextlib.contextmanager
def _nginx(folder: Path, name: str, port: int, inner: str, place: Place) -> Iterator[Program]:
    config = folder / f"{name}.conf"
    config.write_text(_NGINX.format(folder=folder, name=name, inner=inner, workers=place.workers))
    command = ["nginx", "-e", str(folder / f"{name}.err"), "-c", str(config)]
    with _running(name, port, command, folder, place.cores) as program:
        yield program


@contextlib.contextmanager
def _running(name: str, port: int, command: Sequence[str], folder: Path, cores: str) -> Iterator[Program]:
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 1):
        raise RuntimeError(f"something listens on {port} already: it would be measured in the place of {name}")
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(pinned(command, cores), cwd=ROOT, stdout=log, stderr=log)
    try:
        _await_port(process, name, port, folder / f"{name}.log")
        yield Program(name, port, process)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_port(process: subprocess.Popen[bytes], name: str, port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{name} does not listen on {port}: {log.read_text(errors='replace')[-500:]}")
