"""The control socket, <state>/control.sock: one JSON line asks, one JSON line answers, then the connection ends.

K1  Only the account that runs the system (and root) is heard: the socket is 0600, and the kernel names the peer's uid.
K2  Whatever arrives is answered with {"ok": false, "error": …} or closed; nothing that a peer sends ends the server.
K3  A path longer than the kernel's 108 bytes works: Linux reaches the socket through a handle of its folder.
"""

import asyncio
import contextlib
import json
import os
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

SOCKET = "control.sock"
FAULTS = ("kill", "pause", "resume", "restart", "slow")
REQUEST_BYTES_MAX = 65_536
REQUEST_SECONDS_MAX = 5.0
ANSWER_SECONDS_MAX = 30.0
PATH_BYTES_MAX = 100  # sun_path holds 108 on Linux, 104 on macOS

Answer = dict[str, Any]
Handler = Callable[[dict[str, Any]], Answer | Awaitable[Answer]]  # awaited where the answer takes its time


@contextlib.contextmanager
def _address(state: Path) -> Iterator[str]:
    """A name of the socket that is short enough (K3)."""
    path = state.absolute() / SOCKET
    if len(os.fsencode(path)) <= PATH_BYTES_MAX or sys.platform != "linux":
        yield str(path)
        return
    handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{SOCKET}"
    finally:
        os.close(handle)


async def serve(state: Path, handler: Handler) -> asyncio.Server:
    """Listen; the caller holds the state folder's lock, so a socket that lies there is a dead system's."""

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            if _peer_may(writer):
                async with asyncio.timeout(REQUEST_SECONDS_MAX):
                    line = await reader.readuntil(b"\n")
                writer.write(json.dumps(await _answer(line, handler)).encode() + b"\n")
                async with asyncio.timeout(REQUEST_SECONDS_MAX):
                    await writer.drain()
        writer.close()

    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    (state / SOCKET).unlink(missing_ok=True)
    before = os.umask(0o177)  # born 0600: there is no moment in which others may connect
    try:
        with _address(state) as address:
            listener.bind(address)
    finally:
        os.umask(before)
    return await asyncio.start_unix_server(on_connection, sock=listener, limit=REQUEST_BYTES_MAX)


def _peer_may(writer: asyncio.StreamWriter) -> bool:
    """K1."""
    peer: socket.socket = writer.get_extra_info("socket")
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # macOS: the socket's permissions alone decide
    packed = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", packed)
    return uid in (0, os.geteuid())


async def _answer(line: bytes, handler: Handler) -> Answer:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return {"ok": False, "error": "the request is not JSON"}
    if not isinstance(request, dict):
        return {"ok": False, "error": "the request is not a JSON object"}
    try:
        answer = handler(request)
        return {"ok": True} | (answer if isinstance(answer, dict) else await answer)
    except (LookupError, ValueError) as error:
        return {"ok": False, "error": str(error.args[0] if error.args else error)}


class NotRunningError(Exception):
    """No system runs with this state folder."""


class RefusedError(Exception):
    """The system answered that it will not do this; the message says why."""


def ask(state: Path, request: dict[str, Any], seconds: float = ANSWER_SECONDS_MAX) -> dict[str, Any]:
    """Ask the system that runs with ``state``; raises NotRunningError or RefusedError, that after ``seconds`` at most."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        try:
            with _address(state) as address:
                connection.connect(address)
            connection.sendall(json.dumps(request).encode() + b"\n")
            line = _read_line(connection)
        except PermissionError as error:
            msg = f"only the owner of {state} may control it"
            raise RefusedError(msg) from error
        except TimeoutError as error:
            msg = f"the system that runs with {state} did not answer within {seconds:g} s"
            raise RefusedError(msg) from error
        except (FileNotFoundError, ConnectionError, NotADirectoryError) as error:
            msg = f"nothing runs with the state folder {state}"
            raise NotRunningError(msg) from error
        except OSError as error:
            msg = f"the state folder {state} cannot be used: {error.strerror}"
            raise RefusedError(msg) from error
    if not line:
        msg = f"the system that runs with {state} did not answer"
        raise RefusedError(msg)
    answer: dict[str, Any] = json.loads(line)
    if not answer.pop("ok"):
        raise RefusedError(str(answer.get("error")))
    return answer


def _read_line(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(REQUEST_BYTES_MAX):
        parts.append(part)
    return b"".join(parts)
