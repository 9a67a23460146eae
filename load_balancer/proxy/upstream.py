"""Connections to servers, and which of them may be used again.

U1  A connection carries one request at a time.
U2  It is used again only after its answer was consumed exactly: no byte missing, none left over.
U3  An idle connection on which anything happens (bytes, end, error) is dropped, never matched to the next request.
U4  A request that must not be repeated gets an idle connection only if that was used a moment ago and nothing, not
    even an end that the loop has not seen yet, waits in the socket.
"""

import asyncio
import select
from typing import Final, Protocol, cast

from load_balancer.http1.events import Framing, Received, Response
from load_balancer.http1.headers import response_opening
from load_balancer.http1.responses import ResponseParser

IDLE_PER_SERVER_MAX: Final = 128  # nginx calls it `keepalive`; more than a busy classroom has requests in flight
IDLE_SECONDS_MAX: Final = 20.0
# Servers close idle connections after 2 s (gunicorn) or more: a POST never goes near that.
IDLE_SECONDS_MAX_FOR_UNSAFE: Final = 1.0


class Receiver(Protocol):
    """Who waits for the answer on a connection."""

    def received(self, received: Received) -> None:
        """Part of the answer came."""

    def upstream_lost(self, reason: str) -> None:
        """The connection ended, and the answer's framing does not say that this was its end."""

    def upstream_paused(self, *, paused: bool) -> None:
        """The server does not read (or reads again) what it is sent."""


class Upstream(asyncio.Protocol):
    """One connection to a server. ``heard``: whether a byte came since the request was sent."""

    __slots__ = (
        "_opening",
        "_opening_for",
        "_opening_framing",
        "_parser",
        "_paused",
        "_receiver",
        "heard",
        "idle_since",
        "pool",
        "requests",
        "transport",
    )

    def __init__(self, pool: "Pool") -> None:
        self.pool = pool
        self.requests = 0
        self.heard = False
        self.idle_since = 0.0
        self._parser = ResponseParser()
        self._receiver: Receiver | None = None
        self.transport: asyncio.Transport
        self._opening = b""
        self._opening_for: Response | None = None
        self._opening_framing = Framing.NONE
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one without inheriting from it

    def send(self, receiver: Receiver, data: bytes, *, for_head: bool) -> None:
        """Begin a request (U1)."""
        self._receiver = receiver
        self.requests += 1
        self.heard = False
        self._parser.expect(for_head=for_head)
        self.transport.write(data)

    @property
    def may_switch(self) -> bool:
        """Whether the request asked for another protocol."""
        return self._parser.may_switch

    @may_switch.setter
    def may_switch(self, asked: bool) -> None:
        self._parser.may_switch = asked

    def hand_over(self) -> bytes:
        """The connection is nobody's any more; what came behind the 101. Give its transport another protocol now."""
        self._receiver = None
        self.resume()
        return self._parser.take_surplus()

    def send_more(self, data: bytes) -> None:
        self.transport.write(data)

    def pause(self) -> None:
        if not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self.transport.resume_reading()

    def opening(self, response: Response, framing: Framing, server_name: bytes) -> bytes:
        """The answer's head as the client gets it; servers repeat theirs, so the last one is kept."""
        if response is not self._opening_for or framing is not self._opening_framing:
            self._opening = response_opening(response, framing, server_name)
            self._opening_for, self._opening_framing = response, framing
        return self._opening

    def data_received(self, data: bytes) -> None:
        receiver = self._receiver
        if receiver is None:
            self.drop()
            return
        self.heard = True
        receiver.received(self._parser.receive(data))

    def eof_received(self) -> None:
        """The transport closes itself afterwards."""
        receiver = self._receiver
        if receiver is None:
            self.drop()
            return
        if not self.heard:
            self._detach(receiver, "the server closed the connection without an answer")
            return
        received = self._parser.receive_eof()
        if received.ended:
            receiver.received(received)
        else:
            self._detach(receiver, "the server's answer was cut off")

    def connection_lost(self, error: Exception | None) -> None:
        self.pool.forget(self)
        if self._receiver is not None:
            self._detach(self._receiver, "the server reset the connection" if error else "the connection was closed")

    def pause_writing(self) -> None:
        if self._receiver is not None:
            self._receiver.upstream_paused(paused=True)

    def resume_writing(self) -> None:
        if self._receiver is not None:
            self._receiver.upstream_paused(paused=False)

    def release(self, now: float, *, reusable: bool) -> None:
        """The answer is complete: keep the connection, or not (U2)."""
        self._receiver = None
        if reusable and not self._parser.surplus and not self.transport.is_closing():
            if self._paused:
                self.resume()  # an idle connection that is not read could not be seen to end (U3)
            self.pool.give(self, now)
        else:
            self.drop()

    def drop(self) -> None:
        """End the connection at once; nobody is told."""
        self._receiver = None
        self.pool.forget(self)
        self.transport.abort()

    def is_quiet(self) -> bool:
        """Whether nothing waits in the socket (U4)."""
        socket = self.transport.get_extra_info("socket")
        descriptor = -1 if socket is None else socket.fileno()
        if descriptor < 0:
            return False
        poll = select.poll()
        poll.register(descriptor, select.POLLIN | select.POLLRDHUP)
        return not poll.poll(0)

    def _detach(self, receiver: Receiver, reason: str) -> None:
        self._receiver = None
        self.transport.abort()
        receiver.upstream_lost(reason)


class Pool:
    """The idle connections to one server, the one used last on top."""

    def __init__(self) -> None:
        self._idle: list[Upstream] = []
        self._closed = False

    def __len__(self) -> int:
        return len(self._idle)

    def take(self, now: float, *, repeatable: bool) -> Upstream | None:
        """An idle connection that may carry the next request; None: a new one is needed (U3, U4)."""
        while self._idle:
            upstream = self._idle.pop()
            if upstream.transport.is_closing():
                continue
            if repeatable:
                return upstream
            if now - upstream.idle_since < IDLE_SECONDS_MAX_FOR_UNSAFE and upstream.is_quiet():
                return upstream
            upstream.drop()
        return None

    def give(self, upstream: Upstream, now: float) -> None:
        if self._closed or len(self._idle) >= IDLE_PER_SERVER_MAX:
            upstream.drop()
            return
        upstream.idle_since = now
        self._idle.append(upstream)

    def forget(self, upstream: Upstream) -> None:
        if upstream in self._idle:
            self._idle.remove(upstream)

    def drop_old(self, now: float) -> None:
        """End those that were not needed for a while; the oldest lie at the bottom."""
        oldest = now - IDLE_SECONDS_MAX
        while self._idle and self._idle[0].idle_since < oldest:
            self._idle[0].drop()

    def drop_all(self) -> None:
        while self._idle:
            self._idle[-1].drop()

    def close(self) -> None:
        """Nobody goes to this address any more: what is still carried over its connections ends them."""
        self._closed = True
        self.drop_all()


class CannotConnectError(OSError):
    """No connection to a server; ``refused``: nobody listens there."""

    def __init__(self, reason: str, *, refused: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.refused = refused


async def connect(pool: Pool, host: str, port: int, seconds: float) -> Upstream:
    """A new connection; raises CannotConnectError if there is none within ``seconds``."""
    try:
        async with asyncio.timeout(seconds):
            _, upstream = await asyncio.get_running_loop().create_connection(lambda: Upstream(pool), host, port)
            return upstream
    except TimeoutError as error:
        raise CannotConnectError(f"no connection within {seconds:g} s", refused=False) from error
    except OSError as error:
        refused = isinstance(error, ConnectionRefusedError)
        raise CannotConnectError(error.strerror or str(error), refused=refused) from error
