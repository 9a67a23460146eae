"""Are the ports free that the system needs, and if not, who has them."""

import errno
import socket
from collections.abc import Iterable

import psutil

from supervisor.errors import StartError


def refuse_taken(ports: Iterable[tuple[str, str, int]]) -> None:
    """Raise a StartError that names every taken port; each port comes as (process name, host, port)."""
    lines = [line for name, host, port in ports for line in _taken(name, host, port)]
    if lines:
        raise StartError("\n".join(lines), "stop it, or use other ports with --port-base N")


def _taken(name: str, host: str, port: int) -> list[str]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return [f"port {port} ({name}) is in use by {users_of(port)}"]
            return [f"port {port} ({name}) cannot be used on {host}: {error.strerror}"]
    return []


def users_of(port: int) -> str:
    try:
        listening = [c for c in psutil.net_connections("tcp") if c.laddr and c.laddr.port == port and c.pid]
    except psutil.AccessDenied:
        listening = []
    for connection in sorted(listening, key=lambda c: c.status != psutil.CONN_LISTEN):
        try:
            return f"pid {connection.pid} ({' '.join(psutil.Process(connection.pid).cmdline())[:100]})"
        except psutil.Error:
            continue
    return "a process of another user"
