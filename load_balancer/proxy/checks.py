"""Active checks: a server is alive if it answers an HTTP request as a whole, in time.

A connection alone proves nothing: the kernel accepts connections for a stopped process too.
"""

import asyncio
import logging
import time
from typing import Final

from load_balancer.balancing.servers import Admin, CheckResult, Sign, interval
from load_balancer.http1.events import Response
from load_balancer.http1.responses import ResponseParser
from load_balancer.options import Check
from load_balancer.proxy.backends import Backend
from load_balancer.proxy.balancer import Balancer

log = logging.getLogger(__name__)

_READ_BYTES: Final = 65_536
_ANSWER_BYTES_MAX: Final = 1_048_576
_APART_SECONDS: Final = 0.001  # between the first checks of two servers, so that a thousand do not come all at once


async def watch(balancer: Balancer) -> None:
    """Check all servers, those that come later too, until cancelled."""
    tasks: dict[Backend, asyncio.Task[None]] = {}
    async with asyncio.TaskGroup() as group:
        while True:
            balancer.changed.clear()
            current = set(balancer.backends.values())
            for gone in tasks.keys() - current:
                tasks.pop(gone).cancel()
            new = [backend for backend in balancer.backends.values() if backend not in tasks]
            for place, backend in enumerate(new):
                tasks[backend] = group.create_task(_watch(balancer, backend, place * _APART_SECONDS))
            await balancer.changed.wait()


async def _watch(balancer: Balancer, backend: Backend, first_after_seconds: float) -> None:
    """Check one server again and again, until cancelled; at once when its requests gave a reason to hurry."""
    await asyncio.sleep(first_after_seconds)
    while True:
        began = time.monotonic()
        backend.hurry.clear()
        if backend.options.check and backend.health.admin is not Admin.MAINT:
            balancer.checked(backend, await probe(backend, balancer.options.check))
        await _pause(balancer, backend, began)


async def _pause(balancer: Balancer, backend: Backend, began: float) -> None:
    """Until the next check is due; a reason to hurry that comes meanwhile shortens it."""
    while True:
        seconds = interval(backend.health, balancer.options.check.intervals, hurried=backend.hurried)
        left = began + seconds - time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, left)):
                await backend.hurry.wait()
        except TimeoutError:
            return
        backend.hurry.clear()


async def probe(backend: Backend, check: Check) -> CheckResult:
    """One check: what it says about the server, and why."""
    began = time.monotonic()

    def result(sign: Sign, reason: str, status: str, code: int = 0) -> CheckResult:
        return CheckResult(sign, reason, status, code, time.monotonic() - began)

    progress = _Progress()
    asked = f"GET {check.path}"
    try:
        async with asyncio.timeout(check.timeout_seconds):
            head = await _ask(backend, check.path, progress)
    except TimeoutError:
        word = "L7TOUT" if progress.connected else "L4TOUT"
        return result(Sign.FAILED, f"{asked} was not answered within {check.timeout_seconds:g} s", word)
    except ConnectionRefusedError:
        return result(Sign.REFUSED, "connection refused", "L4CON")
    except OSError as error:
        return result(Sign.FAILED, f"{asked}: {error.strerror or error}", "L7RSP" if progress.connected else "L4CON")
    if head is None:
        return result(Sign.FAILED, f"{asked}: the answer is not valid HTTP", "L7RSP")
    sign = sign_of(head.status, will_come_back=any(field.key == b"retry-after" for field in head.fields.all))
    word = "L7OK" if sign is Sign.PASSED else "L7STS"
    return result(sign, f"{asked} was answered with {head.status}", word, head.status)


class _Progress:
    """How far a check came."""

    connected = False


def sign_of(status: int, *, will_come_back: bool = False) -> Sign:
    """Below 500 the server works (it may know no such page); 503 is its own word that it wants no requests."""
    if status == 503:
        return Sign.NOT_NOW if will_come_back else Sign.NOT_READY
    return Sign.FAILED if status >= 500 else Sign.PASSED


async def _ask(backend: Backend, path: str, progress: _Progress) -> Response | None:
    """The head of a complete answer; None for anything that is not one."""
    reader, writer = await asyncio.open_connection(backend.address.host, backend.address.port)
    progress.connected = True
    try:
        request = (
            f"GET {path} HTTP/1.1\r\nHost: {backend.address}\r\nUser-Agent: health-check\r\nConnection: close\r\n\r\n"
        )
        writer.write(request.encode("ascii"))
        parser = ResponseParser()
        parser.expect(for_head=False)
        head: Response | None = None
        received = 0
        while received <= _ANSWER_BYTES_MAX:
            data = await reader.read(_READ_BYTES)
            received += len(data)
            answer = parser.receive(data) if data else parser.receive_eof()
            if answer.broken is not None:
                return None
            if answer.head is not None:
                head = answer.head
            if answer.ended:
                return head
        return None
    finally:
        writer.transport.abort()
