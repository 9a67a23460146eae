"""Clients that send raw bytes and read answers strictly, in plain or over TLS."""

import contextlib
import json
import re
import socket
import ssl
import struct
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from load_balancer.options import TlsOptions
from settings import self_signed

SECONDS_MAX = 30.0


@dataclass(frozen=True)
class Answer:
    """A whole answer as a strict client reads it."""

    status: int
    head: bytes
    body: bytes

    def field(self, name: str) -> str | None:
        values = re.findall(rb"(?im)^" + name.encode() + rb": (.*)\r$", self.head + b"\r\n")
        assert len(values) <= 1, f"{name} more than once"
        return values[0].decode("latin-1") if values else None

    @property
    def echoed(self) -> bytes:
        """The request that an echoing server received."""
        return str(json.loads(self.body)).encode("latin-1")


class Incomplete(AssertionError):
    """The answer was cut off."""


class RawClient:
    """A blocking connection that sends and reads bytes."""

    def __init__(self, port: int, host: str = "127.0.0.1", source: str = "") -> None:
        self.socket = socket.create_connection((host, port), SECONDS_MAX, (source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def secure(self, tls: TlsOptions) -> None:
        """TLS from here on."""
        self.socket = trusting(tls.certificate).wrap_socket(self.socket, server_hostname="localhost")

    def __enter__(self) -> "RawClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes, piece: int | None = None) -> None:
        """Send, in pieces if told; a peer that has closed meanwhile is no error here."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if piece is None:
                self.socket.sendall(data)
                return
            for start in range(0, len(data), piece):
                self.socket.sendall(data[start : start + piece])

    def end(self) -> None:
        socket.socket.shutdown(self.socket, socket.SHUT_WR)  # that of TLS forgets what it has agreed on

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _more(self) -> bool:
        data = self.socket.recv(65_536)
        self.buffer += data
        return bool(data)

    def answer(self, *, for_head: bool = False) -> Answer:
        """The next answer; interim ones are returned too (status below 200)."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                raise Incomplete(f"the connection ended within a head: {self.buffer!r}")
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        match = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
        assert match, head
        status = int(match[1])
        length = re.findall(rb"(?i)\r\ncontent-length: (\d+)", head)
        chunked = re.findall(rb"(?i)\r\ntransfer-encoding: chunked", head)
        assert len(length) + len(chunked) <= 1, head
        if for_head or status < 200 or status in (204, 304):
            return Answer(status, head, b"")
        if chunked:
            return Answer(status, head, self._chunks())
        if length:
            return Answer(status, head, self._exactly(int(length[0])))
        return Answer(status, head, self.rest())

    def _exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            if not self._more():
                raise Incomplete(f"{len(self.buffer)} of {count} bytes")
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def _chunks(self) -> bytes:
        body = b""
        while True:
            while b"\r\n" not in self.buffer:
                if not self._more():
                    raise Incomplete("within the chunks")
            size, _, self.buffer = self.buffer.partition(b"\r\n")
            data = self._exactly(int(size, 16) + 2)
            assert data.endswith(b"\r\n")
            if size == b"0":
                return body
            body += data[:-2]

    def rest(self) -> bytes:
        """Everything until the connection ends in good order."""
        while self._more():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def closed(self) -> bool:
        """Whether the balancer ends its side now, without a further byte (waits for it)."""
        try:
            return self.rest() == b""
        except (ConnectionResetError, ssl.SSLEOFError):
            return True


@cache
def _folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="cds-tls-")


@cache
def tls_options() -> TlsOptions:
    """With a self-signed certificate for this machine."""
    state = Path(_folder().name)
    self_signed.ensure(state, "127.0.0.1")
    return TlsOptions(*self_signed.paths(state))


@cache
def trusting(certificate: Path) -> ssl.SSLContext:
    """A client's side that believes this certificate and no other."""
    return ssl.create_default_context(cafile=certificate)
