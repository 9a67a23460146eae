"""Active checks: a server is alive if it answers an HTTP request as a whole, in time.

A connection alone proves nothing: the kernel accepts connections for a stopped process too.
"""

import asyncio
import logging
import time
from typing import Final

from load_balancer.balancing.servers import Admin, Operation, Sign
from load_balancer.http1.responses import ResponseParser
from load_balancer.options import Check
from load_balancer.proxy.balancer import Backend, Balancer

log = logging.getLogger(__name__)

DOWN_INTER_SECONDS_MAX: Final = 0.25  # HAProxy's downinter: a server that is back is asked soon
_READ_BYTES: Final = 65_536
_ANSWER_BYTES_MAX: Final = 1_048_576


async def watch(balancer: Balancer, backend: Backend) -> None:
    """Check one server again and again, until cancelled."""
    check = balancer.options.check
    while True:
        began = time.monotonic()
        if backend.health.admin is not Admin.MAINT:
            sign, reason = await probe(backend, check)
            balancer.observe(backend, sign, reason)
        up = backend.health.operation is Operation.UP
        inter = check.inter_seconds if up else min(check.inter_seconds, DOWN_INTER_SECONDS_MAX)
        await asyncio.sleep(max(0.0, began + inter - time.monotonic()))


async def probe(backend: Backend, check: Check) -> tuple[Sign, str]:
    """One check: what it says about the server, and why."""
    try:
        async with asyncio.timeout(check.timeout_seconds):
            status = await _ask(backend, check.path)
    except TimeoutError:
        return Sign.FAILED, f"GET {check.path} was not answered within {check.timeout_seconds:g} s"
    except ConnectionRefusedError:
        return Sign.REFUSED, "connection refused"
    except OSError as error:
        return Sign.FAILED, f"GET {check.path}: {error.strerror or error}"
    if status is None:
        return Sign.FAILED, f"GET {check.path}: the answer is not valid HTTP"
    return sign_of(status), f"GET {check.path} was answered with {status}"


def sign_of(status: int) -> Sign:
    """Below 500 the server works (it may know no such page); 503 is its own word that it wants no requests."""
    if status == 503:
        return Sign.NOT_READY
    return Sign.FAILED if status >= 500 else Sign.PASSED


async def _ask(backend: Backend, path: str) -> int | None:
    """The status of a complete answer; None for anything that is not one."""
    reader, writer = await asyncio.open_connection(backend.address.host, backend.address.port)
    try:
        request = (
            f"GET {path} HTTP/1.1\r\nHost: {backend.address}\r\nUser-Agent: health-check\r\nConnection: close\r\n\r\n"
        )
        writer.write(request.encode("ascii"))
        parser = ResponseParser()
        parser.expect(for_head=False)
        status: int | None = None
        received = 0
        while received <= _ANSWER_BYTES_MAX:
            data = await reader.read(_READ_BYTES)
            received += len(data)
            answer = parser.receive(data) if data else parser.receive_eof()
            if answer.broken is not None:
                return None
            if answer.head is not None:
                status = answer.head.status
            if answer.ended:
                return status
        return None
    finally:
        writer.transport.abort()
