"""A client's connection below HTTP: when it has waited long enough, whether it is read, how it ends.

D1  Every state has a deadline; there is exactly one at any time.
D2  A connection is closed so that the answer survives: our side ends, then the client has a second to read.
D3  A client that does not read is waited for as long as it makes progress.
"""

import asyncio
from time import monotonic
from typing import Final

from load_balancer.proxy.balancer import Balancer
from load_balancer.proxy.endings import ReaderPace
from load_balancer.proxy.phases import Phase

LINGER_SECONDS: Final = 1.0
LINGER_BYTES_MAX: Final = 262_144


class Connection(asyncio.Protocol):
    """``deadline``: when it has waited long enough, on the monotonic clock (D1)."""

    __slots__ = (
        "_balancer",
        "_eof",
        "_linger_bytes",
        "_pace",
        "_phase",
        "_reading_paused",
        "_transport",
        "_write_paused",
        "deadline",
    )

    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer
        self._transport: asyncio.Transport
        self._phase = Phase.IDLE
        self._eof = False
        self._reading_paused = False
        self._write_paused = False
        self._pace = ReaderPace()
        self._linger_bytes = 0
        self.deadline = 0.0

    def _set_deadline(self, seconds: float) -> None:
        self.deadline = monotonic() + seconds

    def _read_on(self, *, wanted: bool) -> None:
        """Read, or let the bytes wait in the client's own kernel."""
        if wanted != self._reading_paused or self._transport.is_closing():
            return
        self._reading_paused = not wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def _linger(self) -> None:
        """D2."""
        self._phase = Phase.LINGER
        self._pace.begin()
        self._set_deadline(LINGER_SECONDS)
        self._read_on(wanted=True)
        if self._eof or self._transport.is_closing():
            self._transport.close()
        else:
            self._transport.write_eof()

    def _lingered(self, data: bytes) -> None:
        """Bytes that nobody reads any more."""
        self._linger_bytes += len(data)
        if self._linger_bytes > LINGER_BYTES_MAX:
            self._transport.abort()

    def _stalled(self, now: float) -> None:
        """D3: its time is over while an answer waits to be read."""
        if self._pace.reads(self._transport):
            self.deadline = now + self._balancer.options.timeouts.client_seconds
        else:
            self._transport.abort()
