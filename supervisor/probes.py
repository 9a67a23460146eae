"""Questions that tell whether a process can do its work (HTTP /readyz, a PostgreSQL login, an AMQP greeting), and whether
it lives (HTTP /healthz, a byte of PostgreSQL or RabbitMQ): a port that accepts proves nothing, the kernel does that."""

import asyncio
import json

SECONDS_MAX = 3.0  # a probe that takes longer has failed
ANSWER_BYTES_MAX = 65_536  # of an answer that is read to its end
REASON_LENGTH_MAX = 300
HTTP_STATUS_BYTES = len("HTTP/1.1 200")
AMQP_GREETING = b"AMQP\x00\x00\x09\x01"
AMQP_METHOD_FRAME = b"\x01"
# SSLRequest: answered before any log-in, also when all places are taken.
POSTGRES_TLS_QUESTION = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
NO_ANSWER = "it does not answer"


async def _ask(host: str, port: int, request: bytes, answer_bytes: int, seconds: float = SECONDS_MAX) -> bytes:
    """Send, and read the first bytes of the answer; empty when nobody answers in time."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(request)
                return await reader.readexactly(answer_bytes)
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return b""


async def http_ready(port: int, path: str = "/readyz", host: str = "127.0.0.1", seconds: float = SECONDS_MAX) -> bool:
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()
    answer = await _ask(host, port, request, HTTP_STATUS_BYTES, seconds)
    return answer.endswith(b" 200")


async def http_unready(port: int, host: str = "127.0.0.1") -> str | None:
    """Why the process at this port says that it is not ready; None when it is."""
    request = f"GET /readyz HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()
    try:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(request)
            head, _, body = (await _to_its_end(reader)).partition(b"\r\n\r\n")
        finally:
            writer.close()
    except OSError:
        return NO_ANSWER
    if head[:HTTP_STATUS_BYTES].endswith(b" 200"):
        return None
    try:
        reason = json.loads(body)["reason"]
    except (ValueError, LookupError, TypeError):
        reason = None
    return str(reason or "it does not say why")[:REASON_LENGTH_MAX]


async def _to_its_end(reader: asyncio.StreamReader) -> bytes:
    received = b""
    while len(received) <= ANSWER_BYTES_MAX and (part := await reader.read(ANSWER_BYTES_MAX)):
        received += part
    return received


async def http_alive(port: int, seconds: float) -> bool:
    return await http_ready(port, "/healthz", seconds=seconds)


async def amqp_ready(port: int, host: str = "127.0.0.1") -> bool:
    """A node greets with a method frame once it takes logins; a port that is merely open says nothing."""
    return await _ask(host, port, AMQP_GREETING, 1) == AMQP_METHOD_FRAME


async def amqp_alive(port: int, seconds: float) -> bool:
    """A node that is blocked by an alarm greets, too."""
    return await _ask("127.0.0.1", port, AMQP_GREETING, 1, seconds) != b""


async def postgres_alive(port: int, seconds: float) -> bool:
    """The server answers this while it recovers, and when it takes no more log-ins."""
    return await _ask("127.0.0.1", port, POSTGRES_TLS_QUESTION, 1, seconds) != b""


async def postgres_ready(url: str) -> bool:
    """A login with the role's own password, so that a database of somebody else on that port does not count."""
    import psycopg  # takes a moment, best spent while the server starts

    conninfo = url.replace("postgresql+psycopg://", "postgresql://")
    try:
        connection = await psycopg.AsyncConnection.connect(conninfo, connect_timeout=3, application_name="supervisor")
    except psycopg.OperationalError:
        return False
    await connection.close()
    return True
