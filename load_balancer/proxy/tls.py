"""TLS below HTTP: a client's bytes are made secret and plain again between its connection and the one above it.

Z1  A connection is admitted before its handshake: who is turned away costs no key operation, and gets no answer.
Z2  A handshake has ``handshake_seconds`` as a whole; until it is done, nothing above exists.
Z3  What lies here is one record at most on the way in, nothing on the way out: pausing and write buffers are TCP's.
Z4  Each direction ends by itself, with close_notify (RFC 8446 6.1), so a half-close works as it does without TLS.
Z5  Who speaks plain HTTP is told so in plain HTTP (400), as nginx tells it; anything else that is no handshake just ends.

The layer is ours because the loops' own has a buffer of 256 KiB for each connection, cannot half-close, does not count who is
within a handshake, and cannot answer who speaks plainly. All of cryptography and of the protocol is OpenSSL's (ssl.MemoryBIO).
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, cast

from load_balancer.proxy.admission import UNKNOWN, Verdict
from load_balancer.proxy.balancer import Balancer
from load_balancer.proxy.certificates import Certificate
from load_balancer.proxy.frontend import Client
from load_balancer.proxy.replies import problem, reply_bytes

log = logging.getLogger(__name__)

_READ_BYTES: Final = 65_536
_LINGER_SECONDS: Final = 1.0
_REASONS: Final = {"CALLBACK_FAILED": "no certificate is for the name that it asks for"}  # certificates.Q3
_PLAIN_HTTP: Final = frozenset({"HTTP_REQUEST", "HTTPS_PROXY_REQUEST"})  # what OpenSSL calls it


class TlsConnection(asyncio.Protocol, asyncio.Transport):
    """The protocol of the TCP connection, and the transport of what is above it."""

    __slots__ = (
        "_above",
        "_balancer",
        "_closing",
        "_ended",
        "_incoming",
        "_outgoing",
        "_said_goodbye",
        "_source",
        "_tls",
        "_transport",
        "_write_ended",
        "deadline",
    )

    def __init__(self, balancer: Balancer, certificate: Certificate) -> None:
        super().__init__()
        self._balancer = balancer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = certificate.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._above: asyncio.BaseProtocol | None = None  # once the handshake is done
        self._transport: asyncio.Transport
        self._source = UNKNOWN
        self._said_goodbye = False
        self._ended = False  # the client sends nothing more
        self._write_ended = False  # and we send nothing more, not even an alert
        self._closing = False
        self.deadline = monotonic() + certificate.options.handshake_seconds

    # The protocol of the TCP connection.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        balancer, peer = self._balancer, transport.get_extra_info("peername")
        if peer:
            self._source = balancer.admission.source(peer[0])
        if balancer.entered(self, self._source) is not Verdict.WELCOME:  # Z1
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._incoming.write(data)
        if self._above is None and not self._shake_hands():
            return
        self._read()

    def eof_received(self) -> bool:
        """Without close_notify, too: a request says by itself where it ends."""
        if self._above is None:
            return False
        self._tell_end()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        above, self._above = self._above, None
        self._closing = True
        if above is None:
            self._balancer.left(self, self._source)
        else:
            above.connection_lost(error)

    def pause_writing(self) -> None:
        if self._above is not None:
            self._above.pause_writing()

    def resume_writing(self) -> None:
        if self._above is not None:
            self._above.resume_writing()

    # The handshake.

    def _shake_hands(self) -> bool:
        """Whether it is done."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError as error:
            self._refuse(error.reason or "")
            return False
        self._flush()
        client = Client(self._balancer)
        self._above = client
        client.take_over(self, self, self._source)
        return True

    def _refuse(self, reason: str) -> None:
        """Z5."""
        own = self._balancer.own
        own.handshakes_failed += 1
        address = self._source.address.decode("ascii")
        log.info("no TLS handshake with %s: %s", address, _REASONS.get(reason) or reason.lower().replace("_", " "))
        if reason in _PLAIN_HTTP:
            self._outgoing.read()  # an alert, which such a client could not read
            self._transport.write(_spoken_plainly(self._balancer))
            own.replies[400] += 1
        else:
            self._flush()
        self._closing = True
        self.deadline = monotonic() + _LINGER_SECONDS
        self._transport.write_eof()

    # As one of the balancer's clients, until the handshake is done.

    def deadline_passed(self, now: float) -> None:  # noqa: ARG002 - that it passed is all that counts
        """Z2."""
        if not self._closing:
            self._balancer.own.handshakes_failed += 1
        self._transport.abort()

    def drain(self) -> None:
        self._transport.abort()

    # The transport of what is above.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing or self._said_goodbye or not data:
            return
        try:
            left = memoryview(data)
            while left:
                left = left[self._tls.write(left) :]
        except ssl.SSLError as error:
            self._fail(error)
            return
        self._flush()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Z4."""
        self._say_goodbye()
        if not self._write_ended and not self._transport.is_closing():
            self._write_ended = True
            self._transport.write_eof()

    def close(self) -> None:
        self._say_goodbye()
        self._closing = True
        self._transport.close()

    def abort(self) -> None:
        self._closing = True
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def is_reading(self) -> bool:
        return self._transport.is_reading()

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "sslcontext":
            return self._tls.context
        if name == "ssl_object":
            return self._tls
        return self._transport.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._above = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._above or self

    # Records.

    def _read(self) -> None:
        """Everything that came as whole records goes up in one piece."""
        pieces: list[bytes] = []
        ended = False
        try:
            while self._incoming.pending or self._tls.pending():
                data = self._tls.read(_READ_BYTES)
                if not data:
                    ended = True
                    break
                pieces.append(data)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            ended = True
        except ssl.SSLError as error:
            self._fail(error)
            return
        self._flush()  # an answer to a change of keys
        if pieces and not self._closing:
            cast("asyncio.Protocol", self._above).data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if ended:
            self._tell_end()

    def _tell_end(self) -> None:
        """Once: close_notify comes before the end of the connection."""
        above = self._above
        if above is None or self._closing or self._ended:
            return
        self._ended = True
        if not cast("asyncio.Protocol", above).eof_received():
            self.close()

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data and not self._write_ended and not self._transport.is_closing():
            self._transport.write(data)

    def _say_goodbye(self) -> None:
        if self._said_goodbye or self._closing:
            return
        self._said_goodbye = True
        with contextlib.suppress(ssl.SSLError):  # it waits for the client's own, which is not needed (RFC 8446 6.1)
            self._tls.unwrap()
        self._flush()

    def _fail(self, error: ssl.SSLError) -> None:
        """The client's bytes are not those that its own end has sent: nothing more can be said to it."""
        log.info("TLS with %s failed: %s", self._source.address.decode("ascii"), (error.reason or "").lower())
        self._flush()
        self.abort()


def _spoken_plainly(balancer: Balancer) -> bytes:
    """Z5."""
    request_id = balancer.next_request_id()
    detail = "this port speaks TLS: the address begins with https://"
    return reply_bytes(
        problem(400, detail, request_id=request_id, html=False, not_dispatched=True),
        connection=b"Connection: close\r\n",
        request_id=request_id,
        date=balancer.date(),
        without_body=False,
    )


def entrance(balancer: Balancer) -> Callable[[], asyncio.Protocol]:
    """What serves a new connection at the shop's own address."""
    certificate = balancer.certificate
    if certificate is None:
        return lambda: Client(balancer)
    return lambda: TlsConnection(balancer, certificate)
