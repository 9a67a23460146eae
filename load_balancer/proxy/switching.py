"""Exchanges that may end in another protocol (http1/upgrades.py); what they are not asked for they do as any exchange.

S1  Only a request that asks may be answered with 101, and only with what it asked for; else the answer is broken (502).
S2  A tunnel stays on its server's list to its end: it counts for maxconn, least connections and the statistics.
"""

from time import monotonic
from typing import Final

from load_balancer.access_log.lines import Outcome
from load_balancer.http1 import upgrades
from load_balancer.http1.events import Framing, Received, Reserved, Response
from load_balancer.http1.headers import response_ending
from load_balancer.proxy.backends import Backend
from load_balancer.proxy.bound import BoundExchange
from load_balancer.proxy.exchange import Exchange
from load_balancer.proxy.tunnels import Tunnel
from load_balancer.proxy.upstream import Upstream

_SWITCHING_PROTOCOLS: Final = 101


class SwitchingExchange(Exchange):
    """One exchange, or the one before a tunnel."""

    __slots__ = ()

    def _send(self, backend: Backend, upstream: Upstream, now: float) -> None:
        super()._send(backend, upstream, now)
        upstream.may_switch = self._request.reserved is Reserved.SWITCH

    def received(self, received: Received) -> None:
        """S1."""
        response = received.head
        if response is None or response.status != _SWITCHING_PROTOCOLS:
            super().received(received)
            return
        wrong = upgrades.fault(self._request, response)
        if wrong is None:
            self._switch(response)
        else:
            self._broken(wrong)

    def _finish(self) -> None:
        """An ordinary answer: the next request on that connection has not asked."""
        if self._upstream is not None:
            self._upstream.may_switch = False
        super()._finish()

    def _switch(self, response: Response) -> None:
        upstream, backend, balancer = self._upstream, self._backend, self._balancer
        assert upstream is not None and backend is not None  # noqa: S101, PT018 - an answer came
        now = monotonic()
        head = upstream.opening(response, Framing.NONE, backend.name_bytes) + response_ending(
            upgrades.switching_lines(self._request),
            self._request_id,
            None if response.fields.facts.dated else balancer.date(),
        )
        self._upstream = None
        self._status, self._written = response.status, True
        self._head_bytes, self._body_bytes = len(head), 0
        backend.traffic.answered(response.status, now - self.started, len(head))
        if backend.observed:
            balancer.answered(backend, response.status)
        self._client.write(head)
        self._client.switch(upstream.hand_over(), upstream.transport, self._tunnel_ended)

    def _tunnel_ended(self, tunnel: Tunnel) -> None:
        """S2."""
        backend, self._backend = self._backend, None
        assert backend is not None  # noqa: S101 - it stayed on its list
        self._body_bytes = tunnel.from_server_bytes
        backend.traffic.bytes_in += tunnel.from_client_bytes
        backend.traffic.bytes_out += tunnel.from_server_bytes
        self._balancer.carry_out(self._balancer.servers.leave(backend, self))
        if self._balancer.access_log is not None:
            self._client.answered(backend.name_bytes, self._status, self._body_bytes, self.started, Outcome.COMPLETE)


class BoundSwitchingExchange(BoundExchange, SwitchingExchange):
    """The same where clients are bound to servers. A 101 binds nobody: the pages before it have."""

    __slots__ = ()
