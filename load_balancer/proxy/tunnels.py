"""What a connection becomes after 101: bytes both ways, of which we know nothing.

N1  While one side does not read, the other side is not read: what lies here is bounded by two write buffers.
N2  The end of one direction is passed on behind its last byte; the other direction goes on, until ``client_fin_seconds``
    of silence.
N3  Silence in both directions for ``tunnel_seconds`` ends it. Draining does not: it ends with the drain (``cut``).
N4  A reset of one side is one of the other side.
N5  Whatever ends it: the client is taken off the balancer's list and the request off its server's, once.
"""

import asyncio
import logging
from collections.abc import Callable
from time import monotonic

from load_balancer.options import Timeouts
from load_balancer.proxy.endings import reset

log = logging.getLogger(__name__)


class _Side(asyncio.Protocol):
    """One of the two connections."""

    __slots__ = ("_tunnel", "finished", "lost", "peer", "received", "transport")

    def __init__(self, tunnel: "Tunnel", transport: asyncio.Transport) -> None:
        self._tunnel = tunnel
        self.transport = transport
        self.peer: _Side
        self.received = 0
        self.finished = False  # nothing more comes from it
        self.lost = False

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self._tunnel.active()
        if not self.peer.lost:
            self.peer.transport.write(data)

    def eof_received(self) -> bool:
        """The transport stays open (N2)."""
        self.finished = True
        self._tunnel.half_closed(self)
        return True

    def pause_writing(self) -> None:
        """N1."""
        self.peer.read_on(wanted=False)

    def resume_writing(self) -> None:
        self._tunnel.active()
        self.peer.read_on(wanted=True)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = self.finished = True
        self._tunnel.side_lost(self, reset_by_it=error is not None)

    def read_on(self, *, wanted: bool) -> None:
        if self.finished or self.transport.is_closing():
            return
        if wanted:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def hang_up(self) -> None:
        """End it in good order, behind what still waits to be sent."""
        self.finished = True
        if not self.lost:
            self.transport.close()


class Tunnel:
    """Between a client and a server, from the moment of its making; ``ended`` is told the bytes of both, once (N5)."""

    def __init__(
        self,
        client: asyncio.Transport,
        server: asyncio.Transport,
        timeouts: Timeouts,
        ended: Callable[["Tunnel"], None],
    ) -> None:
        self._timeouts = timeouts
        self._ended = ended
        self._client, self._server = _Side(self, client), _Side(self, server)
        self._client.peer, self._server.peer = self._server, self._client
        self.deadline = 0.0
        self.active()

    def begin(self, from_client: bytes, from_server: bytes, *, client_stalled: bool, client_finished: bool) -> None:
        """``from_…``: what came early. ``client_stalled``: it does not read now; ``client_finished``: it sends no more."""
        self._client.transport.set_protocol(self._client)
        self._server.transport.set_protocol(self._server)
        if client_stalled:
            self._server.read_on(wanted=False)
        for side, data in ((self._server, from_server), (self._client, from_client)):
            if data:
                side.data_received(data)
        if client_finished:
            self._client.eof_received()

    @property
    def from_client_bytes(self) -> int:
        return self._client.received

    @property
    def from_server_bytes(self) -> int:
        return self._server.received

    # From the sides.

    def active(self) -> None:
        """N2, N3."""
        half = self._client.finished or self._server.finished
        self.deadline = monotonic() + (self._timeouts.client_fin_seconds if half else self._timeouts.tunnel_seconds)

    def half_closed(self, side: _Side) -> None:
        if side.peer.finished:
            side.hang_up()
            side.peer.hang_up()
            return
        self.active()
        if not side.peer.transport.is_closing():
            side.peer.transport.write_eof()

    def side_lost(self, side: _Side, *, reset_by_it: bool) -> None:
        peer = side.peer
        if peer.lost:
            self._ended(self)
        elif reset_by_it:
            reset(peer.transport)  # N4
        else:
            peer.hang_up()
            self.active()

    # From the balancer.

    def deadline_passed(self, now: float) -> None:  # noqa: ARG002 - that it passed is all that counts
        log.info("a tunnel was silent for too long")
        self.cut()

    def drain(self) -> None:
        """N3."""

    def cut(self) -> None:
        """End both sides at once."""
        for side in (self._client, self._server):
            if not side.lost:
                side.transport.abort()
