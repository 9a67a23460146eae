"""An operator's connection, on a port of its own."""

import asyncio
from typing import Final, cast

from load_balancer.admin.operator import Operator
from load_balancer.admin.pages import answer, refusal
from load_balancer.http1.events import Body, End, Rejected, Request
from load_balancer.http1.requests import RequestParser
from load_balancer.proxy.replies import Reply, reply_bytes

BODY_BYTES_MAX: Final = 4_096
SECONDS_MAX: Final = 10.0  # for a whole request and its answer


class AdminConnection(asyncio.Protocol):
    """One request, one answer, then the connection ends: simple, for nobody hurries here."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        self._balancer = operator.balancer
        self._answering: asyncio.Task[None] | None = None
        self._parser = RequestParser(BODY_BYTES_MAX)
        self._request: Request | None = None
        self._body = b""
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without inheriting from it
        self._timer = asyncio.get_running_loop().call_later(SECONDS_MAX, self._transport.abort)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - how it ended does not matter
        self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._parser.feed(data)
        while self._waits() and (event := self._parser.next_event()) is not None:
            if isinstance(event, Request):
                self._request = event
                if event.complete:
                    self._begin(event)
            elif isinstance(event, Body):
                self._body += event.data
            elif isinstance(event, Rejected):
                self._send(refusal(event.status, event.reason))
            elif isinstance(event, End) and self._request is not None:
                self._begin(self._request)

    def _waits(self) -> bool:
        return self._answering is None and not self._transport.is_closing()

    def _begin(self, request: Request) -> None:
        """An order is carried out even if whoever gave it does not wait for the answer."""
        self._answering = asyncio.get_running_loop().create_task(self._answer(request))

    async def _answer(self, request: Request) -> None:
        self._send(await answer(self._operator, request, self._body))

    def _send(self, reply: Reply) -> None:
        self._transport.write(
            reply_bytes(
                reply,
                connection=b"Connection: close\r\n",
                request_id=self._balancer.next_request_id(),
                date=self._balancer.date(),
                without_body=self._request is not None and self._request.method == b"HEAD",
            )
        )
        self._transport.close()
